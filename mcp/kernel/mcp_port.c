// SPDX-License-Identifier: GPL-2.0
/*
 * A port: an open file of /dev/mcp, what lies in its arena, who waits for it.
 *
 * Concern: the queue of messages and the three kinds of receivers: a parked
 *          command, a waiting task, whoever comes later.
 * Context: process, and task work of io_uring. Nothing here runs in interrupts.
 * Locking: port->lock guards the queue and the arena's slots. It is never
 *          held over a copy from user space, an allocation that sleeps or the
 *          release of a file, and no second port's lock is taken under it.
 * Lifetime: counted: the file has one reference, which the exchanges that began
 *           here inherit; each exchange that was sent here has one.
 *           The arena goes with the file, not with the last reference.
 */
#include <linux/io_uring/cmd.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "mcp_internal.h"

/**
 * mcp_port_new() - for a file that is being opened, or for the kernel
 * @cred: the port's authority for good
 *
 * Return: a port with one reference, or an error pointer.
 */
struct mcp_port *mcp_port_new(const struct cred *cred)
{
	struct mcp_port *port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT);

	if (!port)
		return ERR_PTR(-ENOMEM);
	port->user = mcp_user_get(cred->euid);
	if (IS_ERR(port->user)) {
		long error = PTR_ERR(port->user);

		kfree(port);
		return ERR_PTR(error);
	}
	spin_lock_init(&port->lock);
	refcount_set(&port->refs, 1);
	INIT_LIST_HEAD(&port->queue);
	INIT_LIST_HEAD(&port->parked);
	INIT_LIST_HEAD(&port->waiters);
	INIT_LIST_HEAD(&port->calls);
	INIT_LIST_HEAD(&port->serves);
	INIT_HLIST_HEAD(&port->spares);
	init_waitqueue_head(&port->poll);
	mutex_init(&port->setup);
	port->cred = get_cred(cred);
	return port;
}

/**
 * mcp_port_free() - the last reference is gone
 * @port: it is freed after a grace period
 */
void mcp_port_free(struct mcp_port *port)
{
	mcp_user_put(port->user);
	put_cred(port->cred);
	kfree_rcu(port, rcu);
}

/**
 * mcp_port_set_arena() - answer MCP_IOC_ARENA
 * @port: has none yet
 * @bytes: its size
 * @takes_fds: whether descriptors may be sent here
 *
 * Return: 0; -EINVAL for a size out of range or not of whole pages; -EBUSY if
 * there is one already; -ENOMEM.
 */
int mcp_port_set_arena(struct mcp_port *port, u64 bytes, bool takes_fds)
{
	struct mcp_area *area;
	int error = 0;

	if (bytes < MCP_ARENA_MIN || bytes > MCP_ARENA_MAX || bytes & ~PAGE_MASK)
		return -EINVAL;
	mutex_lock(&port->setup);
	if (port->area) {
		error = -EBUSY;
		goto out;
	}
	area = mcp_area_new(bytes);
	if (IS_ERR(area)) {
		error = PTR_ERR(area);
		goto out;
	}
	area->takes_fds = takes_fds;
	spin_lock(&port->lock);
	port->area = area;
	spin_unlock(&port->lock);
out:
	mutex_unlock(&port->setup);
	return error;
}

/**
 * mcp_waiter_wake() - give a message to a task
 * @waiter: the task's; the lock that guards it is held
 * @taken: what it gets
 */
void mcp_waiter_wake(struct mcp_waiter *waiter, struct mcp_taken taken)
{
	struct task_struct *task = waiter->task;

	list_del_init(&waiter->node);
	/*
	 * Once it sees the message, the task may return and its waiter be gone.
	 * The task itself stays until the end of this critical section, which
	 * is a read side of RCU.
	 */
	waiter->taken.msg = taken.msg;
	/* Pairs with mcp_waiter_sleep(). */
	smp_store_release(&waiter->taken.slot, taken.slot);
	wake_up_process(task);
}

/**
 * mcp_waiter_sleep() - until there is a message or a signal
 * @waiter: where mcp_waiter_wake() finds it; no lock is held
 *
 * Return: whether it was given something. If not, it was a signal: the caller
 * takes the waiter from where it is, under the lock, and looks once more.
 */
bool mcp_waiter_sleep(struct mcp_waiter *waiter)
{
	bool given;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		/* Pairs with mcp_waiter_wake(). */
		given = smp_load_acquire(&waiter->taken.slot);
		if (given || signal_pending(current))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return given;
}

/* To whoever waits. Returns whether anybody did. */
static bool give(struct mcp_port *port, struct mcp_msg *msg, struct io_uring_cmd **cmd)
{
	struct mcp_waiter *waiter;

	*cmd = mcp_uring_unpark(port, msg);
	if (*cmd)
		return true;
	waiter = list_first_entry_or_null(&port->waiters, struct mcp_waiter, node);
	if (!waiter)
		return false;
	mcp_waiter_wake(waiter, mcp_msg_take(msg));
	return true;
}

/* Where in the queue it goes is the caller's to say. */
static struct io_uring_cmd *push_at(struct mcp_port *port, struct mcp_msg *msg,
				    struct list_head *before)
{
	struct io_uring_cmd *cmd;

