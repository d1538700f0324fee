// SPDX-License-Identifier: GPL-2.0
/*
 * An exchange: a request, and all until its one response.
 *
 * Concern: its two sides, how either ends, the deadline, the table of cookies.
 * Context: process, and task work of io_uring; the timer (hard interrupt) only
 *          starts a work.
 * Locking: the caller's side is guarded by the caller's lock, the server's
 *          side by the server's. Never both at once, so that it does not
 *          matter whether they are one port. A side that ends the exchange
 *          changes the caller's side first: whoever makes it MCP_CALL_DONE
 *          has decided how it ended. A bucket's lock is a leaf.
 * Lifetime: counted. Both sides hold one reference until they are finished,
 *           the response's space one, the timer one, a parent's list one. The
 *           table of cookies holds none: the last reference takes it out.
 *           Pages are never referenced from here: a lazy server cannot keep
 *           the arena of a caller that is gone.
 */
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "mcp_internal.h"
#include "mcp_trace.h"

#define BUCKET_BITS 8

/* KASAN shall see what is used after its end. */
#define MAX_SPARES (IS_ENABLED(CONFIG_KASAN) ? 0 : 64)

struct bucket {
	spinlock_t lock; /* of the chain */
	struct hlist_head head;
};

static struct bucket *buckets;
static struct kmem_cache *cache;
static atomic64_t last_cookie;
static struct workqueue_struct *workers;

/*
 * What a free exchange has, whether new or used: its messages know it, and are
 * in no list, nor is it. The cache then need not fill it with zeros, which
 * would cost as much as the rest of a request's admission.
 */
static void construct(void *object)
{
	struct mcp_exchange *exchange = object;

	exchange->request = (struct mcp_msg){ .exchange = exchange, .kind = MCP_REQUEST };
	exchange->response = (struct mcp_msg){ .exchange = exchange, .kind = MCP_RESPONSE };
	exchange->cancel = (struct mcp_msg){ .exchange = exchange, .kind = MCP_CANCEL };
	INIT_LIST_HEAD(&exchange->request.node);
	INIT_LIST_HEAD(&exchange->response.node);
	INIT_LIST_HEAD(&exchange->cancel.node);
	INIT_LIST_HEAD(&exchange->call_node);
	INIT_LIST_HEAD(&exchange->serve_node);
	INIT_LIST_HEAD(&exchange->children);
	INIT_LIST_HEAD(&exchange->sibling);
	INIT_LIST_HEAD(&exchange->inbox);
	INIT_LIST_HEAD(&exchange->sweep);
}

int __init mcp_exchange_init(void)
{
	unsigned int i;

	buckets = kcalloc(1 << BUCKET_BITS, sizeof(*buckets), GFP_KERNEL);
	cache = kmem_cache_create("mcp_exchange", sizeof(struct mcp_exchange), 0, SLAB_ACCOUNT,
				  construct);
	workers = alloc_workqueue("mcp", WQ_PERCPU, 0);
	if (!buckets || !cache || !workers) {
		mcp_exchange_exit();
		return -ENOMEM;
	}
	for (i = 0; i < 1 << BUCKET_BITS; i++)
		spin_lock_init(&buckets[i].lock);
	atomic64_set(&last_cookie, get_random_u32());
	return 0;
}

void mcp_exchange_exit(void)
{
	if (workers)
		destroy_workqueue(workers);
	kmem_cache_destroy(cache);
	kfree(buckets);
}

static struct bucket *bucket_of(u64 cookie)
{
	return buckets + (cookie & ((1 << BUCKET_BITS) - 1));
}

static void expire(struct work_struct *work)
{
	struct mcp_exchange *exchange = container_of(work, struct mcp_exchange, expire);

	mcp_exchange_end(exchange, exchange->expiry_first ? EKEYEXPIRED : ETIMEDOUT);
	mcp_exchange_put(exchange);
}

