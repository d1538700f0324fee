// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: a request from the outside: is it what its envelope says, and whose
 * is it. This is the comparison that docs/transport.md demands; a server that
 * uses this library cannot leave it out.
 * Context: the connection's thread. Locking: none.
 * Lifetime: a call until its answer, or its CANCEL.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "json.h"
#include "names.h"

enum {
	PARSE_ERROR = -32700, INVALID_REQUEST = -32600, METHOD_NOT_FOUND = -32601,
	INVALID_PARAMS = -32602, INTERNAL_ERROR = -32603, HEADER_MISMATCH = -32020,
};

/* ---- Calls that are open -------------------------------------------------------- */

static int open_add(struct libmcp *mcp, uint64_t cookie, uint32_t slot)
{
	if (mcp->nopen == mcp->open_size) {
		unsigned int size = 2 * mcp->open_size + 16;
		struct open_call *grown = realloc(mcp->open, size * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		mcp->open = grown;
		mcp->open_size = size;
	}
	mcp->open[mcp->nopen++] = (struct open_call){ cookie, slot };
	return 0;
}

static struct open_call *open_find(struct libmcp *mcp, uint64_t cookie)
{
	for (unsigned int i = 0; i < mcp->nopen; i++) {
		if (mcp->open[i].cookie == cookie)
			return &mcp->open[i];
	}
	return NULL;
}

/*
 * The one whose request lies there, if its CANCEL does: a CANCEL may be about one
 * that was answered before it was read, and then anything may lie there by now.
 */
uint64_t open_cancelled(const struct libmcp *mcp, uint32_t slot)
{
	const struct mcp_envelope *cancel = envelope_at(mcp, slot + MCP_CANCEL_OFFSET);

	for (unsigned int i = 0; i < mcp->nopen; i++) {
		if (mcp->open[i].slot == slot)
			return cancel->kind == MCP_CANCEL && cancel->cookie == mcp->open[i].cookie ?
				       cancel->cookie : 0;
	}
	return 0;
}

bool open_forget(struct libmcp *mcp, uint64_t cookie)
{
	struct open_call *found = open_find(mcp, cookie);

	if (!found)
		return false;
	*found = mcp->open[--mcp->nopen];
	return true;
}

/* ---- What the envelope mirrors ---------------------------------------------------- */

/* Without a handler, so the descriptors that came are nobody's. */
static int refuse(struct libmcp_call *call, int code, const char *what)
{
	close_fds(call->mcp, call->slot);
	return libmcp_error(call, code, what);
}

static int mismatch(struct libmcp_call *call, const char *what)
{
	return refuse(call, HEADER_MISMATCH, what);
}

/* The other name only if it can be shown as it is. */
static int tool_mismatch(struct libmcp_call *call, const struct tool_row *row)
{
	char text[3 * MCP_NAME_SIZE], name[MCP_NAME_SIZE], plain[MCP_NAME_SIZE];
	int len = libmcp_string(call->message.name, name, sizeof(name));
	bool shown = len > 0 && !libmcp_bus_name(name, (size_t)len, plain) && !strcmp(name, plain);

	snprintf(text, sizeof(text), "envelope names tool %u (%s), body names %s", row->id, row->bus_name,
		 shown ? name : "another");
	return mismatch(call, text);
}

/* 0, or 1 when the call was refused. */
static int check_mirrors(struct libmcp_call *call, const struct mcp_envelope *envelope,
			 const struct tool_row *row)
{
	const struct libmcp_message *message = &call->message;
	bool calls_tool = libmcp_text_is(message->method, "tools/call");
	unsigned int proto = proto_number(message->revision);

	/* Nobody has checked the tool of a nested request, so there is none that may be called. */
	if (call->parent && (call->tool || calls_tool)) {
		mismatch(call, "a nested request calls no tool");
		return 1;
	}
	if (call->tool && !calls_tool) {
		mismatch(call, "envelope names a tool, body calls none");
		return 1;
	}
	if (row && (!message->name.len || *message->name.text != '"' ||
		    json_compare(json_units(message->name), json_units(row->name)))) {
		tool_mismatch(call, row);
		return 1;
	}
	if (!call->tool && calls_tool) {
		mismatch(call, "body calls a tool, envelope names none");
		return 1;
	}
	if (envelope->method && envelope->method != method_number(message->method)) {
		mismatch(call, "envelope names another method than body");
		return 1;
	}
	if (envelope->proto && message->revision.len && envelope->proto != proto) {
		mismatch(call, "envelope names another revision than body");
		return 1;
	}
	return 0;
}

/* ---- Whose it is ------------------------------------------------------------------ */

/* Runs a handler, and answers what it left without an answer. */
static void handle(struct libmcp_call *call, libmcp_handler *handler, void *context)
{
	struct libmcp_call copy = *call;
	int result;

	call->context = context;
	result = handler(call);
	if (result == LIBMCP_LATER || !open_find(copy.mcp, copy.cookie))
		return;
	if (!result && copy.message.kind == LIBMCP_NOTIFICATION)
		libmcp_taken(&copy);
	else
		libmcp_error(&copy, INTERNAL_ERROR, result ? libmcp_error_name(result) : "no answer");
}

static void serve_tool(struct libmcp_call *call, const struct tool_row *row)
{
	if (row)
		handle(call, row->call, row->context);
	else
		refuse(call, INVALID_PARAMS, "unknown tool");	/* it was there when this was sent */
}

static void list_tools(struct libmcp_call *call)
{
	close_fds(call->mcp, call->slot);
	handle(call, answer_tools_list, NULL);
}

static void serve_message(struct libmcp_call *call, const struct mcp_envelope *envelope)
{
	struct libmcp *mcp = call->mcp;
	struct pending *outer = call->parent ? pending_find(mcp, call->parent) : NULL;
	const struct tool_row *row = call->tool ? tool_find(&mcp->tools, call->tool) : NULL;
	int error = libmcp_read(call->body, call->len, &call->message);
	/* Asked within a call that is over: the service is not who was called. */
	bool lost = call->parent && !outer && !open_find(mcp, call->parent);

	if (lost || (outer && !outer->request)) {
		close_fds(mcp, call->slot);
		/* A modern client sends no JSON-RPC answers. */
		libmcp_answer(call, NULL, 0, NULL, 0);
		return;
	}
	if (error) {
		if (error == -EBADMSG)
			refuse(call, PARSE_ERROR, "not JSON");
		else
			refuse(call, INVALID_REQUEST, "not a JSON-RPC message");
		return;
	}
	if (call->message.kind != LIBMCP_REQUEST && call->message.kind != LIBMCP_NOTIFICATION) {
		refuse(call, INVALID_REQUEST, "an answer to nothing");
		return;
	}
	if (check_mirrors(call, envelope, row))
		return;
	if (outer)
		handle(call, outer->request, outer->context);
	else if (call->tool)
		serve_tool(call, row);
	else if (mcp->tools.count && libmcp_text_is(call->message.method, "tools/list"))
		list_tools(call);
	else if (mcp->service.request)
		handle(call, mcp->service.request, mcp->service.context);
	else
		refuse(call, METHOD_NOT_FOUND, "method not found");
}

void serve_request(struct libmcp *mcp, uint32_t slot)
{
	const struct mcp_envelope *envelope = envelope_at(mcp, slot);
	struct libmcp_call call = {
		.mcp = mcp, .cookie = envelope->cookie, .sender = envelope->sender,
		.parent = envelope->parent, .deadline = envelope->deadline, .tool = envelope->tool,
		.reserve = envelope->reserve, .credit = envelope->credit, .slot = slot,
		.body = (const char *)mcp->arena + slot + MCP_BODY_OFFSET, .len = envelope->len,
	};

	/* Cancelled before anybody looked: nobody needs to. Or that was about one that lay here before. */
	if (inbox_remove(mcp, slot + MCP_CANCEL_OFFSET) &&
	    envelope_at(mcp, slot + MCP_CANCEL_OFFSET)->cookie == call.cookie) {
		close_fds(mcp, slot);
		release_slot(mcp, slot);
		return;
	}
	call.nfds = message_fds(mcp, slot, &call.fds);
	if (open_add(mcp, call.cookie, slot)) {
		/* Without memory for it, it is answered without a look. */
		close_fds(mcp, slot);
		libmcp_error(&call, INTERNAL_ERROR, "out of memory");
		return;
	}
	serve_message(&call, envelope);
}

