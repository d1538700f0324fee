/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of mcp.ko share with each other, and with nobody else.
 *
 * locking.md tells which lock guards what, and their order. Each file states
 * its own rules at its top.
 */
#ifndef _MCP_INTERNAL_H
#define _MCP_INTERNAL_H

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/ratelimit_types.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <linux/mcp.h>

#include "mcp_envelope.h"
#include "mcp_policy.h"
#include "mcp_quota.h"
#include "mcp_rules.h"
#include "mcp_slots.h"

struct io_uring_cmd;
struct held_name;
struct mcp_exchange;
struct mcp_port;

/* ---- mcp_stats.c: counters ---- */

/**
 * struct mcp_stats - what one CPU has seen
 * @messages: copied, or made by the kernel; by enum mcp_kind
 * @copied: bytes of bodies
 */
struct mcp_stats {
	u64 messages[MCP_CANCEL + 1];
	u64 copied;
};

DECLARE_PER_CPU(struct mcp_stats, mcp_stats);

/* Refusals are counted by errno; none is larger than this. */
#define MCP_REASONS (EHWPOISON + 1)

void mcp_stats_sum(struct mcp_stats *sum);
u64 mcp_refused_count(u32 reason);
int mcp_refused(int error) __cold;

static inline void mcp_count_message(u8 kind, u32 copied)
{
	struct mcp_stats *stats = get_cpu_ptr(&mcp_stats);

	stats->messages[kind]++;
	stats->copied += copied;
	put_cpu_ptr(&mcp_stats);
}

/* Of what was counted before the copy, as that costs less. On another CPU it adds up, too. */
static inline void mcp_count_uncopied(unsigned long bytes)
{
	get_cpu_ptr(&mcp_stats)->copied -= bytes;
	put_cpu_ptr(&mcp_stats);
}

/* ---- mcp_area.c: the memory of an arena ---- */

/**
 * struct mcp_area - pages that the kernel writes and one receiver reads
 * @base: where the kernel sees them
 * @pages: the pages themselves
 * @npages: how many
 * @takes_fds: the receiver is ready for descriptors
 * @closed: the port has left it to the copies that are under way
 * @copies: how many are under way; this and all below: the port's lock
 * @slots: which parts are taken
 */
struct mcp_area {
	u8 *base;
	struct page **pages;
	u32 npages;
	bool takes_fds;
	bool closed;
	u32 copies;
	struct mcp_slots slots;
};

struct mcp_area *mcp_area_new(u32 bytes);
void mcp_area_free(struct mcp_area *area);
int mcp_area_mmap(struct mcp_area *area, struct vm_area_struct *vma);

/* A copy into it begins; the port's lock is held. */
static inline struct mcp_area *mcp_area_begin(struct mcp_area *area)
{
	area->copies++;
	return area;
}

/* It has ended, likewise. Returns whether the caller must free the area after. */
static inline bool mcp_area_end(struct mcp_area *area)
{
	return !--area->copies && area->closed;
}

static inline void *mcp_area_at(const struct mcp_area *area, u32 unit)
{
	return area->base + (size_t)unit * MCP_UNIT;
}

/* ---- mcp_msg.c: one message in one arena ---- */

#define MCP_MSG_DELIVERED	0x01	/* the receiver knows its slot */
#define MCP_MSG_BUSY		0x02	/* a sender copies into it */
#define MCP_MSG_GONE		0x04	/* to be freed when it is no longer busy */
#define MCP_MSG_CREDIT		0x08	/* gives a credit back when it is freed */
#define MCP_MSG_SHRUNK		0x10	/* released but for its first unit */
#define MCP_MSG_TO_SERVER	0x20	/* goes to the side that was called */
#define MCP_MSG_FOLLOWED	0x40	/* of a REQUEST: NOTIFYs were sent after it */
#define MCP_MSG_RETURNED	0x80	/* a command had it, and handed it back */