static enum hrtimer_restart start_expire(struct hrtimer *timer)
{
	struct mcp_exchange *exchange = container_of(timer, struct mcp_exchange, timer);

	/* The timer's reference is the work's now. */
	queue_work(workers, &exchange->expire);
	return HRTIMER_NORESTART;
}

static void reset_msg(struct mcp_msg *msg, u8 flags)
{
	msg->files = NULL;
	msg->unit = 0;
	msg->units = 0;
	msg->flags = flags;
	msg->nfds = 0;
}

/*
 * An exchange is mostly followed by another one, so a port keeps some that are
 * over: to take one from the slab and give it back would cost a tenth of what
 * else the module does for a call.
 */
static struct mcp_exchange *take_spare(struct mcp_port *caller)
{
	struct hlist_node *node;

	spin_lock(&caller->lock);
	node = caller->spares.first;
	if (node) {
		__hlist_del(node);
		caller->nspares--;
		caller->nexchanges++;
	}
	spin_unlock(&caller->lock);
	return hlist_entry_safe(node, struct mcp_exchange, hash);
}

static struct mcp_exchange *take_new(struct mcp_port *caller)
{
	struct mcp_exchange *exchange = kmem_cache_alloc(cache, GFP_KERNEL);

	if (!exchange)
		return NULL;
	exchange->caller = caller;
	spin_lock(&caller->lock);
	caller->nexchanges++;
	spin_unlock(&caller->lock);
	return exchange;
}

static void give_back(struct mcp_exchange *exchange)
{
	struct mcp_port *caller = exchange->caller;
	bool keep, last;

	spin_lock(&caller->lock);
	keep = caller->nspares < MAX_SPARES && !caller->dead;
	if (keep) {
		hlist_add_head(&exchange->hash, &caller->spares);
		caller->nspares++;
	}
	last = !--caller->nexchanges && caller->closed;
	spin_unlock(&caller->lock);
	if (!keep)
		kmem_cache_free(cache, exchange);
	if (last)
		mcp_port_put(caller);
}

/**
 * mcp_exchange_drop_spares() - none will be used again
 * @port: dead, so that none is kept any more
 */
void mcp_exchange_drop_spares(struct mcp_port *port)
{
	struct mcp_exchange *exchange;

	while ((exchange = take_spare(port)))
		give_back(exchange);
}

/**
 * mcp_exchange_new() - not yet known to anybody
 * @caller: whose it is
 *
 * Return: an exchange, stamped with the current task and a cookie of its own;
 * NULL without memory. It has all references that a published one has: of the
 * caller's list, the server's, the response's space, and of whoever called this.
 */
struct mcp_exchange *mcp_exchange_new(struct mcp_port *caller)
{
	struct mcp_exchange *exchange = take_spare(caller);

	if (!exchange)
		exchange = take_new(caller);
	if (!exchange)
		return NULL;
	/* The lists are as the last user left them: empty. */
	INIT_HLIST_NODE(&exchange->hash);
	exchange->server = NULL;
	exchange->handle = NULL;
	exchange->parent = NULL;
	exchange->waiter = NULL;
	exchange->cmd = NULL;
	exchange->deadline = 0;
	exchange->filling = NULL;
	exchange->allowed = 0;
	exchange->error = 0;
	exchange->backward = false;
	exchange->to_parent = false;
	exchange->expiry_first = false;
	exchange->depth = 0;
	exchange->call_state = MCP_CALL_WAITING;
	exchange->serve_state = MCP_SERVE_NEW;
	exchange->sender = 0;
	reset_msg(&exchange->request, MCP_MSG_TO_SERVER);
	reset_msg(&exchange->response, 0);
	reset_msg(&exchange->cancel, MCP_MSG_TO_SERVER);
	refcount_set(&exchange->refs, 4);
	exchange->cookie = atomic64_inc_return(&last_cookie);
	/* What the kernel sends for somebody is sent by a work, which is nobody's task. */
	exchange->stamp = mcp_stamp_of(caller);
	return exchange;
}

