// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: threads for calls that wait.
 * Context: user space. A waiter has a real-time priority, and all share one CPU:
 *	    it runs until it sleeps before who gave it a call goes on, so that
 *	    the order of calls is that of the sequence.
 * Locking: @state, with acquire and release, says whose the rest is.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mcp_test.h"
#include "waiter.h"

#define PATIENCE_MS 10000

static void *serve(void *argument)
{
	struct waiter *waiter = argument;
	struct sched_param before = { .sched_priority = 1 };

	/* musl has none that works. */
	if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &before))
		bail_out("a priority");
	if (trace_self(&waiter->trace))
		bail_out("a trace");
	for (;;) {
		while (atomic_load(&waiter->state) != WAITER_BUSY)
			syscall(SYS_futex, &waiter->state, FUTEX_WAIT_PRIVATE,
				atomic_load(&waiter->state) == WAITER_BUSY ? INT_MAX :
				atomic_load(&waiter->state), NULL, NULL, 0);
		waiter->result = call(waiter->fd, waiter->number, waiter->frame);
		atomic_store(&waiter->state, WAITER_DONE);
	}
	return NULL;
}

int waiter_start(struct waiter *waiter, int above)
{
	int error = trace_open(&waiter->trace, above, TRACE_WORDS);

	atomic_store(&waiter->state, WAITER_IDLE);
	return error ?: -pthread_create(&waiter->thread, NULL, serve, waiter);
}

void waiter_give(struct waiter *waiter, int fd, unsigned long number, struct mcp_frame *frame)
{
	waiter->fd = fd;
	waiter->number = number;
	waiter->frame = frame;
	atomic_store(&waiter->state, WAITER_BUSY);
	syscall(SYS_futex, &waiter->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void waiter_disturb(struct waiter *waiter)
{
	pthread_kill(waiter->thread, SIGUSR1);
}

bool waiter_stop(struct waiter *waiter)
{
	for (int i = 0; i < PATIENCE_MS && atomic_load(&waiter->state) == WAITER_BUSY; i++) {
		waiter_disturb(waiter);
		if (atomic_load(&waiter->state) == WAITER_BUSY)
			sleep_ms(1);
	}
	return atomic_load(&waiter->state) != WAITER_BUSY;
}
