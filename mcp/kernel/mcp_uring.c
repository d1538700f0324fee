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
#include <linux/io_uring/cmd.h>
#include <linux/sched.h>

#include "mcp_internal.h"

/* A command's own space, 32 bytes. */
struct pending {
	union {
		struct list_head node;		/* parked: in port->parked */
		struct mcp_exchange *call;	/* calling: a reference */
	};
	struct mcp_msg *msg;			/* what it was given, or NULL */
	int result;				/* without a message */
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

/* The task that would have received it dies: somebody else may. */
static void hand_back(struct mcp_port *port, struct mcp_msg *msg)
{
	struct io_uring_cmd *other;

	spin_lock(&port->lock);
	other = mcp_port_push_back(port, msg);
	spin_unlock(&port->lock);
	if (other)
		mcp_uring_finish(other);
}

/* In the command's own task, which may be dying. */
static void complete_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct mcp_port *port = cmd->file->private_data;
	struct pending pending = *pending_of(cmd);
	int result = pending.result;

	if (pending.msg && (issue_flags & IO_URING_F_TASK_DEAD || current->flags & PF_EXITING)) {
		result = -ECANCELED;
		if (pending.calling)
			mcp_port_release(port, mcp_msg_slot(pending.msg));
		else
			hand_back(port, pending.msg);
	} else if (pending.msg) {
		result = mcp_msg_slot(pending.msg);
		mcp_fds_install(port->area, pending.msg);
	}
	if (pending.calling)
		mcp_exchange_put(pending.call);
	io_uring_cmd_done(cmd, result, 0, issue_flags);
}

/**
 * mcp_uring_finish() - have a command completed by its own task
 * @cmd: taken from its place, with its result; no lock is held
 */
void mcp_uring_finish(struct io_uring_cmd *cmd)
{
	/* Each makes one completion, so who waits for several may sleep on. */
	io_uring_cmd_do_in_task_lazy(cmd, complete_cmd);
}

/**
 * mcp_uring_answer() - the result of a call
 * @cmd: taken from its exchange; the caller's lock is held
 * @msg: the response, or NULL
 * @result: if there is none, a negative errno
 */
void mcp_uring_answer(struct io_uring_cmd *cmd, struct mcp_msg *msg, int result)
{
	struct pending *pending = pending_of(cmd);

	pending->msg = msg;
	pending->result = result;
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
	list_del_init(&pending->node);
	pending->msg = msg;
	return cmd_of(pending);
}

/* ---- Issue ---- */

/* Once a command is cancelable, its result goes this way. */
static int done(struct io_uring_cmd *cmd, int result, unsigned int issue_flags)
{
	io_uring_cmd_done(cmd, result, 0, issue_flags);
	return -EIOCBQUEUED;
}

/* Take a message now, or when there is one. */
static int park(struct mcp_port *port, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct pending *pending = pending_of(cmd);
	struct mcp_msg *msg;

	if (!READ_ONCE(port->area))
		return -ENOBUFS;
	spin_lock(&port->lock);
	msg = mcp_port_pop(port);
	spin_unlock(&port->lock);
	if (!msg) {
		*pending = (struct pending){ .node = LIST_HEAD_INIT(pending->node) };
		io_uring_cmd_mark_cancelable(cmd, issue_flags);
		spin_lock(&port->lock);
		msg = mcp_port_pop(port);
		if (!msg)
			list_add_tail(&pending->node, &port->parked);
		spin_unlock(&port->lock);
		if (!msg)
			return -EIOCBQUEUED;
		mcp_fds_install(port->area, msg);
		return done(cmd, mcp_msg_slot(msg), issue_flags);
	}
	mcp_fds_install(port->area, msg);
	return mcp_msg_slot(msg);
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
	mcp_exchange_get(exchange);
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	error = mcp_request_publish(exchange);
	mcp_exchange_put(exchange);
	if (!error)
		return -EIOCBQUEUED;
	/* Nobody else will complete it. */
	mcp_exchange_put(exchange);
	return done(cmd, error, issue_flags);
}

static int send(struct mcp_port *port, struct io_uring_cmd *cmd, const struct mcp_frame *frame,
		unsigned int issue_flags)
{
	int error = mcp_frame_send(port, frame);

	/* "No credit" is an answer; to io_uring it would mean "try again". */
	return error == -EAGAIN ? done(cmd, error, issue_flags) : error;
}

static bool kind_fits(u32 op, u8 kind)
{
	switch (op) {
	case MCP_CMD_SEND:
		return kind == MCP_REQUEST || kind == MCP_RESPONSE || kind == MCP_CANCEL;
	case MCP_CMD_CALL:
		return kind == MCP_REQUEST;
	case MCP_CMD_REPLY_AND_PARK:
		return kind == MCP_RESPONSE;
	default:
		return kind == MCP_NOTIFY;
	}
}

/* The commands that have a frame. */
static int issue_frame(struct mcp_port *port, struct io_uring_cmd *cmd, u64 address, u32 size,
		       unsigned int issue_flags)
{
	struct mcp_frame frame;
	int error;

	if (size != sizeof(frame))
		return -EINVAL;
	if (copy_from_user(&frame, u64_to_user_ptr(address), sizeof(frame)))
		return -EFAULT;
	if (!kind_fits(cmd->cmd_op, frame.envelope.kind))
		return -EINVAL;
	error = mcp_frame_begin(port, &frame);
	if (error)
		return error;
	if (cmd->cmd_op == MCP_CMD_CALL)
		return call(port, cmd, &frame, issue_flags);
	if (cmd->cmd_op != MCP_CMD_REPLY_AND_PARK)
		return send(port, cmd, &frame, issue_flags);
	error = mcp_respond(port, &frame);
	return error ?: park(port, cmd, issue_flags);
}

static int issue(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct mcp_port *port = cmd->file->private_data;
	const struct io_uring_sqe *sqe = cmd->sqe;
	const u64 *rest = io_uring_sqe_cmd(sqe);
	u64 address = READ_ONCE(sqe->addr);
	u32 size = READ_ONCE(sqe->len);

	if (cmd->flags & IORING_URING_CMD_MASK || READ_ONCE(rest[0]) || READ_ONCE(rest[1]) ||
	    READ_ONCE(sqe->buf_index) || READ_ONCE(sqe->file_index))
		return -EINVAL;
	/* Whoever polls a ring of disks does not get an answer from a peer. */
	if (issue_flags & IO_URING_F_IOPOLL)
		return -EOPNOTSUPP;
	switch (cmd->cmd_op) {
	case MCP_CMD_SEND:
	case MCP_CMD_CALL:
	case MCP_CMD_REPLY_AND_PARK:
	case MCP_CMD_NOTIFY:
		return issue_frame(port, cmd, address, size, issue_flags);
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
		ours = !list_empty(&pending->node);
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
	io_uring_cmd_done(cmd, -ECANCELED, 0, issue_flags);
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
