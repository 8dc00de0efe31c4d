#include "thermometer.h"

static const double ROOM = 21.5, STEP = 0.15, PULL = 0.01, LOWEST = 15.0, HIGHEST = 30.0;

void thermometer_start(struct thermometer *t)
{
	t->celsius = ROOM;
}

int thermometer_read(struct thermometer *t, uint32_t random)
{
	double step = ((double)random / UINT32_MAX - 0.5) * 2 * STEP;
	t->celsius += step + (ROOM - t->celsius) * PULL;
	if (t->celsius < LOWEST)
		t->celsius = LOWEST;
	if (t->celsius > HIGHEST)
		t->celsius = HIGHEST;
	return (int)(t->celsius * 100 + 0.5);
}