/**
 * struct mcp_msg - a message that has, or waits for, its receiver
 * @node: in a queue, an inbox, or nowhere
 * @exchange: which it belongs to; a reference
 * @files: descriptors that are not installed yet, or NULL
 * @unit: first unit of its slot; a CANCEL has that of its request
 * @units: of the slot, 0 for a CANCEL
 * @kind: enum mcp_kind
 * @flags: MCP_MSG_*, guarded by the receiver's lock
 * @nfds: how many @files
 * @turn: in which order commands got them, at the port
 */
struct mcp_msg {
	struct list_head node;
	struct mcp_exchange *exchange;
	struct file **files;
	u32 unit;
	u32 units;
	u8 kind;
	u8 flags;
	u8 nfds;
	u32 turn;
};

static inline u32 mcp_msg_slot(const struct mcp_msg *msg)
{
	return msg->unit * MCP_UNIT + (msg->kind == MCP_CANCEL ? MCP_CANCEL_OFFSET : 0);
}

/**
 * struct mcp_taken - what a receiver was given
 * @slot: where the message lies; a negative errno; 0: nothing yet
 * @msg: NULL, unless descriptors have yet to be installed: then a reference of
 *       its exchange is held, and its slot cannot be released before
 *
 * A message whose receiver knows its slot may be released, and gone, at any
 * time: no more than this is kept of it.
 */
struct mcp_taken {
	s32 slot;
	struct mcp_msg *msg;
};

int mcp_msg_init(void);
void mcp_msg_exit(void);
struct mcp_msg *mcp_msg_new(void);
struct mcp_taken mcp_msg_take(struct mcp_msg *msg);
void mcp_msg_give(struct mcp_area *area, struct mcp_msg *msg);
void mcp_msg_free(struct mcp_msg *msg);
int mcp_msg_fill(struct mcp_area *area, u32 unit, const struct mcp_frame *frame,
		 const struct mcp_port *sender);
void mcp_msg_stamp_kernel(struct mcp_area *area, const struct mcp_msg *msg, int error);
struct io_uring_cmd *mcp_msg_push(struct mcp_msg *msg);

/* The envelope that the receiver acts on; a REQUEST has the kernel's @cookie. */
static inline void mcp_msg_stamp(struct mcp_area *area, u32 unit,
				 const struct mcp_envelope *envelope, u64 cookie, u64 sender)
{
	struct mcp_envelope *at = mcp_area_at(area, unit);

	*at = *envelope;
	at->cookie = cookie;
	at->sender = sender;
}

/* ---- mcp_fds.c: descriptors that travel ---- */

struct file **__mcp_fds_collect(const struct mcp_frame *frame);
void mcp_fds_drop(struct file **files, unsigned int count);
void __mcp_fds_install(struct mcp_port *port, struct mcp_msg *msg);

/* The files that a frame names, NULL for none, or an error pointer. */
static inline struct file **mcp_fds_collect(const struct mcp_frame *frame)
{
	return frame->envelope.nfds ? __mcp_fds_collect(frame) : NULL;
}

/* What was taken is received by the current task; returns its slot. */
static inline s32 mcp_fds_install(struct mcp_port *port, struct mcp_taken taken)
{
	if (taken.msg)
		__mcp_fds_install(port, taken.msg);
	return taken.slot;
}

/* ---- mcp_user.c: what one user has in flight ---- */

#define MCP_USER_REQUESTS	1024
#define MCP_USER_UNITS		((64u << 20) / MCP_UNIT)
#define MCP_USER_HANDLES	1024
/* Of one endpoint, whoever has them. */
#define MCP_ENDPOINT_HANDLES	4096

struct mcp_user {
	struct list_head node;
	refcount_t refs;
	kuid_t uid;
	struct mcp_quota quota;
	atomic_t handles;
};

struct mcp_user *mcp_user_get(kuid_t uid);
void mcp_user_hold(struct mcp_user *user);
void mcp_user_put(struct mcp_user *user);

/**
 * struct mcp_stamp - who sends; for logs, not for decisions
 * @uid: effective
 * @gid: likewise
 * @pid: of the process, in the initial namespace
 * @start_time: of that process, CLOCK_BOOTTIME ns
 */
