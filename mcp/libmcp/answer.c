// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: answers to requests. One that is made here is held until the next
 * system call, which so answers and waits; one that is the caller's memory goes
 * at once.
 * Context: the connection's thread. Locking: none.
 * Lifetime: the call is over with its answer: its body is gone.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static void begin(struct buffer *out, const struct libmcp_call *call)
{
	out->len = 0;
	out->error = 0;
	buffer_text(out, "{\"jsonrpc\":\"2.0\"");
	/* What was not read to its end has no id either. */
	if (call->message.kind == LIBMCP_REQUEST) {
		buffer_text(out, ",\"id\":");
		buffer_add(out, call->message.id.text, call->message.id.len);
	}
}

/* What is in the buffer is the answer. */
static int hold(struct libmcp_call *call, size_t len)
{
	struct libmcp *mcp = call->mcp;

	mcp->held_frame = new_frame(MCP_RESPONSE, mcp->held_body.data, len);
	mcp->held_frame.envelope.cookie = call->cookie;
	mcp->held_parent = call->parent;
	mcp->held = true;
	open_forget(mcp, call->cookie);
	return 0;
}

/* The buffer is free for an answer. */
static int make_room(struct libmcp *mcp)
{
	return mcp->held ? mcp->path->stage(mcp) : 0;
}

int libmcp_error(struct libmcp_call *call, int code, const char *message)
{
	struct buffer *out = &call->mcp->held_body;
	int error = make_room(call->mcp);

	if (error)
		return error;
	for (;;) {
		begin(out, call);
		buffer_text(out, ",\"error\":{\"code\":");
		buffer_number(out, code);
		buffer_text(out, ",\"message\":");
		buffer_quoted(out, message, strlen(message));
		buffer_text(out, "}}");
		if (out->error || out->len <= call->reserve || !*message)
			break;
		message = "";	/* better without than not at all */
	}
	if (!out->error && out->len <= call->reserve)
		return hold(call, out->len);
	/* It has to end: with an answer that is none. */
	error = out->error ? out->error : -EMSGSIZE;
	hold(call, 0);
	return error;
}

int libmcp_result(struct libmcp_call *call, const char *json, size_t len)
{
	struct buffer *out = &call->mcp->held_body;
	int error = make_room(call->mcp);

	if (error)
		return error;
	if (call->message.kind != LIBMCP_REQUEST)
		return -EINVAL;
	begin(out, call);
	buffer_text(out, ",\"result\":");
	/* Before it is copied: what does not fit need not be. */
	if (len >= call->reserve || out->len + len + 1 > call->reserve)
		return libmcp_error(call, -32603, "result too large");
	buffer_add(out, json, len);
	buffer_text(out, "}");
	if (out->error)
		return libmcp_error(call, -32603, "out of memory");
	return hold(call, out->len);
}

int libmcp_result_text(struct libmcp_call *call, const char *text, size_t len, bool failed)
{
	struct buffer out = { 0 };
	int error;

	buffer_text(&out, "{\"content\":[{\"type\":\"text\",\"text\":");
	buffer_quoted(&out, text, len);
	buffer_text(&out, failed ? "}],\"isError\":true" : "}],\"isError\":false");
	/* Only revisions that say so in each request know it. */
	if (call->message.revision.len)
		buffer_text(&out, ",\"resultType\":\"complete\"");
	buffer_text(&out, "}");
	error = out.error ? libmcp_error(call, -32603, "out of memory") : libmcp_result(call, out.data, out.len);
	buffer_free(&out);
	return error;
}

int libmcp_taken(struct libmcp_call *call)
{
	int error = make_room(call->mcp);

	if (error)
		return error;
	if (call->message.kind == LIBMCP_REQUEST)
		return -EINVAL;
	return hold(call, 0);
}

int libmcp_answer(struct libmcp_call *call, const void *body, size_t len, const int *fds, unsigned int nfds)
{
	struct mcp_frame frame = new_frame(MCP_RESPONSE, body, len);
	int error;

	if (len > MCP_MAX_BODY)
		return -EMSGSIZE;
	if (nfds > MCP_MAX_FDS)
		return -EINVAL;
	frame.envelope.cookie = call->cookie;
	frame.envelope.nfds = (__u8)nfds;
	frame.fds = nfds ? (uintptr_t)fds : 0;
	error = send_frame(call->mcp, &frame);
	/* Others leave the call as it was. */
	if (!error || answer_is_late(error))
		open_forget(call->mcp, call->cookie);
	return error;
}
