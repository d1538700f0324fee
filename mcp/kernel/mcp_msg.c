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
#include "mcp_trace.h"

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
 * mcp_msg_take() - from now on the receiver knows the slot
 * @msg: the receiver's lock is held
 *
 * Return: what the receiver is given.
 */
struct mcp_taken mcp_msg_take(struct mcp_msg *msg)
{
	struct mcp_taken taken = { .slot = mcp_msg_slot(msg) };

	trace_mcp_deliver(msg);
	/* One that was handed back may have been cancelled meanwhile. */
	if (msg->kind == MCP_REQUEST && msg->exchange->serve_state == MCP_SERVE_QUEUED)
		msg->exchange->serve_state = MCP_SERVE_OPEN;
	if (unlikely(msg->files)) {
		mcp_exchange_get(msg->exchange);
		taken.msg = msg;
	} else {
		msg->flags |= MCP_MSG_DELIVERED;
	}
	return taken;
}

/**
 * mcp_msg_give() - its slot is free again, and nobody is charged for it
 * @area: where it is, or NULL if that is gone; the receiver's lock is held
 * @msg: not a CANCEL, which has no slot of its own
 */
void mcp_msg_give(struct mcp_area *area, struct mcp_msg *msg)
{
	if (area)
		mcp_slots_give(&area->slots, msg->unit, msg->units);
	if (msg->kind != MCP_RESPONSE)
		mcp_uncharge(msg->exchange, msg->flags & MCP_MSG_TO_SERVER,
			     msg->kind == MCP_REQUEST, msg->units);
	if (msg->flags & MCP_MSG_CREDIT)
		msg->exchange->credit++;
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
	if (msg->kind == MCP_NOTIFY)
		kmem_cache_free(cache, msg);
	mcp_exchange_put(exchange);
}

/**
 * mcp_msg_fill() - the one copy of a body
 * @area: the receiver's, after mcp_area_begin()
 * @unit: first of a slot that is busy on behalf of the sender
 * @frame: the kernel's copy of what is sent
 * @sender: whose memory the body is in: the current task's, or the kernel's
 *
 * No lock is held: the sender's memory may have to be fetched from a disk.
 *
 * Return: 0 or -EFAULT.
 */
int mcp_msg_fill(struct mcp_area *area, u32 unit, const struct mcp_frame *frame,
		 const struct mcp_port *sender)
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
	if (!access_ok(from, len)) {
		/* No program can reach a port of the kernel's. */
		if (!sender->bound)
			return -EFAULT;
		memcpy(body, (const void *)(uintptr_t)frame->body, len);
		mcp_count_message(frame->envelope.kind, len);
		return 0;
	}
	mcp_count_message(frame->envelope.kind, len);
	barrier_nospec();
	instrument_copy_from_user_before(body, from, len);
	left = raw_copy_from_user(body, from, len);
	instrument_copy_from_user_after(body, from, len, left);
	if (likely(!left))
		return 0;
	mcp_count_uncopied(left);
	return -EFAULT;
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

	mcp_count_message(msg->kind, 0);
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
	mcp_waiter_wake(waiter, mcp_msg_take(msg));
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

	trace_mcp_send(msg);
	if (msg->flags & MCP_MSG_TO_SERVER) {
		if (mcp_exchange_asks_task(exchange))
			return push_to_task(exchange->parent, msg);
		return mcp_port_push(exchange->server, msg);
	}
	if (exchange->answer == MCP_ANSWER_TASK)
		return push_to_task(exchange, msg);
	/* One whose command was just cancelled is received like any other. */
	if (exchange->cmd && msg->kind == MCP_RESPONSE) {
		cmd = exchange->cmd;
		exchange->cmd = NULL;
		mcp_uring_answer(cmd, mcp_msg_take(msg));
		return cmd;
	}
	return mcp_port_push(exchange->caller, msg);
}