	lockdep_assert_held(&port->lock);
	if (!give(port, msg, &cmd)) {
		list_add_tail(&msg->node, before);
		if (wq_has_sleeper(&port->poll))
			wake_up_interruptible_poll(&port->poll, EPOLLIN | EPOLLRDNORM);
	}
	return cmd;
}

/**
 * mcp_port_push() - a message for whoever receives here
 * @port: its lock is held, and it is not dead
 * @msg: complete
 *
 * Return: a command that mcp_uring_finish() must be told of once the lock is
 * dropped, or NULL.
 */
struct io_uring_cmd *mcp_port_push(struct mcp_port *port, struct mcp_msg *msg)
{
	return push_at(port, msg, &port->queue);
}

/**
 * mcp_port_push_back() - a message that was taken, and could not be received
 * @port: its lock is held
 * @msg: it keeps its place before all that nobody has taken
 *
 * A ring that ends gives its messages back in any order.
 *
 * Return: as mcp_port_push().
 */
struct io_uring_cmd *mcp_port_push_back(struct mcp_port *port, struct mcp_msg *msg)
{
	struct mcp_msg *other;

	msg->flags &= ~MCP_MSG_DELIVERED;
	msg->flags |= MCP_MSG_RETURNED;
	/* A cancelled one stays that: its CANCEL comes after it, or has come before. */
	if (msg->kind == MCP_REQUEST && msg->exchange->serve_state == MCP_SERVE_OPEN)
		msg->exchange->serve_state = MCP_SERVE_QUEUED;
	list_for_each_entry(other, &port->queue, node)
		if (!(other->flags & MCP_MSG_RETURNED) || (s32)(other->turn - msg->turn) > 0)
			break;
	return push_at(port, msg, &other->node);
}

/**
 * mcp_port_kick() - whoever waits gets what was put into the queue without a word
 * @port: held by the caller's file; no lock is held
 */
void mcp_port_kick(struct mcp_port *port)
{
	struct io_uring_cmd *cmd;
	struct mcp_msg *msg;

	for (;;) {
		cmd = NULL;
		spin_lock(&port->lock);
		msg = list_first_entry_or_null(&port->queue, struct mcp_msg, node);
		if (msg && !(list_empty(&port->parked) && list_empty(&port->waiters))) {
			list_del_init(&msg->node);
			give(port, msg, &cmd);
		} else {
			msg = NULL;
		}
		spin_unlock(&port->lock);
		if (!msg)
			break;
		if (cmd)
			mcp_uring_finish(cmd);
	}
	wake_up_interruptible_poll(&port->poll, EPOLLIN | EPOLLRDNORM);
}

/**
 * mcp_port_pop() - take the next message
 * @port: its lock is held
 *
 * Return: the message, now the receiver's, or slot 0.
 */
struct mcp_taken mcp_port_pop(struct mcp_port *port)
{
	struct mcp_msg *msg;

	lockdep_assert_held(&port->lock);
	msg = list_first_entry_or_null(&port->queue, struct mcp_msg, node);
	if (!msg)
		return (struct mcp_taken){};
	list_del_init(&msg->node);
	return mcp_msg_take(msg);
}

/**
 * mcp_port_wait() - take the next message, waiting for it
 * @port: held by the caller's file
 * @nonblock: do not wait
 *
 * Return: the message; or as its slot -EAGAIN if there is none and @nonblock,
 * -ENOBUFS without an arena, where none will ever be, -ERESTARTSYS for a signal.
 */
struct mcp_taken mcp_port_wait(struct mcp_port *port, bool nonblock)
{
	struct mcp_waiter waiter = { .task = current };
	struct mcp_taken taken;

	spin_lock(&port->lock);
	taken = mcp_port_pop(port);
	if (taken.slot || nonblock || !port->area) {
		if (!taken.slot)
			taken.slot = port->area ? -EAGAIN : -ENOBUFS;
		spin_unlock(&port->lock);
		return taken;
	}
	/* The last that came is the first to be served: its caches are warm. */
	list_add(&waiter.node, &port->waiters);
	spin_unlock(&port->lock);

	if (!mcp_waiter_sleep(&waiter)) {
		spin_lock(&port->lock);
		list_del_init(&waiter.node);
		if (!waiter.taken.slot)
			waiter.taken.slot = -ERESTARTSYS;
		spin_unlock(&port->lock);
	}
	return waiter.taken;
}

/* The lock is held, and dropped here. */
static int release_request(struct mcp_port *port, struct mcp_msg *msg)
	__releases(&port->lock)
{
	struct mcp_exchange *exchange = mcp_exchange_get(msg->exchange);
	int error = 0;

	/* A CANCEL that nobody has taken still has to be told. */
	if (exchange->serve_state == MCP_SERVE_CANCELED && list_empty(&exchange->cancel.node)) {
		mcp_exchange_finish_locked(exchange);
		mcp_exchange_put(exchange);
		return 0;
	}
	if (msg->flags & MCP_MSG_SHRUNK) {
		error = -EINVAL;
	} else {
		mcp_slots_shrink(&port->area->slots, msg->unit, msg->units, 1);
		msg->flags |= MCP_MSG_SHRUNK;
		mcp_uncharge(exchange, true, 0, msg->units - 1);
		msg->units = 1;
	}
	spin_unlock(&port->lock);
	mcp_exchange_put(exchange);
	return error;
}

