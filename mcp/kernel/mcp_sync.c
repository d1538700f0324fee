// SPDX-License-Identifier: GPL-2.0
/*
 * MCP_IOC_CALL and MCP_IOC_REPLY_WAIT: send and wait, one system call a side.
 *
 * Concern: waiting, and a frame to go on with when the wait is cut short.
 * Context: process.
 * Locking: the waiter of an exchange is guarded by the caller's lock.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "mcp_internal.h"

/*
 * What was sent must not be sent again: only the wait is left. So a call that is
 * begun again (-ERESTARTSYS: a stop, the freezer, task work, SA_RESTART) waits on.
 */
static int go_on(struct mcp_frame __user *user, u64 cookie, int error)
{
	struct mcp_frame frame = { .envelope.cookie = cookie, .handle = -1 };

	return copy_to_user(user, &frame, sizeof(frame)) ? -EFAULT : error;
}

/* The descriptors are put into this task's table, and the slot is told. */
static int take(struct mcp_port *port, struct mcp_frame __user *user, struct mcp_taken taken)
{
	u32 slot = mcp_fds_install(port, taken);

	return put_user(slot, &user->slot);
}

/* The caller's lock is held. The next message, or why there will be none. */
static struct mcp_taken next_message(struct mcp_exchange *exchange)
{
	struct mcp_msg *msg = list_first_entry_or_null(&exchange->inbox, struct mcp_msg, node);

	if (msg) {
		list_del_init(&msg->node);
		return mcp_msg_take(msg);
	}
	return (struct mcp_taken){
		.slot = exchange->call_state == MCP_CALL_DONE ? -exchange->error : 0
	};
}

/*
 * Wait for the next message of an exchange. Once it has ended and nothing of it
 * is left, the caller's side is finished.
 */
static struct mcp_taken wait_in(struct mcp_exchange *exchange)
{
	struct mcp_waiter waiter = { .node = LIST_HEAD_INIT(waiter.node), .task = current };
	struct mcp_port *caller = exchange->caller;
	bool over = false, left = false;
	s32 last;

	spin_lock(&caller->lock);
	if (exchange->waiter) {
		/* One task waits in an exchange; it was sent by one. */
		waiter.taken.slot = -EALREADY;
	} else if (list_empty(&exchange->call_node)) {
		/* The caller has seen its end. */
		waiter.taken.slot = -ENOENT;
	} else {
		waiter.taken = next_message(exchange);
		if (!waiter.taken.slot)
			exchange->waiter = &waiter;
		/*
		 * If nobody was there to see the end, it is still in the list:
		 * until the response is taken, or the error that is there in
		 * place of one. What the server had asked and was not answered
		 * is cancelled behind the response: the port gets that.
		 */
		last = exchange->error ? -exchange->error : (s32)mcp_msg_slot(&exchange->response);
		over = exchange->call_state == MCP_CALL_DONE && waiter.taken.slot == last;
		if (over) {
			list_del_init(&exchange->call_node);
			left = !list_empty(&exchange->inbox);
			list_splice_tail_init(&exchange->inbox, &caller->queue);
		}
	}
	spin_unlock(&caller->lock);
	if (left)
		mcp_port_kick(caller);
	if (over)
		mcp_exchange_put(exchange);
	if (waiter.taken.slot)
		return waiter.taken;

	if (!mcp_waiter_sleep(&waiter)) {
		spin_lock(&caller->lock);
		if (!waiter.taken.slot) {
			waiter.taken.slot = -ERESTARTSYS;
			exchange->waiter = NULL;
		}
		spin_unlock(&caller->lock);
	}
	return waiter.taken;
}

/* The exchange to wait in, which may be one of those that the frame speaks of. */
static struct mcp_exchange *find_call(struct mcp_port *port, u64 cookie)
{
	struct mcp_exchange *exchange = mcp_exchange_find(cookie);

	if (exchange && exchange->caller == port && exchange->answer == MCP_ANSWER_TASK)
		return exchange;
	if (exchange)
		mcp_exchange_put(exchange);
	return ERR_PTR(-ENOENT);
}

