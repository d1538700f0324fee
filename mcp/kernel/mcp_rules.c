// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of authority: what a mode gives, what a grant may ask for.
 *
 * Concern: numbers in, a decision out. Who asks, and what becomes of the
 *          answer, is in mcp_grant.c; what each request costs of it, in
 *          mcp_rules.h.
 * Context: any. Locking: none; the arguments are the caller's own copies.
 *
 * No I/O and no state, so that the same file is compiled by tests on a host.
 */
#include <linux/math.h>
#include <linux/minmax.h>

#include "mcp_rules.h"
#include "mcp_slots.h"

/**
 * mcp_rights_of_mode() - as for a file: the first class that fits decides
 * @mode: nine bits
 * @owner: who asks is the owner
 * @member: who asks is in the group
 *
 * Return: MCP_RIGHT_* bits.
 */
u32 mcp_rights_of_mode(u32 mode, bool owner, bool member)
{
	u32 rights = 0;

	if (owner)
		mode >>= 6;
	else if (member)
		mode >>= 3;
	if (mode & 4)
		rights |= MCP_RIGHT_QUERY | MCP_RIGHT_READ;
	if (mode & 2)
		rights |= MCP_RIGHT_WRITE | MCP_RIGHT_FDS;
	if (mode & 1)
		rights |= MCP_RIGHT_GRANT;
	return rights;
}

/* Bytes as units: a limit that is not zero does not become zero. */
static u32 units_of(u64 bytes)
{
	return min_t(u64, DIV_ROUND_UP_ULL(bytes, MCP_UNIT), ~0u);
}

/**
 * mcp_bounds_narrow() - is what is asked for within what there is?
 * @has: what the handle allows that is to be narrowed
 * @grant: what is asked for
 * @now: CLOCK_MONOTONIC ns
 * @made: out: what the new handle allows
 *
 * Return: 0; -EACCES for something wider, or without the right to grant;
 * -EINVAL for an expiry that has passed; -ELOOP for one level too deep.
 */
int mcp_bounds_narrow(const struct mcp_bounds *has, const struct mcp_grant *grant, u64 now,
		      struct mcp_bounds *made)
{
	if (!(has->rights & MCP_RIGHT_GRANT))
		return -EACCES;
	if (grant->rights & ~has->rights)
		return -EACCES;
	if (grant->max_inflight > has->max_requests)
		return -EACCES;
	if (grant->max_bytes > (u64)has->max_units * MCP_UNIT)
		return -EACCES;
	if (has->expiry && grant->expiry > has->expiry)
		return -EACCES;
	if (grant->expiry && grant->expiry <= now)
		return -EINVAL;
	if (has->depth >= MCP_MAX_DEPTH)
		return -ELOOP;
	*made = (struct mcp_bounds){
		.expiry = grant->expiry ?: has->expiry,
		.rights = grant->rights,
		.depth = has->depth + 1,
		.max_requests = grant->max_inflight ?: has->max_requests,
		.max_units = grant->max_bytes ? units_of(grant->max_bytes) : has->max_units,
	};
	return 0;
}
