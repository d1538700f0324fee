// SPDX-License-Identifier: GPL-2.0
/*
 * A REQUEST: who may send it, what it costs, and the moment it is there.
 *
 * Concern: admission. In two steps, since an io_uring command has to be made
 *          cancelable between them: everything that can fail is done before
 *          anybody can see the exchange.
 * Context: process.
 * Locking: the server's lock, then the caller's, one after the other; none
 *          over the copy of the body.
 * Lifetime: nobody knows an exchange before mcp_request_publish(), so until
 *           then it is freed whatever its references.
 */
#include <linux/file.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "mcp_internal.h"
#include "mcp_trace.h"

/* The server is the handle's endpoint. */
static int aim_at_endpoint(struct mcp_exchange *exchange, const struct mcp_frame *frame)
{
	struct mcp_handle *handle = NULL;
	struct fd fd = fdget(frame->handle);
	int error = -EBADF;

	if (fd_file(fd))
		handle = mcp_handle_of(fd_file(fd));
	else
		handle = exchange->caller->bound;
	if (handle) {
		exchange->handle = mcp_handle_get(handle);
		error = mcp_handle_admit(handle, &frame->envelope);
	}
	fdput(fd);
	if (error)
		return error;
	exchange->sender = handle->sender;
	exchange->server = mcp_endpoint_port(handle->endpoint);
	return exchange->server ? 0 : -EPIPE;
}

/* The server is the other side of the exchange that it is nested in. */
static int aim_at_peer(struct mcp_exchange *exchange, const struct mcp_frame *frame)
{
	struct mcp_exchange *parent;

	if (frame->handle != -1)
		return -EINVAL;
	parent = mcp_exchange_find_of(exchange->caller, frame->envelope.parent);
	if (!parent)
		return -ENOENT;
	exchange->parent = parent;
	if (parent->depth + 1 > MCP_MAX_NESTING)
		return -ELOOP;
	if (parent->server == exchange->caller) {
		exchange->server = mcp_port_get(parent->caller);
		exchange->to_parent = true;
		exchange->backward = !parent->backward;
	} else {
		exchange->server = mcp_port_get(parent->server);
		exchange->backward = parent->backward;
	}
	exchange->depth = parent->depth + 1;
	exchange->handle = mcp_handle_get(parent->handle);
	if (!mcp_may_send_fds(exchange, true, frame->envelope.nfds))
		return -EACCES;
	exchange->sender = mcp_sender_to(exchange, true);
	/* The endpoint acts on the tool that is stamped, nested or not. */
	if (frame->envelope.tool && !exchange->backward)
		return mcp_handle_admit(exchange->handle, &frame->envelope);
	return READ_ONCE(exchange->handle->error) ? -exchange->handle->error : 0;
}

/* The nearer of the caller's deadline and the handle's expiry. */
static int set_deadline(struct mcp_exchange *exchange, u64 deadline)
{
	u64 expiry = exchange->handle->expiry;

	exchange->deadline = deadline;
	if (expiry && (!deadline || expiry < deadline)) {
		exchange->deadline = expiry;
		exchange->expiry_first = true;
	}
	if (!exchange->deadline)
		return 0;
	/* Before anybody can end it. */
	mcp_exchange_set_timer(exchange);
	if (exchange->deadline > ktime_get_ns())
		return 0;
	return exchange->expiry_first ? -EKEYEXPIRED : -ETIMEDOUT;
}

/* A slot in the server's arena, busy until the request is published. */
static int take_slot(struct mcp_exchange *exchange, const struct mcp_envelope *envelope)
{
	struct mcp_port *server = exchange->server;
	struct mcp_msg *request = &exchange->request;
	u32 units = mcp_units(envelope->len, envelope->nfds), quarter;
	int error = 0;

	spin_lock(&server->lock);
	if (server->dead || !server->area) {
		error = server->dead ? -EPIPE : -ENOBUFS;
		goto out;
	}
	quarter = server->area->slots.units / 4;
	if (units > quarter)
		error = -EMSGSIZE;
	else if (envelope->nfds && !server->area->takes_fds)
		error = -EPERM;
	else if (!mcp_charge(exchange, true, 1, units, quarter))
		error = -EDQUOT;
	if (error)
		goto out;
	request->unit = mcp_slots_take(&server->area->slots, units, request);
	if (!request->unit) {
		mcp_uncharge(exchange, true, 1, units);
		error = -ENOBUFS;
		goto out;
	}
	request->units = units;
	request->flags |= MCP_MSG_BUSY;
	exchange->filling = mcp_area_begin(server->area);
	if (!exchange->parent) {
		exchange->handle->calls++;
		exchange->handle->body_bytes += envelope->len;
	}
out:
	spin_unlock(&server->lock);
	return error;
}