/* The next user relies on it. */
static void check_constructed(struct mcp_exchange *exchange)
{
	WARN_ON_ONCE(!list_empty(&exchange->call_node) || !list_empty(&exchange->serve_node) ||
		     !list_empty(&exchange->children) || !list_empty(&exchange->sibling) ||
		     !list_empty(&exchange->inbox) || !list_empty(&exchange->sweep) ||
		     !list_empty(&exchange->request.node) ||
		     !list_empty(&exchange->response.node) ||
		     !list_empty(&exchange->cancel.node));
}

/**
 * mcp_exchange_free() - the last reference is gone, or it was never known
 * @exchange: in no list; what it was nested in may go with it
 */
void mcp_exchange_free(struct mcp_exchange *exchange)
{
	struct mcp_exchange *parent = exchange->parent;
	struct bucket *bucket = bucket_of(exchange->cookie);

	if (!hlist_unhashed(&exchange->hash)) {
		spin_lock(&bucket->lock);
		__hlist_del(&exchange->hash);
		spin_unlock(&bucket->lock);
	}
	if (IS_ENABLED(CONFIG_DEBUG_LIST))
		check_constructed(exchange);
	if (exchange->server)
		mcp_port_put(exchange->server);
	if (exchange->handle)
		mcp_handle_put(exchange->handle);
	give_back(exchange);
	/* As deep as MCP_MAX_NESTING. */
	if (parent)
		mcp_exchange_put(parent);
}

/**
 * mcp_exchange_add() - it can be found by its cookie
 * @exchange: as long as there are references of it
 */
void mcp_exchange_add(struct mcp_exchange *exchange)
{
	struct bucket *bucket = bucket_of(exchange->cookie);

	spin_lock(&bucket->lock);
	hlist_add_head(&exchange->hash, &bucket->head);
	spin_unlock(&bucket->lock);
}

/**
 * mcp_exchange_find() - by its cookie
 * @cookie: any number; whether the caller is a side of it is the caller's to check
 *
 * Return: an exchange with a reference, or NULL.
 */
struct mcp_exchange *mcp_exchange_find(u64 cookie)
{
	struct bucket *bucket = bucket_of(cookie);
	struct mcp_exchange *exchange;

	spin_lock(&bucket->lock);
	hlist_for_each_entry(exchange, &bucket->head, hash) {
		if (exchange->cookie == cookie) {
			/* Whoever gave the last one back waits for the lock. */
			if (!refcount_inc_not_zero(&exchange->refs))
				break;
			spin_unlock(&bucket->lock);
			return exchange;
		}
	}
	spin_unlock(&bucket->lock);
	return NULL;
}

/* Before, its server can only have guessed the cookie. */
static bool is_served(const struct mcp_exchange *exchange)
{
	u8 state = READ_ONCE(exchange->serve_state);

	return state == MCP_SERVE_OPEN || state == MCP_SERVE_CANCELED;
}

/**
 * mcp_exchange_find_of() - one that a port is a side of, and has not seen the end of
 * @port: either side
 * @cookie: any number
 *
 * Its state is read without the lock: that it ends at the same time is seen to
 * by whoever acts on it.
 *
 * Return: an exchange with a reference, or NULL.
 */
struct mcp_exchange *mcp_exchange_find_of(struct mcp_port *port, u64 cookie)
{
	struct mcp_exchange *exchange = mcp_exchange_find(cookie);

	if (!exchange)
		return NULL;
	if (exchange->server == port && is_served(exchange))
		return exchange;
	if (exchange->caller == port && (READ_ONCE(exchange->call_state) != MCP_CALL_DONE ||
					 !list_empty_careful(&exchange->call_node)))
		return exchange;
	mcp_exchange_put(exchange);
	return NULL;
}