struct mcp_stamp {
	kuid_t uid;
	kgid_t gid;
	pid_t pid;
	u64 start_time;
};

static inline struct mcp_stamp mcp_stamp_of_current(void)
{
	return (struct mcp_stamp){
		.uid = current_euid(),
		.gid = current_egid(),
		.pid = task_tgid_nr(current),
		.start_time = current->group_leader->start_boottime,
	};
}

/* ---- mcp_port.c: an open file of /dev/mcp ---- */

/**
 * struct mcp_port - an open file: what it may receive, and what waits for it
 * @lock: guards all below up to @setup, and of an exchange the side that is here
 * @refs: the file's, and one of each exchange that was sent here
 * @dead: the file is closed
 * @area: the arena, or NULL
 * @queue: messages that nobody has taken
 * @parked: commands (struct mcp_parked) that wait for a message
 * @turn: of the last message that one of them got
 * @waiters: tasks (struct mcp_waiter) that wait for a message
 * @calls: exchanges that began here and have not ended for the caller
 * @serves: exchanges that were sent here and are not finished
 * @spares: exchanges that began here, are over, and will be used again
 * @nspares: how many
 * @nexchanges: that began here and are not spare; those that are left when the
 *              file is closed inherit its reference
 * @closed: nothing is left to do for the file
 * @poll: who polls
 * @setup: one ARENA, SERVE or UPDATE at a time; taken before all other locks
 * @endpoint: what SERVE made of it, or NULL; guarded by @setup
 * @user: who opened it
 * @cred: its credential: the authority of all that is done here
 * @bound: a port of the kernel's: the one handle that it sends on; else NULL
 * @binder: a port of the kernel's: who made it, whom its requests name as their sender
 * @rcu: it is freed after a grace period, since endpoints point to it
 */
struct mcp_port {
	spinlock_t lock; /* see above */
	refcount_t refs;
	bool dead;
	struct mcp_area *area;
	struct list_head queue;
	struct list_head parked;
	u32 turn;
	struct list_head waiters;
	struct list_head calls;
	struct list_head serves;
	struct hlist_head spares;
	u32 nspares;
	u32 nexchanges;
	bool closed;
	wait_queue_head_t poll;
	struct mutex setup; /* see above */
	struct mcp_endpoint *endpoint;
	struct mcp_user *user;
	const struct cred *cred;
	struct mcp_handle *bound;
	struct mcp_stamp binder;
	struct rcu_head rcu;
};

static inline struct mcp_stamp mcp_stamp_of(const struct mcp_port *port)
{
	return unlikely(port->bound) ? port->binder : mcp_stamp_of_current();
}

/**
 * struct mcp_waiter - a task in a call that waits for one message
 * @node: in the list of waiters, or empty
 * @task: to be woken
 * @taken: what it was given
 */
struct mcp_waiter {
	struct list_head node;
	struct task_struct *task;
	struct mcp_taken taken;
};

struct mcp_port *mcp_port_new(const struct cred *cred);
void mcp_port_close(struct mcp_port *port);
void mcp_port_free(struct mcp_port *port);
int mcp_port_set_arena(struct mcp_port *port, u64 bytes, bool takes_fds);
struct io_uring_cmd *mcp_port_push(struct mcp_port *port, struct mcp_msg *msg);
void mcp_port_kick(struct mcp_port *port);
struct io_uring_cmd *mcp_port_push_back(struct mcp_port *port, struct mcp_msg *msg);
struct mcp_taken mcp_port_pop(struct mcp_port *port);
void mcp_waiter_wake(struct mcp_waiter *waiter, struct mcp_taken taken);
bool mcp_waiter_sleep(struct mcp_waiter *waiter);
struct mcp_taken mcp_port_wait(struct mcp_port *port, bool nonblock);
int mcp_port_release(struct mcp_port *port, u32 slot);