/**
 * mcp_port_release() - a slot of the arena is free again
 * @port: its receiver
 * @slot: as a completion said it
 *
 * The slot of a request whose exchange is open keeps its first unit, where a
 * CANCEL will lie.
 *
 * Return: 0; -EINVAL if this is no slot that was delivered and not released.
 */
int mcp_port_release(struct mcp_port *port, u32 slot)
{
	struct mcp_msg *msg;

	if (!slot || slot % MCP_UNIT)
		return -EINVAL;
	spin_lock(&port->lock);
	msg = port->area ? mcp_slots_owner(&port->area->slots, slot / MCP_UNIT) : NULL;
	if (!msg || !(msg->flags & MCP_MSG_DELIVERED)) {
		spin_unlock(&port->lock);
		return -EINVAL;
	}
	if (msg->kind == MCP_REQUEST)
		return release_request(port, msg);
	/* Nobody else finds it from here on. */
	msg->flags &= ~MCP_MSG_DELIVERED;
	if (msg->flags & MCP_MSG_BUSY) {
		msg->flags |= MCP_MSG_GONE;
		msg = NULL;
	} else {
		mcp_msg_give(port->area, msg);
	}
	spin_unlock(&port->lock);
	if (msg)
		mcp_msg_free(msg);
	return 0;
}

/* Whatever lies in the queue is dropped; the lock is not held over that. */
static void drop_queue(struct mcp_port *port)
{
	struct mcp_msg *msg;

	for (;;) {
		spin_lock(&port->lock);
		msg = list_first_entry_or_null(&port->queue, struct mcp_msg, node);
		if (msg)
			list_del_init(&msg->node);
		spin_unlock(&port->lock);
		if (!msg)
			return;
		mcp_fds_drop(msg->files, msg->nfds);
		msg->files = NULL;
	}
}

/*
 * Answers and notifications that were not released are freed with the arena.
 * Requests have gone with their exchanges by now.
 */
static void drop_slots(struct mcp_port *port, struct mcp_area *area)
{
	u32 unit;

	spin_lock(&port->lock);
	for (unit = 1; unit < area->slots.units; unit++) {
		struct mcp_msg *msg = mcp_slots_owner(&area->slots, unit);

		if (!msg)
			continue;
		if (msg->flags & MCP_MSG_BUSY) {
			/* Its sender frees it. */
			msg->flags |= MCP_MSG_GONE;
			continue;
		}
		list_del_init(&msg->node);
		mcp_msg_give(area, msg);
		spin_unlock(&port->lock);
		mcp_msg_free(msg);
		spin_lock(&port->lock);
	}
	spin_unlock(&port->lock);
}

/**
 * mcp_port_close() - the file is gone
 * @port: nobody can call on it any more, and no command of its is left
 *
 * Every peer is told at once: callers get EPIPE, servers a CANCEL.
 */
void mcp_port_close(struct mcp_port *port)
{
	struct mcp_exchange *exchange;
	struct mcp_area *area;
	bool left;

	spin_lock(&port->lock);
	port->dead = true;
	spin_unlock(&port->lock);
	mcp_exchange_drop_spares(port);

	if (port->endpoint)
		mcp_endpoint_close(port->endpoint);
	/* What was sent here. */
	mcp_exchange_sweep(port, false, EPIPE);
	for (;;) {
		spin_lock(&port->lock);
		exchange = list_first_entry_or_null(&port->serves, struct mcp_exchange,
						    serve_node);
		if (exchange)
			mcp_exchange_get(exchange);
		spin_unlock(&port->lock);
		if (!exchange)
			break;
		mcp_exchange_finish(exchange);
		mcp_exchange_put(exchange);
	}
	/* What was called from here. */
	for (;;) {
		spin_lock(&port->lock);
		exchange = list_first_entry_or_null(&port->calls, struct mcp_exchange, call_node);
		if (exchange)
			mcp_exchange_get(exchange);
		spin_unlock(&port->lock);
		if (!exchange)
			break;
		mcp_exchange_end(exchange, EPIPE);
		/* One that had ended before waits for a task that never came. */
		spin_lock(&port->lock);
		left = !list_empty(&exchange->call_node);
		list_del_init(&exchange->call_node);
		spin_unlock(&port->lock);
		if (left)
			mcp_exchange_put(exchange);
		mcp_exchange_put(exchange);
	}
	drop_queue(port);

	area = port->area;
	if (area) {
		drop_slots(port, area);
		spin_lock(&port->lock);
		port->area = NULL;
		area->closed = true;
		left = area->copies;
		spin_unlock(&port->lock);
		if (!left)
			mcp_area_free(area);
	}
	spin_lock(&port->lock);
	port->closed = true;
	left = port->nexchanges;
	spin_unlock(&port->lock);
	if (!left)
		mcp_port_put(port);
}
