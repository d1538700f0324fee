/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what a task ran of the modules, as the kernel's KCOV tells it
 * (Documentation/dev-tools/kcov.rst).
 */
#ifndef TRACE_H
#define TRACE_H

#include <stddef.h>
#include <stdint.h>

/* Words of a trace; what does not fit is lost. */
#define TRACE_WORDS	(64u << 10)

struct trace {
	int fd;
	unsigned int words;
	uint64_t *area;		/* a count, and as many program counters */
};

/* 0 or -errno. The descriptor gets a number of at least @above. */
int trace_open(struct trace *trace, int above, unsigned int words);
/* This task is traced from now on, until it ends. 0 or -errno. */
int trace_self(const struct trace *trace);
/*
 * What others do on behalf of this task, which is not traced itself: a softirq
 * and a work of mcp_net.ko, which ask for it.
 */
int trace_others(const struct trace *trace);

static inline size_t trace_count(const struct trace *trace)
{
	uint64_t count = __atomic_load_n(trace->area, __ATOMIC_ACQUIRE);

	return count < trace->words ? count : trace->words - 1;
}

static inline void trace_reset(const struct trace *trace)
{
	__atomic_store_n(trace->area, 0, __ATOMIC_RELEASE);
}

#endif /* TRACE_H */
