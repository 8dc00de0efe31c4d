/*
 * report.h - what happens to the device, as one JSON object a line on standard output.
 */
#ifndef MOORING_REPORT_H
#define MOORING_REPORT_H

#include "device_clock.h"

/* Whose time stands in the lines. Call once, before threads. */
void report_start(const struct device_clock *clock);
/* {"event":EVENT,"t_ms":NOW, and the members of the object that json_pack(3) makes of `format`}. From any
 * thread: a line is one write(2). A line that cannot be made or written is dropped: the device goes on. */
void report(const char *event, const char *format, ...);

#endif
