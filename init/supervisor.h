/* SPDX-License-Identifier: MIT */
/* The supervisor (s6-svscan) as PID 1 sees it: started, probed, restarted, given up. */
#ifndef PROTOPI_SUPERVISOR_H
#define PROTOPI_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SUPERVISOR_DEATHS 3	  /* so many deaths ... */
#define SUPERVISOR_WINDOW 60000	  /* ... within so many milliseconds mean an orderly reboot */
#define SUPERVISOR_GRACE 30000	  /* milliseconds that it may take from its start to its first answer */

struct supervisor {
	pid_t setup; /* /usr/lib/protopi/start-services while it runs, else 0 */
	pid_t pid;   /* s6-svscan, or 0 */
	bool probed; /* a probe is in its FIFO, unless it took it out */
	bool silent; /* the kernel log knows that it does not answer */
	uint64_t grace_until;
	uint64_t deaths[SUPERVISOR_DEATHS]; /* a ring of times */
	unsigned int died;
};

/* Runs the start script; the supervisor follows when that ends. */
void supervisor_begin(struct supervisor *supervisor, uint64_t now);

/*
 * A child has ended. Starts the supervisor after the start script, and again at once after its own death.
 * Returns true when it has died too often: reboot.
 */
bool supervisor_reaped(struct supervisor *supervisor, pid_t pid, int status, uint64_t now);

/* Called on each tick. True: it has taken the last probe out of its FIFO, or is still starting. Sends the next one. */
bool supervisor_answers(struct supervisor *supervisor, uint64_t now);

#endif
