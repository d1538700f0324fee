/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Limits on what is in flight: requests, and units of arenas.
 *
 * Concern: two counters that go up together or not at all.
 * Context: any. Locking: none; both counters are one atomic word, requests in
 *          its upper 24 bits and units in its lower 40, so that a charge is
 *          one instruction and never half done.
 */
#ifndef _MCP_QUOTA_H
#define _MCP_QUOTA_H

#include <linux/atomic.h>
#include <linux/types.h>

#define MCP_QUOTA_SHIFT	40
#define MCP_QUOTA_UNITS	((1ull << MCP_QUOTA_SHIFT) - 1)

struct mcp_quota {
	atomic64_t taken;
	u32 max_requests;
	u32 max_units;
};

static inline void mcp_quota_init(struct mcp_quota *quota, u32 max_requests, u32 max_units)
{
	atomic64_set(&quota->taken, 0);
	quota->max_requests = max_requests;
	quota->max_units = max_units;
}

static inline u64 mcp_quota_word(u32 requests, u32 units)
{
	return (u64)requests << MCP_QUOTA_SHIFT | units;
}

static inline void mcp_quota_uncharge(struct mcp_quota *quota, u32 requests, u32 units)
{
	atomic64_sub(mcp_quota_word(requests, units), &quota->taken);
}

/**
 * mcp_quota_charge() - take, if it stays within the limits
 * @quota: whose
 * @requests: to be added
 * @units: to be added
 * @ceiling: a limit on units beside the quota's own
 *
 * Return: true if it was taken.
 */
static inline bool mcp_quota_charge(struct mcp_quota *quota, u32 requests, u32 units, u32 ceiling)
{
	u64 now = atomic64_add_return(mcp_quota_word(requests, units), &quota->taken);
	u64 taken = now & MCP_QUOTA_UNITS;

	if (now >> MCP_QUOTA_SHIFT <= quota->max_requests && taken <= quota->max_units &&
	    taken <= ceiling)
		return true;
	mcp_quota_uncharge(quota, requests, units);
	return false;
}

static inline u32 mcp_quota_requests(const struct mcp_quota *quota)
{
	return (u64)atomic64_read(&quota->taken) >> MCP_QUOTA_SHIFT;
}

static inline u64 mcp_quota_units(const struct mcp_quota *quota)
{
	return (u64)atomic64_read(&quota->taken) & MCP_QUOTA_UNITS;
}

#endif /* _MCP_QUOTA_H */
