/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Limits on what is in flight: requests, and units of arenas.
 *
 * Concern: two counters that go up together or not at all.
 * Context: any. Locking: none; both counters are one atomic word, requests in
 *          its upper 24 bits and units in its lower 40, so that a charge is
 *          one instruction and never half done. Where all who charge an account
 *          hold one lock, the *_locked() forms do without atomic instructions;
 *          an account has one form or the other.
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

static inline void mcp_quota_uncharge_locked(struct mcp_quota *quota, u32 requests, u32 units)
{
	u64 now = atomic64_read(&quota->taken);

	atomic64_set(&quota->taken, now - mcp_quota_word(requests, units));
}

static inline bool mcp_quota_fits(const struct mcp_quota *quota, u64 now, u32 ceiling)
{
	u64 units = now & MCP_QUOTA_UNITS;

	return now >> MCP_QUOTA_SHIFT <= quota->max_requests && units <= quota->max_units &&
	       units <= ceiling;
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

	if (mcp_quota_fits(quota, now, ceiling))
		return true;
	mcp_quota_uncharge(quota, requests, units);
	return false;
}

/* As mcp_quota_charge(), under the account's lock. */
static inline bool mcp_quota_charge_locked(struct mcp_quota *quota, u32 requests, u32 units,
					   u32 ceiling)
{
	u64 now = atomic64_read(&quota->taken) + mcp_quota_word(requests, units);

	if (!mcp_quota_fits(quota, now, ceiling))
		return false;
	atomic64_set(&quota->taken, now);
	return true;
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
