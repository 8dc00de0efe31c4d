/*
 * version.h - the release that all programs of this tree are.
 */
#ifndef MOORING_VERSION_H
#define MOORING_VERSION_H

#define MOORING_VERSION "0.1.0"

#endif
