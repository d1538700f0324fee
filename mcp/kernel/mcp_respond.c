// SPDX-License-Identifier: GPL-2.0
/*
 * A RESPONSE: it ends an exchange, once; and CANCEL, which does without.
 *
 * Concern: the race between an answer and everything that makes it late.
 * Context: process.
 * Locking: the caller's lock twice, around the copy, then the server's. Who
 *          makes the caller's side MCP_CALL_DONE under the caller's lock has
 *          won; an answer that comes second is late.
 */
#include "mcp_internal.h"
#include "mcp_trace.h"

/* Claim the space for the answer. */
static int begin(struct mcp_exchange *exchange, const struct mcp_envelope *envelope,
		 struct mcp_area **area)
{
	struct mcp_port *caller = exchange->caller;
	int error = 0;

	spin_lock(&caller->lock);
	if (exchange->call_state == MCP_CALL_DONE)
		error = -ECANCELED;
	else if (exchange->call_state == MCP_CALL_FILLING)
		error = -EALREADY;
	else if (mcp_units(envelope->len, envelope->nfds) > exchange->response.units)
		error = -EMSGSIZE;
	else if (envelope->nfds && !caller->area->takes_fds)
		error = -EPERM;
	if (!error) {
		exchange->call_state = MCP_CALL_FILLING;
		exchange->response.flags |= MCP_MSG_BUSY;
		*area = mcp_area_begin(caller->area);
	}
	spin_unlock(&caller->lock);
	return error;
}

/* Make the answer what it is, unless the exchange ended during the copy. */
static int commit(struct mcp_exchange *exchange, const struct mcp_envelope *envelope,
		  struct mcp_area *area, struct file **files, int error)
{
	struct mcp_port *caller = exchange->caller;
	struct mcp_msg *response = &exchange->response;
	u32 units = mcp_units(envelope->len, envelope->nfds);
	struct io_uring_cmd *cmd = NULL;
	bool finished = false, gone = false, last;

	spin_lock(&caller->lock);
	response->flags &= ~MCP_MSG_BUSY;
	last = mcp_area_end(area);
	if (exchange->call_state == MCP_CALL_DONE) {
		gone = response->flags & MCP_MSG_GONE;
		if (gone)
			mcp_msg_give(area, response);
		error = -ECANCELED;
	} else if (error) {
		exchange->call_state = MCP_CALL_WAITING;
	} else {
		exchange->call_state = MCP_CALL_DONE;
		if (units < response->units) {
			mcp_slots_shrink(&area->slots, response->unit, response->units, units);
			response->units = units;
		}
		response->files = files;
		response->nfds = envelope->nfds;
		mcp_msg_stamp(area, response->unit, envelope, exchange->cookie,
			      mcp_sender_to(exchange, false));
		/* A task that is elsewhere comes back and asks. */
		finished = exchange->answer != MCP_ANSWER_TASK || exchange->waiter;
		if (finished)
			list_del_init(&exchange->call_node);
		cmd = mcp_msg_push(response);
	}
	spin_unlock(&caller->lock);

	if (last)
		mcp_area_free(area);
	if (cmd)
		mcp_uring_finish(cmd);
	if (gone)
		mcp_msg_free(response);
	if (!error) {
		trace_mcp_complete(exchange, 0, envelope->len);
		mcp_policy_complete(exchange, 0, envelope->len);
		mcp_exchange_end_children(exchange);
		mcp_exchange_leave(exchange);
		mcp_exchange_disarm(exchange);
	}
	if (finished)
		mcp_exchange_put(exchange);
	return error;
}

/**
 * mcp_respond() - the server answers
 * @port: the server
 * @frame: the kernel's copy, a RESPONSE that was checked
 *
 * Return: 0; -ENOENT for a cookie that is none of its open exchanges;
 * -ECANCELED if nobody waits any more (the request's slot is freed all the
 * same); -EALREADY while another task answers; -EMSGSIZE for more than the
 * caller has reserved, -EPERM for descriptors that it does not take, -EACCES for
 * those that the handle has no right to send, -EFAULT,
 * and as mcp_fds_collect(): then the exchange stays open.
 */
int mcp_respond(struct mcp_port *port, const struct mcp_frame *frame)
{
	const struct mcp_envelope *envelope = &frame->envelope;
	struct mcp_exchange *exchange;
	struct mcp_area *area;
	struct file **files;
	int error;

	exchange = mcp_exchange_find_served(port, envelope->cookie);
	if (!exchange)
		return mcp_refused(-ENOENT);
	/* An answer to what the endpoint asked comes from the handle. */
	error = -EACCES;
	if (!mcp_may_send_fds(exchange, false, envelope->nfds)) {
		mcp_audit_denial(port, exchange, envelope, error);
		goto put;
	}
	files = mcp_fds_collect(frame);
	error = PTR_ERR_OR_ZERO(files);
	if (error)
		goto put;
	error = begin(exchange, envelope, &area);
	if (!error) {
		error = mcp_msg_fill(area, exchange->response.unit, frame, port);
		error = commit(exchange, envelope, area, files, error);
	}
	if (!error || error == -ECANCELED)
		mcp_exchange_finish(exchange);
	if (!error) {
		mcp_exchange_put(exchange);
		return 0;
	}
	mcp_fds_drop(files, envelope->nfds);
put:
	mcp_exchange_put(exchange);
	return mcp_refused(error);
}

/**
 * mcp_cancel() - the caller wants no answer
 * @port: the caller
 * @cookie: of the exchange
 *
 * Return: 0; -ENOENT if it is not an open exchange that began here.
 */
int mcp_cancel(struct mcp_port *port, u64 cookie)
{
	struct mcp_exchange *exchange = mcp_exchange_find(cookie);
	bool ended;

	if (!exchange)
		return mcp_refused(-ENOENT);
	ended = exchange->caller == port && mcp_exchange_end(exchange, ECANCELED);
	mcp_exchange_put(exchange);
	return ended ? 0 : mcp_refused(-ENOENT);
}