static inline struct mcp_port *mcp_port_get(struct mcp_port *port)
{
	refcount_inc(&port->refs);
	return port;
}

static inline void mcp_port_put(struct mcp_port *port)
{
	if (refcount_dec_and_test(&port->refs))
		mcp_port_free(port);
}

/* ---- mcp_endpoint.c: names, and tables of tools ---- */

/* One tool, as a handle sees it: @born and @changed are serial numbers. */
struct mcp_tool_row {
	struct mcp_tool tool;
	u64 born;
	u64 changed;
};

/* Rows by id: row[0] is never used. Replaced as a whole. */
struct mcp_tool_table {
	struct rcu_head rcu;
	u32 size;
	u32 count;
	u64 generation;
	struct mcp_tool_row *row[] __counted_by(size);
};

/**
 * struct mcp_endpoint - a name that is served
 * @node: in the registry
 * @refs: the port's, and one of each handle
 * @port: who serves it, NULL when nobody does any more
 * @tools: the table; replaced under the registry's lock, read under RCU
 * @serial: the last number given to a change; the registry's lock
 * @gone: by id, @born of tools that were taken out; NULL before the first; the
 *	  registry's lock
 * @hold: to keep the name once nobody serves it
 * @handles: those that were opened, without derived ones; the registry's lock
 * @quota: requests that wait here; the lock of @port
 * @nhandles: of @handles and all that were derived from them; the registry's lock
 * @calls: requests that were sent on handles that are gone; the registry's lock
 * @sender: id of its own messages
 * @uid: owner
 * @gid: group
 * @mode: nine bits
 * @flags: MCP_SERVE_*
 * @name: with a NUL
 */
struct mcp_endpoint {
	struct list_head node;
	refcount_t refs;
	struct mcp_port __rcu *port;
	struct mcp_tool_table __rcu *tools;
	u64 serial;
	u64 *gone;
	struct held_name *hold;
	struct list_head handles;
	struct mcp_quota quota;
	u32 nhandles;
	u64 calls;
	u64 sender;
	kuid_t uid;
	kgid_t gid;
	u16 mode;
	u32 flags;
	char name[MCP_NAME_SIZE];
};

extern struct mutex mcp_registry_lock;
/* Guarded by it: all endpoints; how often one came, changed or went; likewise handles. */
extern struct list_head mcp_endpoints;
extern u64 mcp_registry_generation;
extern u64 mcp_handles_generation;

struct mcp_endpoint *mcp_endpoint_find(const char *name);
void mcp_endpoint_put(struct mcp_endpoint *endpoint);
void mcp_endpoint_close(struct mcp_endpoint *endpoint);
struct mcp_port *mcp_endpoint_port(struct mcp_endpoint *endpoint);
const struct mcp_tool_row *mcp_endpoint_tool(const struct mcp_tool_table *table, u32 id);
bool mcp_in_group(const struct cred *cred, kgid_t gid);
long mcp_ioctl_serve(struct mcp_port *port, struct file *file, struct mcp_serve __user *user);
long mcp_ioctl_update(struct mcp_port *port, struct mcp_update __user *user);
void mcp_endpoint_exit(void);

/* ---- mcp_handle.c: who may call what ---- */

/**
 * struct mcp_handle - authority to send to an endpoint
 * @refs: its descriptor's, one of each exchange, one of each child
 * @endpoint: where it leads
 * @parent: what it was derived from, or NULL
 * @children: derived from it; the registry's lock
 * @sibling: in the parent's @children or the endpoint's @handles
 * @user: who is charged for it
 * @quota: in flight on it and on all that was derived from it; the lock of the
 *         endpoint's port
 * @back: what the endpoint holds in arenas of callers on account of it
 * @poll: who polls its descriptor
 * @ends: tells them of @expiry, if there is one
 * @tools: bits of the tools that it leads to, NULL for all up to @pinned
 * @pinned: serial number of the table when it was pinned
 * @calls: requests that were admitted on it; the lock of the endpoint's port
 * @body_bytes: of these; likewise
 * @audit_rate: how many records of calls it may cause
 * @sender: its id
 * @expiry: CLOCK_MONOTONIC ns, 0 for never
 * @rights: MCP_RIGHT_*
 * @depth: 0 for one that was opened
 * @error: 0 while it lives, else what calls on it answer
 * @label: up to MCP_LABEL_SIZE characters, and a NUL
 */
