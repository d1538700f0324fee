// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: whose a message is; and the calls of ours that are open.
 * Context: the connection's thread. Locking: none.
 * Lifetime: a struct pending from its request to its report.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "json.h"

struct pending *pending_find(struct libmcp *mcp, uint64_t cookie)
{
	struct pending *pending;

	for (pending = mcp->pending; pending; pending = pending->next) {
		if (!pending->over && pending->cookie == cookie)
			return pending;
	}
	return NULL;
}

void pending_drop(struct libmcp *mcp, struct pending *pending)
{
	for (struct pending **at = &mcp->pending; *at; at = &(*at)->next) {
		if (*at == pending) {
			*at = pending->next;
			break;
		}
	}
	free(pending);
}

void pending_end(struct libmcp *mcp, struct pending *pending, int error, uint32_t slot)
{
	(void)mcp;
	pending->over = true;
	pending->error = error;
	pending->slot = slot;
}

static bool same_id(struct libmcp_text a, struct libmcp_text b)
{
	char left[JSON_NUMBER_SIZE], right[JSON_NUMBER_SIZE];

	if ((*a.text == '"') != (*b.text == '"'))
		return false;
	if (*a.text == '"')
		return !json_compare(json_units(a), json_units(b));
	return json_number(a, left) > 0 && json_number(b, right) > 0 && !strcmp(left, right);
}

/* Whether it is an answer to what was asked. */
static bool is_answer(const struct pending *pending, struct libmcp_reply *reply)
{
	struct libmcp_text id = { pending->id, pending->id_len };
	struct libmcp_message *message = &reply->message;

	*message = (struct libmcp_message){ 0 };
	if (!reply->len)
		return !id.len;	/* a notification was taken */
	if (libmcp_read(reply->body, reply->len, message))
		return false;
	/* Who could not read the request could not read its id either. */
	if (message->kind == LIBMCP_ERROR && !message->id.len)
		return true;
	if (message->kind != LIBMCP_ERROR && message->kind != LIBMCP_RESULT)
		return false;
	return id.len && same_id(id, message->id);
}

int reply_read(struct libmcp *mcp, const struct pending *pending, struct libmcp_reply *reply)
{
	const struct mcp_envelope *envelope;
	uint32_t slot = pending->slot;

	*reply = (struct libmcp_reply){ 0 };
	if (pending->error)
		return pending->error;
	envelope = envelope_at(mcp, slot);
	if (envelope->flags & MCP_F_KERNEL) {
		int error = -(int)envelope->status;

		release_slot(mcp, slot);
		return error;
	}
	reply->slot = slot;
	reply->body = (const char *)mcp->arena + slot + MCP_BODY_OFFSET;
	reply->len = envelope->len;
	reply->nfds = message_fds(mcp, slot, &reply->fds);
	if (is_answer(pending, reply))
		return 0;
	close_fds(mcp, slot);
	release_slot(mcp, slot);
	*reply = (struct libmcp_reply){ 0 };
	return -EPROTO;
}

bool pending_report(struct libmcp *mcp)
{
	for (struct pending **at = &mcp->pending; *at; at = &(*at)->next) {
		struct pending *pending = *at;
		struct libmcp_reply reply;
		int error;

		if (!pending->over || !pending->done)
			continue;
		*at = pending->next;
		error = reply_read(mcp, pending, &reply);
		pending->done(mcp, error, error ? NULL : &reply, pending->context);
		libmcp_release(mcp, &reply);
		free(pending);
		return true;
	}
	return false;
}

static void dispatch_response(struct libmcp *mcp, uint32_t slot)
{
	struct pending *pending = pending_find(mcp, envelope_at(mcp, slot)->cookie);

	if (pending) {
		pending_end(mcp, pending, 0, slot);
		return;
	}
	/* Of a call that could not be waited for any more. */
	close_fds(mcp, slot);
	release_slot(mcp, slot);
}

static void dispatch_notify(struct libmcp *mcp, uint32_t slot)
{
	const struct mcp_envelope *envelope = envelope_at(mcp, slot);
	const char *body = (const char *)mcp->arena + slot + MCP_BODY_OFFSET;
	struct pending *pending = pending_find(mcp, envelope->parent);

	/* No notification of MCP comes with descriptors. */
	close_fds(mcp, slot);
	if (pending && pending->notify)
		pending->notify(mcp, envelope->parent, body, envelope->len, pending->context);
	else if (!pending && mcp->service.notify)
		mcp->service.notify(mcp, envelope->parent, body, envelope->len, mcp->service.context);
	/* Now, since the peer's credit comes back with it. */
	release_slot(mcp, slot);
}

/* A request ends without our answer; one that was answered before this was read has ended. */
static void dispatch_cancel(struct libmcp *mcp, uint32_t slot)
{
	uint64_t cookie = open_cancelled(mcp, slot - MCP_CANCEL_OFFSET);
	struct pending *outer;
	int error;

	if (!cookie || !open_forget(mcp, cookie))
		return;
	error = -(int)envelope_at(mcp, slot)->status;
	outer = pending_find(mcp, envelope_at(mcp, slot - MCP_CANCEL_OFFSET)->parent);
	if (outer && outer->cancelled)
		outer->cancelled(mcp, cookie, error, outer->context);
	else if (!outer && mcp->service.cancelled)
		mcp->service.cancelled(mcp, cookie, error, mcp->service.context);
	release_slot(mcp, slot - MCP_CANCEL_OFFSET);
}

void dispatch(struct libmcp *mcp, uint32_t slot)
{
	if (slot % 256 == MCP_CANCEL_OFFSET) {
		dispatch_cancel(mcp, slot);
		return;
	}
	switch (envelope_at(mcp, slot)->kind) {
	case MCP_REQUEST:
		serve_request(mcp, slot);
		break;
	case MCP_RESPONSE:
		dispatch_response(mcp, slot);
		break;
	default:
		dispatch_notify(mcp, slot);
	}
}