static void give_slot(struct mcp_exchange *exchange)
{
	struct mcp_area *area = exchange->filling;
	bool last;

	spin_lock(&exchange->server->lock);
	mcp_msg_give(area, &exchange->request);
	last = mcp_area_end(area);
	spin_unlock(&exchange->server->lock);
	if (last)
		mcp_area_free(area);
}

/* Space for the answer, whose owner is the exchange from here on. */
static int reserve(struct mcp_exchange *exchange, u32 bytes)
{
	struct mcp_port *caller = exchange->caller;
	struct mcp_msg *response = &exchange->response;
	int error = -ENOBUFS;

	response->units = mcp_units(bytes, 0);
	spin_lock(&caller->lock);
	if (caller->area)
		response->unit = mcp_slots_take(&caller->area->slots, response->units, response);
	if (response->unit) {
		error = 0;
		list_add_tail(&exchange->call_node, &caller->calls);
	}
	spin_unlock(&caller->lock);
	return error;
}

/*
 * Take back what reserve() did, unless the exchange has ended meanwhile, or
 * somebody has taken the command to end it: then that one does so, and tells the
 * caller. Returns whether it was taken back.
 */
static bool unreserve(struct mcp_exchange *exchange, int error)
{
	struct mcp_port *caller = exchange->caller;
	struct mcp_msg *response = &exchange->response;
	bool ours, left = false;

	spin_lock(&caller->lock);
	ours = exchange->call_state == MCP_CALL_WAITING &&
	       (exchange->answer != MCP_ANSWER_CMD || exchange->cmd);
	if (ours) {
		exchange->call_state = MCP_CALL_DONE;
		/* Another task that came to wait in it. */
		if (exchange->waiter)
			mcp_waiter_wake(exchange->waiter, (struct mcp_taken){ .slot = error });
		exchange->waiter = NULL;
		list_del_init(&exchange->call_node);
		/* A port that calls itself may have been asked in it, and cancelled. */
		left = !list_empty(&exchange->inbox);
		list_splice_tail_init(&exchange->inbox, &caller->queue);
		mcp_msg_give(caller->area, response);
		/* The command, if any, is answered by whoever issued it. */
		exchange->cmd = NULL;
	}
	spin_unlock(&caller->lock);
	if (!ours)
		return false;
	if (left)
		mcp_port_kick(caller);
	mcp_msg_free(response);
	return true;
}

static int tell_cookie(const struct mcp_frame *frame, u64 cookie)
{
	return frame->result ? put_user(cookie, (u64 __user *)u64_to_user_ptr(frame->result)) : 0;
}

/**
 * mcp_request_prepare() - do all of a request that can fail
 * @port: the caller
 * @frame: the kernel's copy, its envelope checked
 * @answer: where messages to the caller go
 *
 * Return: an exchange that nobody has seen, for mcp_request_publish(); else an
 * error pointer, and nothing has happened. docs/uapi.md lists the errors.
 */
struct mcp_exchange *mcp_request_prepare(struct mcp_port *port, const struct mcp_frame *frame,
					 enum mcp_answer answer)
{
	const struct mcp_envelope *envelope = &frame->envelope;
	struct mcp_exchange *exchange;
	struct file **files;
	int error;

