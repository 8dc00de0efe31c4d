/*
 * confine.h - what the gateway gives up before it serves. Tests enter the same confinement and try to get out.
 */
#ifndef MOORING_GATEWAY_CONFINE_H
#define MOORING_GATEWAY_CONFINE_H

#include "gateway.h"

/* Its own user where started as root, Landlock and seccomp: sandbox.h says what is refused and when. */
MUST_USE outcome gateway_confine(const struct gateway_config *c, bool insecure, struct fault *f);

#endif
