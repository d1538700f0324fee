/* SPDX-License-Identifier: MIT */
/* Points in time as the @boot line tells them. */
#ifndef PROTOPI_CLOCK_H
#define PROTOPI_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* One point in time, on two clocks. */
struct mark {
	uint64_t cntvct;    /* the architecture's virtual counter: ticks of cntfrq, from reset */
	uint64_t uptime_ns; /* CLOCK_BOOTTIME: nanoseconds, from the start of the kernel's clock */
};

/* The BCM2711's 1 MHz system timer, which counts from power-on. */
struct system_timer {
	bool known;
	uint64_t microseconds; /* at `cntvct` */
	uint64_t cntvct;
};

/*
 * Reads the system timer once, well after ready. It and the counter run from one crystal, so that its value at a mark
 * is this one less the counter's difference: nothing has to be paid for it before ready.
 */
struct system_timer system_timer_read(void);

#endif
