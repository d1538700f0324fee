// SPDX-License-Identifier: GPL-2.0
/*
 * A NOTIFY: within an exchange, either way, any number, never an answer.
 *
 * Concern: what bounds them: the caller's credit, and the accounts.
 * Context: process.
 * Locking: the receiver's lock twice, around the copy.
 * Lifetime: a message of its own, which holds the exchange until its receiver
 *           releases the slot.
 */
#include "mcp_internal.h"

/* Does the exchange still take messages on this side? Its lock is held. */
static bool is_open(const struct mcp_exchange *exchange, bool to_server)
{
	if (to_server)
		return exchange->serve_state == MCP_SERVE_QUEUED ||
		       exchange->serve_state == MCP_SERVE_OPEN;
	return exchange->call_state != MCP_CALL_DONE;
}

/* A slot, and a credit if the caller of the exchange is the receiver. */
static int take(struct mcp_msg *msg, struct mcp_port *receiver, const struct mcp_envelope *envelope,
		struct mcp_area **area)
{
	struct mcp_exchange *exchange = msg->exchange;
	bool to_server = msg->flags & MCP_MSG_TO_SERVER;
	u32 units = mcp_units(envelope->len, envelope->nfds), quarter;
	int error = 0;

	spin_lock(&receiver->lock);
	if (receiver->dead || !is_open(exchange, to_server)) {
		error = -ECANCELED;
		goto out;
	}
	quarter = receiver->area->slots.units / 4;
	if (units > quarter)
		error = -EMSGSIZE;
	else if (envelope->nfds && !receiver->area->takes_fds)
		error = -EPERM;
	else if (!to_server && !exchange->credit)
		error = -EAGAIN;
	else if (!mcp_charge(exchange, to_server, 0, units, quarter))
		error = -EDQUOT;
	if (error)
		goto out;
	msg->unit = mcp_slots_take(&receiver->area->slots, units, msg);
	if (!msg->unit) {
		mcp_uncharge(exchange, to_server, 0, units);
		error = -ENOBUFS;
		goto out;
	}
	msg->units = units;
	msg->flags |= MCP_MSG_BUSY;
	if (to_server)
		exchange->request.flags |= MCP_MSG_FOLLOWED;
	if (!to_server) {
		exchange->credit--;
		msg->flags |= MCP_MSG_CREDIT;
	}
	*area = mcp_area_begin(receiver->area);
out:
	spin_unlock(&receiver->lock);
	return error;
}

/* Send it, or take all back. */
static int commit(struct mcp_msg *msg, struct mcp_port *receiver, const struct mcp_frame *frame,
		  struct mcp_area *area, int error)
{
	struct mcp_exchange *exchange = msg->exchange;
	bool to_server = msg->flags & MCP_MSG_TO_SERVER;
	struct io_uring_cmd *cmd = NULL;
	bool last;

	spin_lock(&receiver->lock);
	msg->flags &= ~MCP_MSG_BUSY;
	last = mcp_area_end(area);
	if (!error && (receiver->dead || !is_open(exchange, to_server)))
		error = -ECANCELED;
	if (error) {
		mcp_msg_give(area, msg);
	} else {
		mcp_msg_stamp(area, msg->unit, &frame->envelope, 0,
			      mcp_sender_to(exchange, to_server));
		cmd = mcp_msg_push(msg);
	}
	spin_unlock(&receiver->lock);
	if (last)
		mcp_area_free(area);
	if (cmd)
		mcp_uring_finish(cmd);
	if (error)
		mcp_msg_free(msg);
	return error;
}

/**
 * mcp_notify() - tell the other side of an exchange something
 * @port: either side
 * @frame: the kernel's copy, a NOTIFY that was checked
 *
 * Return: 0; -ENOENT if this is no exchange of the port's; -ECANCELED if it is
 * over; -EAGAIN if the caller has no credit left; -EMSGSIZE, -EDQUOT, -ENOBUFS
 * for want of room; -EPERM for descriptors that are not taken, -EACCES for
 * those that the handle has no right to send; -EFAULT, -ENOMEM, and as
 * mcp_fds_collect().
 */
int mcp_notify(struct mcp_port *port, const struct mcp_frame *frame)
{
	const struct mcp_envelope *envelope = &frame->envelope;
	struct mcp_exchange *exchange = mcp_exchange_find_of(port, envelope->parent);
	struct mcp_port *receiver;
	struct mcp_area *area;
	struct file **files;
	struct mcp_msg *msg;
	bool to_server;
	int error;

	if (!exchange)
		return mcp_refused(-ENOENT);
	to_server = exchange->server != port;
	receiver = to_server ? exchange->server : exchange->caller;
	error = -EACCES;
	if (!mcp_may_send_fds(exchange, to_server, envelope->nfds)) {
		mcp_audit_denial(port, exchange, envelope, error);
		goto put;
	}
	error = -ENOMEM;
	msg = mcp_msg_new();
	if (!msg)
		goto put;
	/* The message has the reference from here on. */
	msg->exchange = exchange;
	if (to_server)
		msg->flags = MCP_MSG_TO_SERVER;
	files = mcp_fds_collect(frame);
	error = PTR_ERR_OR_ZERO(files);
	if (error)
		goto free;
	msg->files = files;
	msg->nfds = envelope->nfds;
	error = take(msg, receiver, envelope, &area);
	if (error)
		goto free;
	error = mcp_msg_fill(area, msg->unit, frame, port);
	error = commit(msg, receiver, frame, area, error);
	return error ? mcp_refused(error) : 0;
free:
	mcp_msg_free(msg);
	return mcp_refused(error);
put:
	mcp_exchange_put(exchange);
	return mcp_refused(error);
}