/* A NOTIFY waits in its own exchange; an answer in the one that asked. */
static struct mcp_exchange *find_context(struct mcp_port *port, const struct mcp_frame *frame)
{
	struct mcp_exchange *nested, *exchange;

	if (frame->envelope.kind == MCP_NOTIFY)
		return find_call(port, frame->envelope.parent);
	nested = mcp_exchange_find(frame->envelope.cookie);
	if (!nested)
		return ERR_PTR(-ENOENT);
	exchange = nested->parent ? find_call(port, nested->parent->cookie) : ERR_PTR(-ENOENT);
	mcp_exchange_put(nested);
	return exchange;
}

/* A frame that sends nothing: only its cookie and its slot mean something. */
static int begin_waiting(struct mcp_port *port, const struct mcp_frame *frame)
{
	if (frame->body || frame->fds || frame->result || frame->handle != -1)
		return -EINVAL;
	return frame->slot != MCP_NO_SLOT ? mcp_port_release(port, frame->slot) : 0;
}

/* Send what there is to send; the exchange to wait in. */
static struct mcp_exchange *start_call(struct mcp_port *port, const struct mcp_frame *frame)
{
	struct mcp_exchange *exchange;
	int error;

	if (mcp_envelope_is_empty(&frame->envelope)) {
		error = begin_waiting(port, frame);
		return error ? ERR_PTR(error) : find_call(port, frame->envelope.cookie);
	}
	error = mcp_frame_begin(port, frame);
	if (error)
		return ERR_PTR(error);
	if (frame->envelope.kind == MCP_REQUEST) {
		exchange = mcp_request_prepare(port, frame, MCP_ANSWER_TASK);
		if (IS_ERR(exchange))
			return exchange;
		error = mcp_request_publish(exchange, frame);
	} else {
		if (frame->envelope.kind == MCP_CANCEL)
			return ERR_PTR(-EINVAL);
		exchange = find_context(port, frame);
		if (IS_ERR(exchange))
			return exchange;
		error = mcp_frame_send(port, frame);
	}
	if (!error)
		return exchange;
	mcp_exchange_put(exchange);
	return ERR_PTR(error);
}

/**
 * mcp_ioctl_call() - answer MCP_IOC_CALL
 * @port: the caller
 * @user: the caller's frame
 *
 * Return: 0 and the slot of a message of the exchange; or an error of
 * docs/uapi.md. If the frame had been sent, it is changed into one that waits.
 */
long mcp_ioctl_call(struct mcp_port *port, struct mcp_frame __user *user)
{
	struct mcp_frame frame __uninitialized;
	struct mcp_exchange *exchange;
	struct mcp_taken taken;
	int error;

	if (copy_from_user(&frame, user, sizeof(frame)))
		return -EFAULT;
	exchange = start_call(port, &frame);
	if (IS_ERR(exchange))
		return PTR_ERR(exchange);
	taken = wait_in(exchange);
	if (taken.slot < 0)
		error = go_on(user, exchange->cookie, taken.slot);
	else
		error = take(port, user, taken);
	mcp_exchange_put(exchange);
	return error;
}

/**
 * mcp_ioctl_reply_wait() - answer MCP_IOC_REPLY_WAIT
 * @port: usually an endpoint
 * @user: the caller's frame
 * @nonblock: do not wait
 *
 * Return: 0 and the slot of the next message; or an error of docs/uapi.md. If
 * the frame had been sent, it is changed into one that waits.
 */
long mcp_ioctl_reply_wait(struct mcp_port *port, struct mcp_frame __user *user, bool nonblock)
{
	struct mcp_frame frame __uninitialized;
	struct mcp_taken taken;
	int error;

	if (copy_from_user(&frame, user, sizeof(frame)))
		return -EFAULT;
	if (mcp_envelope_is_empty(&frame.envelope)) {
		error = frame.envelope.cookie ? -EINVAL : begin_waiting(port, &frame);
	} else {
		error = mcp_frame_begin(port, &frame);
		if (!error)
			error = frame.envelope.kind == MCP_REQUEST ? -EINVAL :
								     mcp_frame_send(port, &frame);
	}
	if (error)
		return error;
	taken = mcp_port_wait(port, nonblock);
	return taken.slot < 0 ? go_on(user, 0, taken.slot) : take(port, user, taken);
}
