/*
 * thermometer.h - a plausible temperature: a walk that is pulled back to what a room has.
 */
#ifndef MOORING_THERMOMETER_H
#define MOORING_THERMOMETER_H

#include <stdint.h>

struct thermometer {
	double celsius;
};

void thermometer_start(struct thermometer *t);
/* The next reading in hundredths of a degree, between 15.00 and 30.00, less than 0.25 from the one before. */
int thermometer_read(struct thermometer *t, uint32_t random);

#endif
