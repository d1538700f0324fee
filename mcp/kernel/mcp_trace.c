// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: the code that the tracepoints of mcp_trace.h are made of, once; where
 *	    they find what they tell.
 */
#include <linux/timekeeping.h>

#include "mcp_internal.h"

#ifdef CONFIG_TRACEPOINTS

/* The envelope that the receiver reads. */
static const struct mcp_envelope *trace_envelope(const struct mcp_msg *msg)
{
	const struct mcp_exchange *exchange = msg->exchange;
	const struct mcp_port *receiver = msg->flags & MCP_MSG_TO_SERVER ? exchange->server :
									   exchange->caller;
	const struct mcp_envelope *at = mcp_area_at(receiver->area, msg->unit);

	return msg->kind == MCP_CANCEL ? at + 1 : at;
}

/* The cookie of the exchange that it is nested in, or 0. */
static u64 trace_parent(const struct mcp_msg *msg)
{
	return msg->exchange->parent ? msg->exchange->parent->cookie : 0;
}

static u64 trace_latency(const struct mcp_exchange *exchange)
{
	return exchange->began ? ktime_get_ns() - exchange->began : 0;
}

#define CREATE_TRACE_POINTS
#include "mcp_trace.h"

#endif
