/* SPDX-License-Identifier: MIT */
/* The hardware watchdog, fed by PID 1 alone. */
#ifndef PROTOPI_WATCHDOG_H
#define PROTOPI_WATCHDOG_H

#include <stdint.h>

#define WATCHDOG_SECONDS 15	/* the most that the Pi 4's can count */
#define WATCHDOG_SEARCH_MS 1000 /* until it is there; its driver may be a module that is loaded late */

struct watchdog {
	int fd;		      /* -1: not there yet */
	unsigned int seconds; /* as granted by the driver */
};

/* Opens the watchdog if it has appeared. Returns the milliseconds to the next tick: a third of what was granted. */
unsigned int watchdog_tick(struct watchdog *watchdog);

void watchdog_feed(const struct watchdog *watchdog);

/* The magic close: only right before an orderly power-off or halt. */
void watchdog_release(struct watchdog *watchdog);

#endif