struct mcp_handle {
	refcount_t refs;
	struct mcp_endpoint *endpoint;
	struct mcp_handle *parent;
	struct list_head children;
	struct list_head sibling;
	struct mcp_user *user;
	struct mcp_quota quota;
	struct mcp_quota back;
	wait_queue_head_t poll;
	struct hrtimer ends;
	unsigned long *tools;
	u64 pinned;
	u64 calls;
	u64 body_bytes;
	struct ratelimit_state audit_rate;
	u64 sender;
	u64 expiry;
	u32 rights;
	u32 depth;
	int error;
	char label[MCP_LABEL_SIZE + 1];
};

extern const struct file_operations mcp_handle_fops;

struct mcp_handle *mcp_handle_of(struct file *file);
void mcp_handle_arm(struct mcp_handle *handle);
void mcp_handle_free(struct mcp_handle *handle);
void mcp_handle_kill(struct mcp_handle *handle, int error);
int mcp_handle_error(const struct mcp_handle *handle);
int mcp_handle_admit(struct mcp_handle *handle, const struct mcp_envelope *envelope);

/* ---- mcp_grant.c: how handles are made and taken ---- */

u32 mcp_openable(struct mcp_port *port, struct mcp_endpoint *endpoint);
long mcp_ioctl_open(struct mcp_port *port, struct mcp_open __user *user);
long mcp_ioctl_grant(struct mcp_port *port, struct mcp_grant __user *user);
long mcp_ioctl_revoke(struct mcp_port *port, struct mcp_revoke __user *user);

static inline void mcp_handle_put(struct mcp_handle *handle)
{
	if (refcount_dec_and_test(&handle->refs))
		mcp_handle_free(handle);
}

static inline struct mcp_handle *mcp_handle_get(struct mcp_handle *handle)
{
	refcount_inc(&handle->refs);
	return handle;
}

/* ---- mcp_audit.c: decisions ---- */

DECLARE_STATIC_KEY_FALSE(mcp_audit_calls);

int mcp_audit_decision(const char *what, const struct mcp_endpoint *endpoint,
		       const struct mcp_handle *handle, u32 rights, int error);
int mcp_audit_policy(const char *what, const struct mcp_policy *policy);
int mcp_audit_name(const char *what, const char *name, int error);
void mcp_audit_handle_init(struct mcp_handle *handle);
void __mcp_audit_call(struct mcp_handle *handle, const struct mcp_envelope *envelope, u64 cookie,
		      const struct mcp_stamp *sender, int error);
void mcp_audit_denial(const struct mcp_port *sender, const struct mcp_exchange *exchange,
		      const struct mcp_envelope *envelope, int error);
int mcp_audit_calls_set(bool on);
bool mcp_audit_calls_on(void);
u64 mcp_audit_lost_count(void);

/* A request was admitted. Costs a no-operation while nobody wants to know. */
static inline void mcp_audit_call(struct mcp_handle *handle, const struct mcp_envelope *envelope,
				  u64 cookie, const struct mcp_stamp *sender)
{
	if (static_branch_unlikely(&mcp_audit_calls))
		__mcp_audit_call(handle, envelope, cookie, sender, 0);
}

/* ---- mcp_require.c: where a policy must be attached ---- */

int mcp_require_check(const struct mcp_endpoint *endpoint);
long mcp_ioctl_require(struct file *file, struct mcp_require __user *user);
void mcp_require_exit(void);

/* ---- mcp_policy.c: filters ---- */

DECLARE_STATIC_KEY_FALSE(mcp_policy_key);

