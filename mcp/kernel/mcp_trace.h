/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what docs/trace.md describes, under events/mcp of tracefs.
 *
 * Concern: which fields each event has.
 * Context: process, and task work of io_uring.
 * Locking: send and deliver: the receiver's lock is held. None may take one.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mcp

#if !defined(MCP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MCP_TRACE_H

#include <linux/tracepoint.h>

#include "mcp_internal.h"

#define mcp_trace_kind(kind)							\
	__print_symbolic(kind, { MCP_REQUEST, "REQUEST" }, { MCP_RESPONSE, "RESPONSE" },	\
			 { MCP_NOTIFY, "NOTIFY" }, { MCP_CANCEL, "CANCEL" })

TRACE_EVENT(mcp_send,
	    TP_PROTO(const struct mcp_msg *msg),
	    TP_ARGS(msg),
	    TP_STRUCT__entry(__field(u64, cookie)
			     __field(u64, parent)
			     __field(u64, sender)
			     __field(u32, tool)
			     __field(u32, length)
			     __field(u32, status)
			     __field(u8, kind)
			     __string(endpoint, msg->exchange->handle->endpoint->name)),
	    TP_fast_assign(const struct mcp_envelope *at = trace_envelope(msg);

			   __entry->cookie = msg->exchange->cookie;
			   __entry->parent = trace_parent(msg);
			   __entry->sender = at->sender;
			   __entry->tool = at->tool;
			   __entry->length = at->len;
			   __entry->status = at->status;
			   __entry->kind = msg->kind;
			   __assign_str(endpoint);),
	    TP_printk("%s cookie=%llu parent=%llu endpoint=%s sender=%llu tool=%u length=%u status=%u",
		      mcp_trace_kind(__entry->kind), __entry->cookie, __entry->parent,
		      __get_str(endpoint), __entry->sender, __entry->tool, __entry->length,
		      __entry->status)
);

TRACE_EVENT(mcp_deliver,
	    TP_PROTO(const struct mcp_msg *msg),
	    TP_ARGS(msg),
	    TP_STRUCT__entry(__field(u64, cookie)
			     __field(u32, slot)
			     __field(u8, kind)),
	    TP_fast_assign(__entry->cookie = msg->exchange->cookie;
			   __entry->slot = mcp_msg_slot(msg);
			   __entry->kind = msg->kind;),
	    TP_printk("%s cookie=%llu slot=%u", mcp_trace_kind(__entry->kind), __entry->cookie,
		      __entry->slot)
);

TRACE_EVENT(mcp_drop,
	    TP_PROTO(int error),
	    TP_ARGS(error),
	    TP_STRUCT__entry(__field(int, error)),
	    TP_fast_assign(__entry->error = error;),
	    TP_printk("error=%d", __entry->error)
);

TRACE_EVENT(mcp_complete,
	    TP_PROTO(const struct mcp_exchange *exchange, int status, u32 answer),
	    TP_ARGS(exchange, status, answer),
	    TP_STRUCT__entry(__field(u64, cookie)
			     __field(u64, latency)
			     __field(u32, status)
			     __field(u32, answer)
			     __string(endpoint, exchange->handle->endpoint->name)),
	    TP_fast_assign(__entry->cookie = exchange->cookie;
			   __entry->latency = trace_latency(exchange);
			   __entry->status = status;
			   __entry->answer = answer;
			   __assign_str(endpoint);),
	    TP_printk("cookie=%llu endpoint=%s status=%u answer=%u latency_ns=%llu",
		      __entry->cookie, __get_str(endpoint), __entry->status, __entry->answer,
		      __entry->latency)
);

#endif /* MCP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE mcp_trace
#include <trace/define_trace.h>
