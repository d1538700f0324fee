// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring commands: the asynchronous path.
 *
 * Concern: commands that wait (parked for a message, or calling), how they are
 *          completed and how they are cancelled.
 * Context: a command is issued by its own task, by an io-wq worker of it or by
 *          an SQPOLL thread; it is completed in task work of its own task.
 * Locking: a ring's lock may be held when a command is issued or cancelled,
 *          and the port's lock is taken inside. A peer's command is never
 *          completed where it is found: that would take its ring's lock under
 *          one's own. It is taken from its place under the port's lock, and
 *          mcp_uring_finish() has its own task complete it.
 * Lifetime: who takes a command from its place completes it. A command is made
 *          cancelable before it can be found, because a worker's issue may
 *          race with its own task's cancellation; after that it ends with
 *          io_uring_cmd_done() and in no other way.
 */
#include <linux/sched.h>

#include "compat.h"
#include "mcp_internal.h"

/* A command's own space, 32 bytes. */
struct pending {
	union {
		struct list_head node;		/* parked: in port->parked */
		u64 cookie;			/* parked, and given a slot: of its exchange */
		struct mcp_exchange *call;	/* calling: a reference */
	};
	struct mcp_msg *msg;			/* as in struct mcp_taken */
	s32 slot;				/* likewise; 0: none yet */
	bool calling;
};

static struct pending *pending_of(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct pending);
}

static struct io_uring_cmd *cmd_of(struct pending *pending)
{
	return container_of((void *)pending, struct io_uring_cmd, pdu);
}

static struct mcp_taken taken_of(const struct pending *pending)
{
	return (struct mcp_taken){ .slot = pending->slot, .msg = pending->msg };
}

static void set_taken(struct pending *pending, struct mcp_taken taken)
{
	pending->slot = taken.slot;
	pending->msg = taken.msg;
}

/*
 * The message that lies there, unless it was released: whoever was given a CANCEL
 * may release the request that it is about, and another one lie there since. The
 * port's lock is held.
 */
static struct mcp_msg *find_taken(struct mcp_port *port, struct mcp_taken taken, u64 cookie)
{
	struct mcp_msg *msg = mcp_slots_owner(&port->area->slots, taken.slot / MCP_UNIT);

	if (!msg || msg->exchange->cookie != cookie)
		return NULL;
	if (taken.slot % MCP_UNIT) {
		if (msg->kind != MCP_REQUEST ||
		    msg->exchange->serve_state != MCP_SERVE_CANCELED ||
		    !list_empty(&msg->exchange->cancel.node))
			return NULL;
		return &msg->exchange->cancel;
	}
	return msg == taken.msg || msg->flags & MCP_MSG_DELIVERED ? msg : NULL;
}

/* Nobody else waits for it. */
static void drop(struct mcp_port *port, struct mcp_taken taken)
{
	struct mcp_exchange *exchange;
	struct file **files;
	u32 nfds;

	if (!taken.msg) {
		mcp_port_release(port, taken.slot);
		return;
	}
	exchange = taken.msg->exchange;
	spin_lock(&port->lock);
	files = taken.msg->files;
	nfds = taken.msg->nfds;
	taken.msg->files = NULL;
	taken.msg->flags |= MCP_MSG_DELIVERED;
	spin_unlock(&port->lock);
	mcp_fds_drop(files, nfds);
	mcp_port_release(port, taken.slot);
	mcp_exchange_put(exchange);
}

/* Does it follow a REQUEST that is over, and may have been taken away unseen? */
static bool is_late(const struct mcp_msg *msg)
{
	return msg->kind == MCP_NOTIFY && msg->flags & MCP_MSG_TO_SERVER &&
	       msg->exchange->serve_state == MCP_SERVE_DONE;
}

/* The task that would have received it dies: somebody else may. */
static void hand_back(struct mcp_port *port, struct mcp_taken taken, u64 cookie)
{
	/* Once it is handed back, whoever receives it may release it. */
	struct mcp_exchange *exchange = taken.msg ? taken.msg->exchange : NULL;
	struct io_uring_cmd *other = NULL;
	struct mcp_msg *msg;
	bool late;

	spin_lock(&port->lock);
	msg = find_taken(port, taken, cookie);
	late = msg && is_late(msg);
	if (msg && !late)
		other = mcp_port_push_back(port, msg);
	spin_unlock(&port->lock);
	if (late) {
		drop(port, taken);
		return;
	}
	if (other)
		mcp_uring_finish(other);
	if (exchange)
		mcp_exchange_put(exchange);
}

