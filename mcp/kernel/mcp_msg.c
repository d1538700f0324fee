// SPDX-License-Identifier: GPL-2.0
/*
 * One message: its slot is filled, stamped, given to its receiver, freed.
 *
 * Concern: what is the same for requests, responses and notifications.
 * Context: process, and task work of io_uring.
 * Locking: as said at each function; "the receiver's lock" is that of the
 *          port whose arena the slot is in.
 * Lifetime: a REQUEST, its CANCEL and its RESPONSE are parts of the exchange; a
 *           RESPONSE's slot and a NOTIFY hold a reference of it. What has no
 *           slot any more, and is in no list, is freed by mcp_msg_free().
 */
#include <linux/instrumented.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mcp_internal.h"

static struct kmem_cache *cache;

int __init mcp_msg_init(void)
{
	cache = KMEM_CACHE(mcp_msg, SLAB_ACCOUNT);
	return cache ? 0 : -ENOMEM;
}

void mcp_msg_exit(void)
{
	kmem_cache_destroy(cache);
}

/**
 * mcp_msg_new() - for a NOTIFY
 *
 * Return: a message, charged to the sender's memory cgroup, or NULL.
 */
struct mcp_msg *mcp_msg_new(void)
{
	struct mcp_msg *msg = kmem_cache_zalloc(cache, GFP_KERNEL);

	if (msg) {
		INIT_LIST_HEAD(&msg->node);
		msg->kind = MCP_NOTIFY;
	}
	return msg;
}

/**
 * mcp_msg_deliver() - from now on the receiver knows the slot
 * @msg: the receiver's lock is held
 */
void mcp_msg_deliver(struct mcp_msg *msg)
{
	msg->flags |= MCP_MSG_DELIVERED;
	if (msg->kind == MCP_REQUEST)
		msg->exchange->serve_state = MCP_SERVE_OPEN;
}

/**
 * mcp_msg_free() - the end of a RESPONSE's space or of a NOTIFY
 * @msg: has given its slot back; no lock is held
 */
void mcp_msg_free(struct mcp_msg *msg)
{
	struct mcp_exchange *exchange = msg->exchange;

	mcp_fds_drop(msg->files, msg->nfds);
	msg->files = NULL;
	if (msg->kind == MCP_NOTIFY) {
		mcp_uncharge(exchange, msg->flags & MCP_MSG_TO_SERVER, 0, msg->units);
		kmem_cache_free(cache, msg);
	}
	mcp_exchange_put(exchange);
}

/**
 * mcp_msg_fill() - the one copy of a body
 * @area: the receiver's, with a reference of the sender's
 * @unit: first of a slot that is busy on behalf of the sender
 * @frame: the kernel's copy of what is sent
 *
 * No lock is held: the sender's memory may have to be fetched from a disk.
 *
 * Return: 0 or -EFAULT.
 */
int mcp_msg_fill(struct mcp_area *area, u32 unit, const struct mcp_frame *frame)
{
	u8 *body = (u8 *)mcp_area_at(area, unit) + MCP_BODY_OFFSET;
	const void __user *from = u64_to_user_ptr(frame->body);
	u32 len = frame->envelope.len;
	unsigned long left;

	/*
	 * copy_from_user() would also ask whether this is part of a heap object.
	 * It is not, and the slot was taken for this length; the question costs
	 * a search of all the kernel's mappings.
	 */
	might_fault();
	if (!access_ok(from, len))
		return -EFAULT;
	instrument_copy_from_user_before(body, from, len);
	left = raw_copy_from_user(body, from, len);
	instrument_copy_from_user_after(body, from, len, left);
	return left ? -EFAULT : 0;
}

/**
 * mcp_msg_stamp() - write the envelope that the receiver acts on
 * @area: the receiver's
 * @unit: first of the slot
 * @envelope: checked, from the sender
 * @cookie: the kernel's for a REQUEST, the sender's for others
 * @sender: who it is
 */
void mcp_msg_stamp(struct mcp_area *area, u32 unit, const struct mcp_envelope *envelope,
		   u64 cookie, u64 sender)
{
	struct mcp_envelope *at = mcp_area_at(area, unit);

	*at = *envelope;
	at->cookie = cookie;
	at->sender = sender;
}

/**
 * mcp_msg_stamp_kernel() - a message that no peer has sent
 * @area: the receiver's
 * @msg: a RESPONSE or a CANCEL, with a slot
 * @error: why, a positive errno
 */
void mcp_msg_stamp_kernel(struct mcp_area *area, const struct mcp_msg *msg, int error)
{
	struct mcp_envelope *at = mcp_area_at(area, msg->unit);

	if (msg->kind == MCP_CANCEL)
		at++;
	*at = (struct mcp_envelope){
		.magic = MCP_MAGIC,
		.version = MCP_ENVELOPE_VERSION,
		.kind = msg->kind,
		.flags = MCP_F_KERNEL,
		.cookie = msg->exchange->cookie,
		.status = error,
	};
}

static struct io_uring_cmd *push_to_task(struct mcp_exchange *exchange, struct mcp_msg *msg)
{
	struct mcp_waiter *waiter = exchange->waiter;

	if (!waiter) {
		list_add_tail(&msg->node, &exchange->inbox);
		return NULL;
	}
	exchange->waiter = NULL;
	mcp_msg_deliver(msg);
	mcp_waiter_wake(waiter, msg);
	return NULL;
}

/**
 * mcp_msg_push() - to whoever receives messages of its exchange
 * @msg: stamped; the receiver's lock is held, and the receiver not dead
 *
 * Return: a command that mcp_uring_finish() must be told of once the lock is
 * dropped, or NULL.
 */
struct io_uring_cmd *mcp_msg_push(struct mcp_msg *msg)
{
	struct mcp_exchange *exchange = msg->exchange;
	struct io_uring_cmd *cmd;

	if (msg->flags & MCP_MSG_TO_SERVER) {
		/* A call that waits for its answer also gets what is asked of it. */
		if (exchange->to_parent && exchange->parent->answer == MCP_ANSWER_TASK)
			return push_to_task(exchange->parent, msg);
		return mcp_port_push(exchange->server, msg);
	}
	if (exchange->answer == MCP_ANSWER_TASK)
		return push_to_task(exchange, msg);
	if (exchange->answer == MCP_ANSWER_CMD && msg->kind == MCP_RESPONSE) {
		cmd = exchange->cmd;
		exchange->cmd = NULL;
		mcp_msg_deliver(msg);
		if (cmd)
			mcp_uring_answer(cmd, msg, 0);
		return cmd;
	}
	return mcp_port_push(exchange->caller, msg);
}
