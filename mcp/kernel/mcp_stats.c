// SPDX-License-Identifier: GPL-2.0
/*
 * What has passed since the module was loaded.
 *
 * Concern: counters: messages by kind, bytes copied, refusals by errno.
 * Context: process, and task work of io_uring.
 * Locking: none. What each message costs is a plain addition to a CPU's own
 *          counter, with preemption off; nothing counts in interrupts. A
 *          refusal is an atomic one.
 */
#include <linux/atomic.h>
#include <linux/percpu.h>

#include "mcp_internal.h"
#include "mcp_trace.h"

DEFINE_PER_CPU(struct mcp_stats, mcp_stats);

static atomic64_t refusals[MCP_REASONS];

/**
 * mcp_stats_sum() - of all CPUs
 * @sum: out
 */
void mcp_stats_sum(struct mcp_stats *sum)
{
	unsigned int kind;
	int cpu;

	*sum = (struct mcp_stats){ 0 };
	for_each_possible_cpu(cpu) {
		const struct mcp_stats *stats = per_cpu_ptr(&mcp_stats, cpu);

		for (kind = 0; kind < ARRAY_SIZE(sum->messages); kind++)
			sum->messages[kind] += READ_ONCE(stats->messages[kind]);
		sum->copied += READ_ONCE(stats->copied);
	}
}

/**
 * mcp_refused_count() - how many messages were not sent
 * @reason: below MCP_REASONS
 *
 * Return: a number.
 */
u64 mcp_refused_count(u32 reason)
{
	return atomic64_read(&refusals[reason]);
}

/**
 * mcp_refused() - a message was not sent
 * @error: what its sender gets
 *
 * Return: @error.
 */
int mcp_refused(int error)
{
	trace_mcp_drop(error);
	/* What a policy answers may be any number: those that are no errno are 0. */
	atomic64_inc(&refusals[error < 0 && -error < MCP_REASONS ? -error : 0]);
	return error;
}