void mcp_policy_watch(void);
int __mcp_policy_open(const struct mcp_port *port, const struct mcp_endpoint *endpoint, u32 rights);
int __mcp_policy_grant(const struct mcp_port *port, const struct mcp_handle *parent,
		       const struct mcp_grant *grant);
int __mcp_policy_allow(struct mcp_exchange *exchange, const struct mcp_envelope *envelope);
void __mcp_policy_complete(const struct mcp_exchange *exchange, int status, u32 answer);

/* The questions; nothing but a no-operation while nobody could answer them. */
static inline int mcp_policy_open(const struct mcp_port *port, const struct mcp_endpoint *endpoint,
				  u32 rights)
{
	return static_branch_unlikely(&mcp_policy_key) ? __mcp_policy_open(port, endpoint, rights) :
							 0;
}

static inline int mcp_policy_grant(const struct mcp_port *port, const struct mcp_handle *parent,
				   const struct mcp_grant *grant)
{
	return static_branch_unlikely(&mcp_policy_key) ? __mcp_policy_grant(port, parent, grant) :
							 0;
}

static inline int mcp_policy_allow(struct mcp_exchange *exchange,
				   const struct mcp_envelope *envelope)
{
	return static_branch_unlikely(&mcp_policy_key) ? __mcp_policy_allow(exchange, envelope) : 0;
}

static inline void mcp_policy_complete(const struct mcp_exchange *exchange, int status, u32 answer)
{
	if (static_branch_unlikely(&mcp_policy_key))
		__mcp_policy_complete(exchange, status, answer);
}

/* ---- mcp_exchange.c: a request, and all until its response ---- */

/* Where what comes to the caller goes. */
enum mcp_answer {
	MCP_ANSWER_QUEUE,	/* to the port, as everything else */
	MCP_ANSWER_TASK,	/* to a task in MCP_IOC_CALL */
	MCP_ANSWER_CMD,		/* the response completes an io_uring command */
};

/* Of the caller's side; guarded by the caller's lock. */
enum mcp_call_state {
	MCP_CALL_WAITING,	/* no answer yet */
	MCP_CALL_FILLING,	/* the answer is being copied */
	MCP_CALL_DONE,		/* answered, or never to be */
};

/* Of the server's side; guarded by the server's lock. */
enum mcp_serve_state {
	MCP_SERVE_NEW,		/* nobody has seen it */
	MCP_SERVE_QUEUED,	/* the server has not seen it */
	MCP_SERVE_OPEN,		/* the server works on it */
	MCP_SERVE_CANCELED,	/* the server was told that nobody waits */
	MCP_SERVE_DONE,		/* answered, or given up */
};

/**
 * struct mcp_exchange - a request, and all until its response
 * @cookie: its name, unique while the module is loaded
 * @hash: by cookie; the bucket's lock. Or a spare one: @caller's lock
 * @refs: of lists, of messages that lie in arenas, of whoever works on it
 * @filling: the server's arena, while the request is copied
 * @caller: the port that sent the request
 * @server: the port that it was sent to
 * @handle: on which the outermost request was sent
 * @parent: the exchange that it is nested in, or NULL
 * @backward: the request went from the endpoint to a caller
 * @to_parent: nested, and sent to the side that called @parent
 * @depth: 0 without a parent
 * @answer: where messages to the caller go
 * @call_state: see above
 * @serve_state: see above
 * @credit: notifications that the caller can still hold; the caller's lock
 * @error: why the kernel ended it; the caller's lock
 * @call_node: in @caller->calls
 * @serve_node: in @server->serves
 * @children: nested requests; the caller's lock
 * @sibling: in @parent->children; the lock of @parent's caller
 * @inbox: MCP_ANSWER_TASK: messages that no task has taken; the caller's lock
 * @waiter: MCP_ANSWER_TASK: the task that waits; the caller's lock
 * @cmd: MCP_ANSWER_CMD: the command that waits; the caller's lock
 * @sweep: for whoever ends many of them
 * @request: the message in the server's arena
 * @response: the space in the caller's arena, and the message there
 * @cancel: the CANCEL that the server may be sent
 * @timer: the deadline
 * @expire: what the timer starts
 * @deadline: CLOCK_MONOTONIC ns, 0 for none
 * @allowed: when a policy allowed it, CLOCK_MONOTONIC ns; 0 if none was asked
 * @tool: of the request, if a policy allowed it
 * @length: of the request's body, likewise
 * @began: when it was sent, CLOCK_MONOTONIC ns; 0 if nobody traced that
 * @expiry_first: the handle ends before the caller's deadline
 * @sender: stamp of the request
 * @stamp: of the task that sent the request
 */
