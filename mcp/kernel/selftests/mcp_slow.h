/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: memory that is not there until the test says so, so that the kernel
 * stands still in the middle of a copy. It is a private mapping of a file whose
 * file system (FUSE) is a thread of the test.
 */
#ifndef MCP_SLOW_H
#define MCP_SLOW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define SLOW_BYTES	4096u

struct slow {
	int fuse;
	char path[64];
	pthread_t server;
	unsigned char *memory;	/* SLOW_BYTES, readable and writable */
};

/* Memory that nobody has touched yet. False: there is no FUSE here. */
bool slow_open(struct slow *slow);
/* Whether somebody stands in that memory, within SOON. */
bool slow_reached(const struct slow *slow);
/* It is there, and all of it is @byte: who stands there goes on. */
void slow_fill(struct slow *slow, unsigned char byte);
/* It will never be there: who stands there gets EFAULT. */
void slow_refuse(struct slow *slow);
void slow_close(struct slow *slow);

#endif /* MCP_SLOW_H */
