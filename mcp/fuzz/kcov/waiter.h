/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: threads for calls that wait. One is given a call, and the giver goes
 * on once that has ended or sleeps.
 */
#ifndef WAITER_H
#define WAITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <linux/mcp.h>

#include "trace.h"

enum { WAITER_IDLE, WAITER_BUSY, WAITER_DONE };

struct waiter {
	pthread_t thread;
	struct trace trace;
	_Atomic int state;
	int fd;
	unsigned long number;	/* of an ioctl */
	struct mcp_frame *frame;
	unsigned int port;	/* the giver's */
	long result;		/* or -errno */
};

/* 0 or -errno. */
int waiter_start(struct waiter *waiter, int above);
/* It must be idle. */
void waiter_give(struct waiter *waiter, int fd, unsigned long number, struct mcp_frame *frame);
/* A signal, for which the call does not go on. */
void waiter_disturb(struct waiter *waiter);
/* Disturbs until it has ended; false: it does not end. */
bool waiter_stop(struct waiter *waiter);

#endif /* WAITER_H */