	exchange = mcp_exchange_new(port);
	if (!exchange)
		return ERR_PTR(mcp_refused(-ENOMEM));
	exchange->answer = answer;
	exchange->credit = envelope->credit;
	error = envelope->parent ? aim_at_peer(exchange, frame) : aim_at_endpoint(exchange, frame);
	if (!error)
		error = set_deadline(exchange, envelope->deadline);
	/* An endpoint that is gone, or a time that has passed, decides nothing. */
	if (error == -EPIPE || error == -ETIMEDOUT)
		goto free;
	if (!error)
		error = mcp_policy_allow(exchange, envelope);
	if (error) {
		mcp_audit_denial(port, exchange, envelope, error);
		goto free;
	}
	files = mcp_fds_collect(frame);
	error = PTR_ERR_OR_ZERO(files);
	if (error)
		goto free;
	exchange->request.files = files;
	exchange->request.nfds = envelope->nfds;
	error = take_slot(exchange, envelope);
	if (error)
		goto drop;
	error = mcp_msg_fill(exchange->filling, exchange->request.unit, frame, port);
	if (!error)
		error = reserve(exchange, envelope->reserve);
	if (error)
		goto give;
	mcp_msg_stamp(exchange->filling, exchange->request.unit, envelope, exchange->cookie,
		      exchange->sender);
	mcp_audit_call(exchange->handle, envelope, exchange->cookie, &exchange->stamp);
	return exchange;
give:
	give_slot(exchange);
drop:
	mcp_fds_drop(files, envelope->nfds);
free:
	mcp_policy_complete(exchange, -error, 0);
	mcp_exchange_free(exchange);
	return ERR_PTR(mcp_refused(error));
}

static int join_parent(struct mcp_exchange *exchange)
{
	struct mcp_exchange *parent = exchange->parent;
	int error = 0;

	if (!parent)
		return 0;
	spin_lock(&parent->caller->lock);
	if (parent->call_state == MCP_CALL_DONE)
		error = -ECANCELED;
	else
		list_add_tail(&mcp_exchange_get(exchange)->sibling, &parent->children);
	spin_unlock(&parent->caller->lock);
	return error;
}

/* For the latency that mcp_complete tells. */
static void note_begin(struct mcp_exchange *exchange)
{
#ifdef CONFIG_TRACEPOINTS
	exchange->began = trace_mcp_complete_enabled() ? ktime_get_ns() : 0;
#endif
}

/**
 * mcp_request_publish() - the server gets it
 * @exchange: from mcp_request_prepare(); until the server has it, the server's
 *            reference is this function's, which nobody else gives back before
 * @frame: as there
 *
 * The cookie is told once it can be found, so that whoever reads it may cancel
 * at once, and before the server can see the request.
 *
 * Return: 0: it is sent, and how it ends is told where its answer goes. Else
 * it was not sent, and nothing will be told: -EPIPE if the server is gone,
 * -EKEYREVOKED or -EKEYEXPIRED for the handle, -ECANCELED for the parent,
 * -EFAULT if the cookie cannot be told.
 */
int mcp_request_publish(struct mcp_exchange *exchange, const struct mcp_frame *frame)
{
	struct mcp_port *server = exchange->server;
	struct mcp_msg *request = &exchange->request;
	struct io_uring_cmd *cmd;
	int error;

	note_begin(exchange);
	mcp_exchange_add(exchange);
	mcp_exchange_arm(exchange);
	error = join_parent(exchange) ?: tell_cookie(frame, exchange->cookie);

	spin_lock(&server->lock);
	if (!error && server->dead)
		error = -EPIPE;
	if (!error && READ_ONCE(exchange->handle->error))
		error = -exchange->handle->error;
	if (!error && READ_ONCE(exchange->call_state) == MCP_CALL_DONE)
		error = -ECANCELED;
	if (!error) {
		request->flags &= ~MCP_MSG_BUSY;
		/* Not the last of a dead server's. */
		mcp_area_end(exchange->filling);
		exchange->serve_state = MCP_SERVE_QUEUED;
		list_add_tail(&exchange->serve_node, &server->serves);
		cmd = mcp_msg_push(request);
		spin_unlock(&server->lock);
		if (cmd)
			mcp_uring_finish(cmd);
		return 0;
	}
	spin_unlock(&server->lock);

	/* The server's side stays MCP_SERVE_NEW: who else ends it leaves that one alone. */
	mcp_exchange_disarm(exchange);
	mcp_exchange_leave(exchange);
	if (unreserve(exchange, error)) {
		mcp_policy_complete(exchange, -error, 0);
		/* Whoever knew the cookie may have nested some in it. */
		mcp_exchange_end_children(exchange);
		mcp_exchange_put(exchange);
	} else {
		error = 0;
	}
	give_slot(exchange);
	mcp_fds_drop(request->files, request->nfds);
	request->files = NULL;
	mcp_exchange_put(exchange);
	return error ? mcp_refused(error) : 0;
}
