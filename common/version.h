/*
 * version.h - which Mooring this is.
 */
#ifndef MOORING_VERSION_H
#define MOORING_VERSION_H

#define MOORING_VERSION "1.0.0"

/* When this version was released, Unix seconds: no clock that shows less is right. */
enum { MOORING_RELEASED = 1795305600 };

#endif