struct mcp_exchange {
	struct hlist_node hash;
	struct mcp_port *server;
	struct mcp_handle *handle;
	struct mcp_exchange *parent;
	struct mcp_waiter *waiter;
	struct io_uring_cmd *cmd;
	u64 deadline;
	struct mcp_area *filling;
	u64 allowed;
	int error;
	bool backward;
	bool to_parent;
	bool expiry_first;
	u8 depth;
	u8 answer;
	u8 call_state;
	u8 serve_state;
	u8 credit;
	struct mcp_msg request;
	struct mcp_msg response;
	struct mcp_msg cancel;
	refcount_t refs;
	u64 cookie;
	struct mcp_port *caller;
	struct list_head call_node;
	struct list_head serve_node;
	struct list_head children;
	struct list_head sibling;
	struct list_head inbox;
	struct list_head sweep;
	u64 sender;
	struct mcp_stamp stamp;
	u32 tool;
	u32 length;
#ifdef CONFIG_TRACEPOINTS
	u64 began;
#endif
	struct hrtimer timer;
	struct work_struct expire;
};

int mcp_exchange_init(void);
void mcp_exchange_exit(void);
struct mcp_exchange *mcp_exchange_find(u64 cookie);
struct mcp_exchange *mcp_exchange_find_of(struct mcp_port *port, u64 cookie);
struct mcp_exchange *mcp_exchange_find_served(struct mcp_port *port, u64 cookie);
void mcp_exchange_free(struct mcp_exchange *exchange);
bool mcp_exchange_end(struct mcp_exchange *exchange, int error);
void mcp_exchange_sweep(struct mcp_port *port, bool only_dead, int error);
void mcp_exchange_add(struct mcp_exchange *exchange);
void mcp_exchange_finish_locked(struct mcp_exchange *exchange)
	__releases(&exchange->server->lock);
void mcp_exchange_finish(struct mcp_exchange *exchange);
void __mcp_exchange_end_children(struct mcp_exchange *exchange);
void __mcp_exchange_leave(struct mcp_exchange *exchange);
void mcp_exchange_set_timer(struct mcp_exchange *exchange);
void __mcp_exchange_arm(struct mcp_exchange *exchange);
void __mcp_exchange_disarm(struct mcp_exchange *exchange);
struct mcp_exchange *mcp_exchange_new(struct mcp_port *caller);
void mcp_exchange_drop_spares(struct mcp_port *port);
long mcp_ioctl_peer(struct mcp_port *port, struct mcp_peer __user *user);

static inline void mcp_exchange_put(struct mcp_exchange *exchange)
{
	if (refcount_dec_and_test(&exchange->refs))
		mcp_exchange_free(exchange);
}

/*
 * Is it asked of a call that waits for its answer, and so gets this too? Not once
 * that is over and its task has come back. The server's lock is held, which is the
 * call's.
 */
static inline bool mcp_exchange_asks_task(const struct mcp_exchange *exchange)
{
	const struct mcp_exchange *parent = exchange->parent;

	return exchange->to_parent && parent->answer == MCP_ANSWER_TASK &&
	       !list_empty(&parent->call_node);
}

/* Most have no deadline and are not nested. */
static inline void mcp_exchange_arm(struct mcp_exchange *exchange)
{
	if (exchange->deadline)
		__mcp_exchange_arm(exchange);
}