/**
 * mcp_exchange_find_served() - one that a port was sent and has not answered
 * @port: the server
 * @cookie: any number
 *
 * As mcp_exchange_find_of(), without the lock.
 *
 * Return: an exchange with a reference, or NULL.
 */
struct mcp_exchange *mcp_exchange_find_served(struct mcp_port *port, u64 cookie)
{
	struct mcp_exchange *exchange = mcp_exchange_find(cookie);

	if (!exchange)
		return NULL;
	if (exchange->server == port && is_served(exchange))
		return exchange;
	mcp_exchange_put(exchange);
	return NULL;
}

/**
 * mcp_exchange_set_timer() - which can be stopped from then on
 * @exchange: not yet known to anybody, with a deadline
 */
void mcp_exchange_set_timer(struct mcp_exchange *exchange)
{
	INIT_WORK(&exchange->expire, expire);
	hrtimer_setup(&exchange->timer, start_expire, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
}

/**
 * __mcp_exchange_arm() - start the timer
 * @exchange: not yet known to its server, with a deadline
 */
void __mcp_exchange_arm(struct mcp_exchange *exchange)
{
	mcp_exchange_get(exchange);
	hrtimer_start(&exchange->timer, ns_to_ktime(exchange->deadline), HRTIMER_MODE_ABS);
}

/**
 * __mcp_exchange_disarm() - stop the timer
 * @exchange: with a deadline; no lock is held; from the timer's own work too
 */
void __mcp_exchange_disarm(struct mcp_exchange *exchange)
{
	/* One that has run has left its reference to the work. */
	if (hrtimer_cancel(&exchange->timer))
		mcp_exchange_put(exchange);
}

/**
 * __mcp_exchange_end_children() - nested requests die with their parent
 * @exchange: the parent, of whoever made it MCP_CALL_DONE: since then nobody else
 *            changes the list
 */
void __mcp_exchange_end_children(struct mcp_exchange *exchange)
{
	struct mcp_exchange *child, *next;

	list_for_each_entry_safe(child, next, &exchange->children, sibling) {
		list_del_init(&child->sibling);
		mcp_exchange_end(child, ECANCELED);
		mcp_exchange_put(child);
	}
}

/* What the caller's side still has to do once its lock is dropped. */
struct ending {
	struct io_uring_cmd *cmd;
	struct mcp_msg *space;
	bool finished;
};

/* The caller's lock is held. */
static void end_caller(struct mcp_exchange *exchange, int error, struct ending *ending)
{
	struct mcp_port *caller = exchange->caller;
	struct mcp_msg *response = &exchange->response;
	bool queued = exchange->answer == MCP_ANSWER_QUEUE && !caller->dead;

	exchange->call_state = MCP_CALL_DONE;
	exchange->error = error;
	ending->finished = true;

	if (queued) {
		mcp_msg_stamp_kernel(caller->area, response, error);
		ending->cmd = mcp_msg_push(response);
	} else if (response->flags & MCP_MSG_BUSY) {
		response->flags |= MCP_MSG_GONE;
	} else if (response->unit) {
		mcp_msg_give(caller->area, response);
		ending->space = response;
	}
	if (exchange->answer == MCP_ANSWER_CMD && exchange->cmd) {
		ending->cmd = exchange->cmd;
		exchange->cmd = NULL;
		mcp_uring_answer(ending->cmd, (struct mcp_taken){ .slot = -error });
	}
	if (exchange->answer == MCP_ANSWER_TASK) {
		if (exchange->waiter) {
			mcp_waiter_wake(exchange->waiter, (struct mcp_taken){ .slot = -error });
			exchange->waiter = NULL;
		} else if (!caller->dead) {
			/* The task comes back and asks. */
			ending->finished = false;
		}
	}
	if (ending->finished)
		list_del_init(&exchange->call_node);
}

/**
 * __mcp_exchange_leave() - it no longer dies with its parent
 * @exchange: has ended, or was never sent; nested
 */
void __mcp_exchange_leave(struct mcp_exchange *exchange)
{
	struct mcp_exchange *parent = exchange->parent;
	bool listed;

	spin_lock(&parent->caller->lock);
	/* If the parent has ended, whoever ended it has the list. */
	listed = parent->call_state != MCP_CALL_DONE && !list_empty(&exchange->sibling);
	if (listed)
		list_del_init(&exchange->sibling);
	spin_unlock(&parent->caller->lock);
	if (listed)
		mcp_exchange_put(exchange);
}

/*
 * A request that is taken away unseen takes what followed it along. The
 * server's lock is held.
 */
static void take_followers(struct mcp_exchange *exchange, struct list_head *taken)
{
	struct list_head *queue = &exchange->server->queue;
	struct mcp_msg *msg, *next;

	/* As mcp_msg_push() has chosen: a call that is over has left nothing unseen. */
	if (mcp_exchange_asks_task(exchange))
		queue = &exchange->parent->inbox;
	list_for_each_entry_safe(msg, next, queue, node) {
		if (msg->exchange != exchange || msg->kind != MCP_NOTIFY ||
		    !(msg->flags & MCP_MSG_TO_SERVER))
			continue;
		list_move_tail(&msg->node, taken);
		mcp_msg_give(exchange->server->area, msg);
	}
}

/**
 * mcp_exchange_finish_locked() - the server's side is over
 * @exchange: its server has heard of it, or would; the server's lock is held, and
 *            dropped here: nobody else receives or ends it since its state was read
 */
void mcp_exchange_finish_locked(struct mcp_exchange *exchange)
	__releases(&exchange->server->lock)
{
	struct mcp_port *server = exchange->server;
	struct mcp_msg *request = &exchange->request, *msg, *next;
	bool unseen = exchange->serve_state == MCP_SERVE_QUEUED;
	struct file **files = request->files;

	exchange->serve_state = MCP_SERVE_DONE;
	/* It may never have been taken from the queue; a CANCEL likewise. */
	list_del_init(&request->node);
	if (unseen && request->flags & MCP_MSG_FOLLOWED && server->area)
		take_followers(exchange, &request->node);
	list_del_init(&exchange->cancel.node);
	list_del_init(&exchange->serve_node);
	request->files = NULL;
	mcp_msg_give(server->area, request);
	spin_unlock(&server->lock);
	mcp_fds_drop(files, request->nfds);
	/* Those who followed hang on to it now. */
	list_for_each_entry_safe(msg, next, &request->node, node) {
		list_del_init(&msg->node);
		mcp_msg_free(msg);
	}
	mcp_exchange_put(exchange);
}

/* The server is told, or never hears of it. */
static void end_server(struct mcp_exchange *exchange, int error)
{
	struct mcp_port *server = exchange->server;
	struct io_uring_cmd *cmd = NULL;

	spin_lock(&server->lock);
	if (exchange->serve_state == MCP_SERVE_QUEUED) {
		mcp_exchange_finish_locked(exchange);
		return;
	}
	if (exchange->serve_state == MCP_SERVE_OPEN) {
		exchange->serve_state = MCP_SERVE_CANCELED;
		if (!server->dead) {
			exchange->cancel.unit = exchange->request.unit;
			mcp_msg_stamp_kernel(server->area, &exchange->cancel, error);
			cmd = mcp_msg_push(&exchange->cancel);
		}
	}
	spin_unlock(&server->lock);
	if (cmd)
		mcp_uring_finish(cmd);
}

/**
 * mcp_exchange_end() - without a response of the server's
 * @exchange: the caller of this holds a reference and no lock
 * @error: why, a positive errno: both sides are told
 *
 * Return: whether this ended it; it may have ended before.
 */
bool mcp_exchange_end(struct mcp_exchange *exchange, int error)
{
	struct mcp_port *caller = exchange->caller;
	struct ending ending = {};

	spin_lock(&caller->lock);
	if (exchange->call_state == MCP_CALL_DONE) {
		spin_unlock(&caller->lock);
		return false;
	}
	end_caller(exchange, error, &ending);
	spin_unlock(&caller->lock);
	trace_mcp_complete(exchange, error, 0);
	mcp_policy_complete(exchange, error, 0);

	if (ending.cmd)
		mcp_uring_finish(ending.cmd);
	mcp_exchange_end_children(exchange);
	mcp_exchange_leave(exchange);
	end_server(exchange, error);
	/* Whoever publishes it has armed it before the server's lock, or sees that it is over. */
	mcp_exchange_disarm(exchange);
	if (ending.space)
		mcp_msg_free(ending.space);
	if (ending.finished)
		mcp_exchange_put(exchange);
	return true;
}

/**
 * mcp_exchange_finish() - the server's side is over
 * @exchange: answered, or cancelled, or its server is gone
 *
 * The request's slot is free again. Done once, whoever comes first.
 */
void mcp_exchange_finish(struct mcp_exchange *exchange)
{
	struct mcp_port *server = exchange->server;

	spin_lock(&server->lock);
	if (exchange->serve_state == MCP_SERVE_DONE || exchange->serve_state == MCP_SERVE_NEW)
		spin_unlock(&server->lock);
	else
		mcp_exchange_finish_locked(exchange);
}

/**
 * mcp_exchange_sweep() - end what was sent to a port
 * @port: the server
 * @only_dead: only what was sent on handles that are no longer valid
 * @error: why, if not for the handle
 *
 * One at a time, so that none returns while another has yet to end what it found.
 */
void mcp_exchange_sweep(struct mcp_port *port, bool only_dead, int error)
{
	struct mcp_exchange *exchange;
	LIST_HEAD(found);

	mutex_lock(&port->setup);
	spin_lock(&port->lock);
	list_for_each_entry(exchange, &port->serves, serve_node) {
		if (only_dead && !READ_ONCE(exchange->handle->error))
			continue;
		mcp_exchange_get(exchange);
		list_add_tail(&exchange->sweep, &found);
	}
	spin_unlock(&port->lock);

	for (;;) {
		spin_lock(&port->lock);
		exchange = list_first_entry_or_null(&found, struct mcp_exchange, sweep);
		if (exchange)
			list_del_init(&exchange->sweep);
		spin_unlock(&port->lock);
		if (!exchange)
			break;
		mcp_exchange_end(exchange, only_dead ? exchange->handle->error : error);
		mcp_exchange_put(exchange);
	}
	mutex_unlock(&port->setup);
}

/**
 * mcp_ioctl_peer() - answer MCP_IOC_PEER
 * @port: the server of the exchange
 * @user: the caller's structure
 *
 * Return: 0; -ENOENT for a cookie that is not one of its open exchanges; as
 * mcp_copy_in(); -EINVAL for a flag.
 */
long mcp_ioctl_peer(struct mcp_port *port, struct mcp_peer __user *user)
{
	struct mcp_exchange *exchange;
	struct mcp_peer peer;
	int error;

	error = mcp_copy_in(&peer, sizeof(peer), user);
	if (error)
		return error;
	if (peer.flags)
		return -EINVAL;
	exchange = mcp_exchange_find_served(port, peer.cookie);
	if (!exchange)
		return -ENOENT;
	peer = (struct mcp_peer){
		.size = sizeof(peer),
		.cookie = exchange->cookie,
		.sender = exchange->sender,
		.uid = from_kuid(&init_user_ns, exchange->stamp.uid),
		.gid = from_kgid(&init_user_ns, exchange->stamp.gid),
		.pid = exchange->stamp.pid,
		.rights = exchange->handle->rights,
		.start_time = exchange->stamp.start_time,
	};
	memcpy(peer.label, exchange->handle->label, sizeof(peer.label));
	mcp_exchange_put(exchange);
	return copy_to_user(user, &peer, sizeof(peer)) ? -EFAULT : 0;
}