/* In the command's own task, unless that or the ring is dying. */
static void complete_cmd(struct io_uring_cmd *cmd, bool dying, unsigned int issue_flags)
{
	struct mcp_port *port = cmd->file->private_data;
	struct pending *pending = pending_of(cmd);
	struct mcp_taken taken = taken_of(pending);
	struct mcp_exchange *call = pending->calling ? pending->call : NULL;

	if (likely(!(dying || current->flags & PF_EXITING))) {
		mcp_fds_install(port, taken);
	} else if (taken.slot > 0) {
		if (call)
			drop(port, taken);
		else
			hand_back(port, taken, pending->cookie);
		taken.slot = -ECANCELED;
	}
	io_uring_cmd_done(cmd, taken.slot, issue_flags);
	if (call)
		mcp_exchange_put(call);
}

MCP_CMD_TASK_WORK(complete_in_task, complete_cmd)

/**
 * mcp_uring_finish() - have a command completed by its own task
 * @cmd: taken from its place, with its result; no lock is held
 */
void mcp_uring_finish(struct io_uring_cmd *cmd)
{
	/* Each makes one completion, so who waits for several may sleep on. */
	io_uring_cmd_do_in_task_lazy(cmd, complete_in_task);
}

/**
 * mcp_uring_answer() - the result of a call
 * @cmd: taken from its exchange; the caller's lock is held
 * @taken: the response, or why there is none
 */
void mcp_uring_answer(struct io_uring_cmd *cmd, struct mcp_taken taken)
{
	set_taken(pending_of(cmd), taken);
}

/**
 * mcp_uring_unpark() - a command that waits for a message
 * @port: its lock is held
 * @msg: what it gets
 *
 * Return: a command for mcp_uring_finish(), or NULL.
 */
struct io_uring_cmd *mcp_uring_unpark(struct mcp_port *port, struct mcp_msg *msg)
{
	struct pending *pending;

	pending = list_first_entry_or_null(&port->parked, struct pending, node);
	if (!pending)
		return NULL;
	__list_del_entry(&pending->node);
	pending->cookie = msg->exchange->cookie;
	/* Another command of a ring that ends may get it for a moment. */
	if (!(msg->flags & MCP_MSG_RETURNED))
		msg->turn = ++port->turn;
	set_taken(pending, mcp_msg_take(msg));
	return cmd_of(pending);
}

/* ---- Issue ---- */

/* Once a command is cancelable, its result goes this way. */
static int done(struct io_uring_cmd *cmd, int result, unsigned int issue_flags)
{
	io_uring_cmd_done(cmd, result, issue_flags);
	return -EIOCBQUEUED;
}

/* Take a message now, or when there is one. */
static int park(struct mcp_port *port, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct pending *pending = pending_of(cmd);
	struct mcp_taken taken;

	if (!READ_ONCE(port->area))
		return -ENOBUFS;
	/* Without the lock: what comes now is found below. */
	if (!list_empty_careful(&port->queue)) {
		spin_lock(&port->lock);
		taken = mcp_port_pop(port);
		spin_unlock(&port->lock);
		if (taken.slot)
			return mcp_fds_install(port, taken);
	}
	*pending = (struct pending){ .node = LIST_HEAD_INIT(pending->node) };
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	spin_lock(&port->lock);
	taken = mcp_port_pop(port);
	if (!taken.slot)
		list_add_tail(&pending->node, &port->parked);
	spin_unlock(&port->lock);
	if (!taken.slot)
		return -EIOCBQUEUED;
	return done(cmd, mcp_fds_install(port, taken), issue_flags);
}

static int call(struct mcp_port *port, struct io_uring_cmd *cmd, const struct mcp_frame *frame,
		unsigned int issue_flags)
{
	struct pending *pending = pending_of(cmd);
	struct mcp_exchange *exchange;
	int error;

	exchange = mcp_request_prepare(port, frame, MCP_ANSWER_CMD);
	if (IS_ERR(exchange))
		return PTR_ERR(exchange);
	/* The reference of the preparation is the command's now. */
	*pending = (struct pending){ .call = exchange, .calling = true };
	exchange->cmd = cmd;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	error = mcp_request_publish(exchange, frame);
	if (!error)
		return -EIOCBQUEUED;
	/* Nobody else will complete it; until that is done, cancel() may look at it. */
	io_uring_cmd_done(cmd, error, issue_flags);
	mcp_exchange_put(exchange);
	return -EIOCBQUEUED;
}

