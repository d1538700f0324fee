/* SPDX-License-Identifier: GPL-2.0 */
/* What authority may do, as rules over numbers. No I/O, no state. */
#ifndef _MCP_RULES_H
#define _MCP_RULES_H

#include <linux/errno.h>
#include <linux/types.h>

#include <linux/mcp.h>

#define MCP_RIGHTS (MCP_RIGHT_QUERY | MCP_RIGHT_READ | MCP_RIGHT_WRITE | MCP_RIGHT_FDS | \
		    MCP_RIGHT_GRANT)

/**
 * struct mcp_bounds - what a handle allows, of which a grant gives no more
 * @expiry: CLOCK_MONOTONIC ns, 0 for never
 * @rights: MCP_RIGHT_*
 * @depth: grants between it and the handle that was opened
 * @max_requests: unanswered ones
 * @max_units: of arenas
 */
struct mcp_bounds {
	u64 expiry;
	u32 rights;
	u32 depth;
	u32 max_requests;
	u32 max_units;
};

u32 mcp_rights_of_mode(u32 mode, bool owner, bool member);
int mcp_bounds_narrow(const struct mcp_bounds *has, const struct mcp_grant *grant, u64 now,
		      struct mcp_bounds *made);

/**
 * mcp_check_pinned() - is a tool what it was when the handle was made?
 * @pinned: serial number of the table then
 * @born: of the change that put the tool into the table
 * @changed: of the last one that changed it
 * @named: the handle names this tool, so it was there once
 *
 * Return: 0; -EACCES for one that was added since; -ESTALE for another one.
 */
static inline int mcp_check_pinned(u64 pinned, u64 born, u64 changed, bool named)
{
	if (changed <= pinned)
		return 0;
	return born > pinned && !named ? -EACCES : -ESTALE;
}

/**
 * mcp_check_tool_rights() - do these rights lead to such a tool?
 * @rights: of a handle
 * @flags: MCP_TOOL_* of a tool
 *
 * Return: 0 or -EACCES.
 */
static inline int mcp_check_tool_rights(u32 rights, u32 flags)
{
	u32 enough = MCP_RIGHT_WRITE;

	if (flags & MCP_TOOL_READ_ONLY)
		enough |= MCP_RIGHT_READ;
	return rights & enough ? 0 : -EACCES;
}

#endif /* _MCP_RULES_H */
