// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: handles, and requests that are sent on them.
 * Context: the connection's thread. Locking: none.
 * Lifetime: a handle is the caller's descriptor; a request lives as a struct
 * pending until its end was reported.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "internal.h"
#include "names.h"

#define RESERVE		(64u << 10)
#define MILLION		1000000ull

/* ---- Handles ---------------------------------------------------------------------- */

int libmcp_open(struct libmcp *mcp, const char *name, unsigned int rights, const struct mcp_pin *pins,
		unsigned int npins, struct libmcp_handle *handle)
{
	struct mcp_open open = {
		.size = sizeof(open), .rights = rights, .npins = npins,
		.pins = npins ? (uintptr_t)pins : 0, .pin_size = sizeof(*pins),
	};
	size_t len = strlen(name);

	if (len > MCP_NAME_MAX)
		return -EINVAL;
	memcpy(open.name, name, len);
	if (ioctl(mcp->fd, MCP_IOC_OPEN, &open))
		return -errno;
	*handle = (struct libmcp_handle){ open.fd, open.sender };
	return 0;
}

int libmcp_grant(struct libmcp *mcp, const struct libmcp_handle *from, struct mcp_grant *grant,
		 struct libmcp_handle *handle)
{
	grant->size = sizeof(*grant);
	grant->handle = from->fd;
	grant->pin_size = sizeof(struct mcp_pin);
	if (ioctl(mcp->fd, MCP_IOC_GRANT, grant))
		return -errno;
	*handle = (struct libmcp_handle){ grant->fd, grant->sender };
	return 0;
}

int libmcp_revoke(struct libmcp *mcp, const struct libmcp_handle *with, uint64_t sender)
{
	struct mcp_revoke revoke = {
		.size = sizeof(revoke), .handle = with ? with->fd : -1, .sender = sender,
	};

	return ioctl(mcp->fd, MCP_IOC_REVOKE, &revoke) ? -errno : 0;
}

int libmcp_peer(const struct libmcp_call *call, struct mcp_peer *peer)
{
	*peer = (struct mcp_peer){ .size = sizeof(*peer), .cookie = call->cookie };
	return ioctl(call->mcp->fd, MCP_IOC_PEER, peer) ? -errno : 0;
}

/* ---- Requests --------------------------------------------------------------------- */

static uint32_t reserve_of(const struct libmcp *mcp, const struct libmcp_request *request)
{
	size_t quarter = mcp->arena_bytes / 4 - MCP_BODY_OFFSET;

	if (request->reserve)
		return request->reserve;
	return quarter < RESERVE ? (uint32_t)quarter : RESERVE;
}

static uint64_t deadline_of(const struct libmcp_request *request)
{
	struct timespec now;

	if (!request->timeout_ms)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MILLION + (uint64_t)now.tv_nsec + request->timeout_ms * MILLION;
}

/* The mirrors are filled in from the body, so that they agree with it. */
static int prepare(struct libmcp *mcp, const struct libmcp_request *request, struct pending **out)
{
	struct libmcp_message message;
	struct mcp_envelope *envelope;
	struct pending *pending;
	int error;

	if (request->len > MCP_MAX_BODY || request->reserve > MCP_MAX_BODY)
		return -EMSGSIZE;
	if (request->tool > MCP_TOOL_ID_MAX || request->nfds > MCP_MAX_FDS)
		return -EINVAL;
	/* One of the two says to whom it goes. */
	if (request->parent ? request->handle != -1 : request->handle < 0)
		return -EINVAL;
	error = libmcp_read(request->body, request->len, &message);
	if (error)
		return error;
	if (message.kind != LIBMCP_REQUEST && message.kind != LIBMCP_NOTIFICATION)
		return -EINVAL;
	pending = calloc(1, sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	memcpy(pending->id, message.id.len ? message.id.text : "", message.id.len);
	pending->id_len = message.id.len;
	pending->notify = request->notify;
	pending->request = request->request;
	pending->cancelled = request->cancelled;
	pending->context = request->context;
	pending->frame = new_frame(MCP_REQUEST, request->body, request->len);
	pending->frame.handle = request->parent ? -1 : request->handle;
	pending->frame.result = (uintptr_t)&pending->cookie;
	pending->frame.fds = request->nfds ? (uintptr_t)request->fds : 0;
	envelope = &pending->frame.envelope;
	envelope->tool = request->tool;
	envelope->method = (__u16)method_number(message.method);
	envelope->proto = (__u16)proto_number(message.revision);
	envelope->nfds = (__u8)request->nfds;
	envelope->credit = request->credit;
	envelope->parent = request->parent;
	envelope->reserve = reserve_of(mcp, request);
	envelope->deadline = deadline_of(request);
	pending->next = mcp->pending;
	mcp->pending = pending;
	*out = pending;
	return 0;
}

/* Until the answer is there; what belongs to other calls stays in the inbox. */
static int wait_for(struct libmcp *mcp, struct pending *pending)
{
	while (!pending->over) {
		uint32_t slot = inbox_take_of(mcp, pending);
		int error;

		if (slot) {
			dispatch(mcp, slot);
			continue;
		}
		error = mcp->path->wait(mcp, -1);
		if (error && error != -EINTR)
			return error;
	}
	return 0;
}

static void ignore(struct libmcp *mcp, int error, const struct libmcp_reply *reply, void *context)
{
	(void)mcp;
	(void)error;
	(void)reply;
	(void)context;
}

/* Nobody waits for it any more; what a command points to stays until that completes. */
static void give_up(struct libmcp *mcp, struct pending *pending)
{
	if (!pending->in_ring) {
		pending_drop(mcp, pending);
		return;
	}
	pending->notify = NULL;
	pending->cancelled = NULL;
	pending->done = ignore;
}

int libmcp_call(struct libmcp *mcp, const struct libmcp_request *request, struct libmcp_reply *reply)
{
	struct pending *pending;
	int error;

	*reply = (struct libmcp_reply){ 0 };
	error = prepare(mcp, request, &pending);
	if (error)
		return error;
	if (mcp->path->call) {
		error = mcp->path->call(mcp, pending);
	} else {
		error = mcp->path->start(mcp, pending);
		if (!error)
			error = wait_for(mcp, pending);
	}
	if (!error)
		error = reply_read(mcp, pending, reply);
	give_up(mcp, pending);
	return error;
}

int libmcp_send(struct libmcp *mcp, const struct libmcp_request *request, libmcp_done *done, uint64_t *cookie)
{
	struct pending *pending;
	int error;

	if (!done)
		return -EINVAL;
	error = prepare(mcp, request, &pending);
	if (error)
		return error;
	error = mcp->path->start(mcp, pending);
	/* What ended before it began is not reported twice. */
	if (!error && pending->over && pending->error)
		error = pending->error;
	if (error) {
		give_up(mcp, pending);
		return error;
	}
	pending->done = done;
	if (cookie)
		*cookie = pending->cookie;
	return 0;
}

int libmcp_cancel(struct libmcp *mcp, uint64_t cookie)
{
	struct mcp_frame frame = new_frame(MCP_CANCEL, NULL, 0);

	frame.envelope.cookie = cookie;
	return send_frame(mcp, &frame);
}

int libmcp_notify(struct libmcp *mcp, uint64_t parent, const void *body, size_t len)
{
	struct mcp_frame frame = new_frame(MCP_NOTIFY, body, len);

	if (len > MCP_MAX_BODY)
		return -EMSGSIZE;
	frame.envelope.parent = parent;
	return send_frame(mcp, &frame);
}