static int send(struct mcp_port *port, struct io_uring_cmd *cmd, const struct mcp_frame *frame,
		unsigned int issue_flags)
{
	int error = mcp_frame_send(port, frame);

	/* "No credit" is an answer; to io_uring it would mean "try again". */
	return error == -EAGAIN ? done(cmd, error, issue_flags) : error;
}

/* Kinds of messages that a command may send, as bits. */
#define REQUEST		BIT(MCP_REQUEST)
#define RESPONSE	BIT(MCP_RESPONSE)
#define NOTIFY		BIT(MCP_NOTIFY)
#define CANCEL		BIT(MCP_CANCEL)

/* A command's frame, which has released the slot that it names. */
static int begin(struct mcp_port *port, struct mcp_frame *frame, u64 address, u32 size,
		 unsigned long kinds)
{
	if (size != sizeof(*frame))
		return -EINVAL;
	if (copy_from_user(frame, u64_to_user_ptr(address), sizeof(*frame)))
		return -EFAULT;
	if (frame->envelope.kind >= BITS_PER_LONG || !(kinds >> frame->envelope.kind & 1))
		return -EINVAL;
	return mcp_frame_begin(port, frame);
}

static int issue(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct mcp_port *port = cmd->file->private_data;
	const struct io_uring_sqe *sqe = cmd->sqe;
	struct mcp_frame frame __uninitialized;
	const u64 *rest = (const u64 *)sqe->cmd;
	u64 address = READ_ONCE(sqe->addr);
	u32 size = READ_ONCE(sqe->len);
	int error;

	if (cmd->flags & IORING_URING_CMD_MASK || READ_ONCE(rest[0]) || READ_ONCE(rest[1]) ||
	    READ_ONCE(sqe->buf_index) || READ_ONCE(sqe->file_index))
		return -EINVAL;
	/* Whoever polls a ring of disks does not get an answer from a peer. */
	if (issue_flags & IO_URING_F_IOPOLL)
		return -EOPNOTSUPP;
	switch (cmd->cmd_op) {
	case MCP_CMD_CALL:
		error = begin(port, &frame, address, size, REQUEST);
		return error ?: call(port, cmd, &frame, issue_flags);
	case MCP_CMD_REPLY_AND_PARK:
		error = begin(port, &frame, address, size, RESPONSE);
		if (!error)
			error = mcp_respond(port, &frame);
		return error ?: park(port, cmd, issue_flags);
	case MCP_CMD_SEND:
		error = begin(port, &frame, address, size, REQUEST | RESPONSE | CANCEL);
		return error ?: send(port, cmd, &frame, issue_flags);
	case MCP_CMD_NOTIFY:
		error = begin(port, &frame, address, size, NOTIFY);
		return error ?: send(port, cmd, &frame, issue_flags);
	case MCP_CMD_RECV_PARK:
		return address || size ? -EINVAL : park(port, cmd, issue_flags);
	case MCP_CMD_RELEASE:
		return size || address > U32_MAX ? -EINVAL : mcp_port_release(port, address);
	default:
		return -ENOTTY;
	}
}

/* ---- Cancellation; the ring's lock is held ---- */

static void cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct mcp_port *port = cmd->file->private_data;
	struct pending *pending = pending_of(cmd);
	struct mcp_exchange *exchange = NULL;
	bool ours;

	spin_lock(&port->lock);
	if (pending->calling) {
		exchange = pending->call;
		ours = exchange->cmd == cmd;
		if (ours)
			exchange->cmd = NULL;
	} else {
		ours = !pending->slot && !list_empty(&pending->node);
		if (ours)
			list_del_init(&pending->node);
	}
	spin_unlock(&port->lock);
	/* Else somebody has an answer for it, and its task work comes. */
	if (!ours)
		return;
	if (exchange) {
		mcp_exchange_end(exchange, ECANCELED);
		mcp_exchange_put(exchange);
	}
	io_uring_cmd_done(cmd, -ECANCELED, issue_flags);
}

/**
 * mcp_uring_cmd() - the file operation
 * @cmd: a command, or one that is to be cancelled
 * @issue_flags: io_uring's
 *
 * Return: a result, or -EIOCBQUEUED: it comes later.
 */
int mcp_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	if (!(issue_flags & IO_URING_F_CANCEL))
		return issue(cmd, issue_flags);
	cancel(cmd, issue_flags);
	return 0;
}