static inline void mcp_exchange_disarm(struct mcp_exchange *exchange)
{
	if (exchange->deadline)
		__mcp_exchange_disarm(exchange);
}

static inline void mcp_exchange_end_children(struct mcp_exchange *exchange)
{
	if (!list_empty(&exchange->children))
		__mcp_exchange_end_children(exchange);
}

static inline void mcp_exchange_leave(struct mcp_exchange *exchange)
{
	if (exchange->parent)
		__mcp_exchange_leave(exchange);
}

/* Does a message to this side come from the handle, and not from the endpoint? */
static inline bool mcp_from_handle(const struct mcp_exchange *exchange, bool to_server)
{
	return to_server != exchange->backward;
}

/* The stamp of a message to this side. */
static inline u64 mcp_sender_to(const struct mcp_exchange *exchange, bool to_server)
{
	return mcp_from_handle(exchange, to_server) ? exchange->handle->sender :
						      exchange->handle->endpoint->sender;
}

/* May a message to this side bring so many descriptors? An endpoint always may. */
static inline bool mcp_may_send_fds(const struct mcp_exchange *exchange, bool to_server, u32 nfds)
{
	return !nfds || !mcp_from_handle(exchange, to_server) ||
	       exchange->handle->rights & MCP_RIGHT_FDS;
}

static inline struct mcp_exchange *mcp_exchange_get(struct mcp_exchange *exchange)
{
	refcount_inc(&exchange->refs);
	return exchange;
}

/* ---- mcp_request.c, mcp_respond.c, mcp_notify.c: the kinds of messages ---- */

struct mcp_exchange *mcp_request_prepare(struct mcp_port *port, const struct mcp_frame *frame,
					 enum mcp_answer answer);
int mcp_request_publish(struct mcp_exchange *exchange, const struct mcp_frame *frame);
int mcp_respond(struct mcp_port *port, const struct mcp_frame *frame);
int mcp_notify(struct mcp_port *port, const struct mcp_frame *frame);
int mcp_cancel(struct mcp_port *port, u64 cookie);

/* ---- mcp_charge.c: who is charged for what lies in another's arena ---- */

bool mcp_charge(struct mcp_exchange *exchange, bool to_server, u32 requests, u32 units,
		u32 quarter);
void mcp_uncharge(struct mcp_exchange *exchange, bool to_server, u32 requests, u32 units);

/* ---- mcp_frame.c: what is common to the three paths ---- */

int mcp_frame_check(const struct mcp_frame *frame);
int mcp_frame_begin(struct mcp_port *port, const struct mcp_frame *frame);
int mcp_frame_send(struct mcp_port *port, const struct mcp_frame *frame);

/* ---- mcp_sync.c, mcp_rw.c, mcp_uring.c: the three paths ---- */

long mcp_ioctl_call(struct mcp_port *port, struct mcp_frame __user *user);
long mcp_ioctl_reply_wait(struct mcp_port *port, struct mcp_frame __user *user, bool nonblock);
ssize_t mcp_read(struct file *file, char __user *buffer, size_t count, loff_t *position);
ssize_t mcp_write(struct file *file, const char __user *buffer, size_t count, loff_t *position);
__poll_t mcp_poll(struct file *file, struct poll_table_struct *table);
int mcp_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
void mcp_uring_finish(struct io_uring_cmd *cmd);
void mcp_uring_answer(struct io_uring_cmd *cmd, struct mcp_taken taken);
struct io_uring_cmd *mcp_uring_unpark(struct mcp_port *port, struct mcp_msg *msg);

/* ---- mcp_main.c, mcp_info.c, mcp_copy.c ---- */

struct mcp_port *mcp_port_of(struct file *file);

long mcp_ioctl_info(struct mcp_info __user *user);
int mcp_copy_in(void *to, size_t known, const void __user *user);
bool mcp_rows_fit(u64 address, u32 count, u32 row_size, size_t known);
u64 mcp_new_sender(void);
void mcp_senders_start(u64 first);

#endif /* _MCP_INTERNAL_H */
