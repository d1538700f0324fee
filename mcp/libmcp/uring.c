// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: the path of io_uring commands, where many messages are under way.
 * Context: the thread that made the ring, and no other (SINGLE_ISSUER).
 * Locking: none.
 * Lifetime: a frame and its body stay until the command completes, so each
 * parked command has its own, and a call's are in struct pending.
 *
 * PARKED commands wait for messages. One that has brought a message is idle
 * until the next wait, when it takes an answer along if there is one.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PARKED		16
#define ENTRIES		64

struct park {
	bool busy;
	struct mcp_frame frame;
	struct buffer body;
};

struct ring {
	struct io_uring io;
	struct park parks[PARKED];
	struct mcp_frame frame;	/* of @sent */
	bool sent;
	unsigned int completed;	/* commands so far */
	int result;
	int error;	/* of a command that could not be parked */
	int broken;	/* the ring itself failed: nothing more is tried */
};

/* What user_data points to, in its lowest bits. */
enum { PARK, CALL, SENT, TAG = 3 };

static int uring_open(struct libmcp *mcp)
{
	unsigned int flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	struct ring *ring;
	int error;

	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	error = io_uring_queue_init(ENTRIES, &ring->io, flags);
	if (error) {
		free(ring);
		return error == -ENOMEM ? error : -EOPNOTSUPP;
	}
	mcp->ring = ring;
	return 0;
}

static void uring_close(struct libmcp *mcp)
{
	io_uring_queue_exit(&mcp->ring->io);
	for (int i = 0; i < PARKED; i++)
		buffer_free(&mcp->ring->parks[i].body);
	free(mcp->ring);
}

static struct io_uring_sqe *command(struct libmcp *mcp, unsigned int number, const struct mcp_frame *frame)
{
	struct io_uring_sqe *sqe;

	/* What lies in it may point to what is gone: nothing is submitted any more. */
	if (mcp->ring->broken)
		return NULL;
	sqe = io_uring_get_sqe(&mcp->ring->io);
	if (!sqe) {
		io_uring_submit(&mcp->ring->io);
		sqe = io_uring_get_sqe(&mcp->ring->io);
	}
	if (!sqe)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = mcp->fd;
	sqe->cmd_op = number;
	if (frame) {
		sqe->addr = (uintptr_t)frame;
		sqe->len = sizeof(*frame);
	}
	return sqe;
}

static void complete(struct libmcp *mcp, const struct io_uring_cqe *cqe)
{
	void *what = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG);
	struct pending *pending = what;
	struct park *park = what;

	mcp->ring->completed++;
	switch (cqe->user_data & TAG) {
	case PARK:
		park->busy = false;
		if (cqe->res > 0)
			inbox_push(mcp, (uint32_t)cqe->res);
		else if (!answer_is_late(cqe->res))
			mcp->ring->error = cqe->res;
		break;
	case CALL:
		pending->in_ring = false;
		pending_end(mcp, pending, cqe->res < 0 ? cqe->res : 0, cqe->res < 0 ? 0 : (uint32_t)cqe->res);
		break;
	case SENT:
		mcp->ring->result = cqe->res;
		mcp->ring->sent = true;
		break;
	}
}

static void drain(struct libmcp *mcp)
{
	struct io_uring *io = &mcp->ring->io;
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(io, &cqe)) {
		struct io_uring_cqe copy = *cqe;

		io_uring_cqe_seen(io, cqe);
		complete(mcp, &copy);
	}
}

/* An error that does not pass, as from another thread (EEXIST), is the ring's end. */
static bool is_broken(struct ring *ring, int error)
{
	if (error >= 0 || error == -EINTR || error == -EAGAIN || error == -EBUSY || error == -ETIME)
		return false;
	ring->broken = error;
	return true;
}

/* A command that completes at once. What else completes is kept for later. */
static int uring_send(struct libmcp *mcp, struct mcp_frame *frame)
{
	struct ring *ring = mcp->ring;
	struct io_uring_sqe *sqe;

	if (ring->broken)
		return ring->broken;
	sqe = command(mcp, frame->envelope.kind == MCP_NOTIFY ? MCP_CMD_NOTIFY : MCP_CMD_SEND, &ring->frame);
	if (!sqe)
		return -EBUSY;
	take_spare(mcp, frame);
	ring->frame = *frame;
	ring->sent = false;
	sqe->user_data = SENT;
	while (!ring->sent) {
		int error = io_uring_submit_and_wait(&ring->io, 1);

		/* The body may be gone when it is tried again. */
		if (is_broken(ring, error))
			return error;
		drain(mcp);
	}
	return ring->result;
}

/*
 * A call whose answer is all that can come is one command. Of another the
 * answer has to come behind its notifications, so it takes the same way.
 */
static int uring_start(struct libmcp *mcp, struct pending *pending)
{
	struct io_uring_sqe *sqe;
	int error;

	if (pending->frame.envelope.credit || pending->request)
		return send_frame(mcp, &pending->frame);
	error = send_held(mcp);
	if (!error)
		error = mcp->ring->broken;
	if (error)
		return error;
	sqe = command(mcp, MCP_CMD_CALL, &pending->frame);
	if (!sqe)
		return -EBUSY;
	take_spare(mcp, &pending->frame);
	sqe->user_data = (uintptr_t)pending | CALL;
	pending->in_ring = true;
	do {
		error = io_uring_submit(&mcp->ring->io);
	} while (error == -EINTR || error == -EAGAIN);
	drain(mcp);
	return is_broken(mcp->ring, error) ? error : 0;
}

static int uring_submit(struct libmcp *mcp)
{
	int error = mcp->ring->broken;

	if (!error)
		error = io_uring_submit(&mcp->ring->io);
	is_broken(mcp->ring, error);
	return error < 0 ? error : 0;
}

int ring_fd(const struct libmcp *mcp)
{
	return mcp->ring->io.ring_fd;
}

/* The answer goes with a command that is parked again; its body moves there. */
static int uring_stage(struct libmcp *mcp)
{
	struct park *park = mcp->ring->parks;
	struct buffer body;
	struct io_uring_sqe *sqe;

	while (park < mcp->ring->parks + PARKED && park->busy)
		park++;
	if (park == mcp->ring->parks + PARKED)
		return send_held(mcp);
	sqe = command(mcp, MCP_CMD_REPLY_AND_PARK, &park->frame);
	if (!sqe)
		return -EBUSY;
	body = park->body;
	park->body = mcp->held_body;
	mcp->held_body = body;
	park->frame = mcp->held_frame;
	take_spare(mcp, &park->frame);
	park->busy = true;
	sqe->user_data = (uintptr_t)park | PARK;
	mcp->held = false;
	return 0;
}

static int park_all(struct libmcp *mcp)
{
	for (struct park *park = mcp->ring->parks; park < mcp->ring->parks + PARKED; park++) {
		struct io_uring_sqe *sqe;

		if (park->busy)
			continue;
		sqe = command(mcp, MCP_CMD_RECV_PARK, NULL);
		if (!sqe)
			return -EBUSY;
		sqe->user_data = (uintptr_t)park | PARK;
		park->busy = true;
	}
	return 0;
}

static int uring_wait(struct libmcp *mcp, int timeout_ms)
{
	struct __kernel_timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000ll };
	struct io_uring *io = &mcp->ring->io;
	struct io_uring_cqe *cqe;
	unsigned int before = mcp->ring->completed;
	int error = mcp->ring->broken;

	if (!error && mcp->held)
		error = uring_stage(mcp);
	if (!error)
		error = park_all(mcp);
	if (error)
		return error;
	/* Sending the answer may have brought what is waited for. */
	if (mcp->ring->completed != before)
		timeout_ms = 0;
	if (timeout_ms > 0)
		error = io_uring_submit_and_wait_timeout(io, &cqe, 1, &timeout, NULL);
	else
		error = timeout_ms ? io_uring_submit_and_wait(io, 1) : io_uring_submit_and_get_events(io);
	is_broken(mcp->ring, error);
	drain(mcp);
	/* It says how many it has submitted, also when a signal ended the wait. */
	if (timeout_ms < 0 && mcp->ring->completed == before)
		return error < 0 ? error : -EINTR;
	if (error < 0 && error != -ETIME)
		return error;
	error = mcp->ring->error;
	mcp->ring->error = 0;
	return error;
}

const struct path path_uring = {
	.name = LIBMCP_URING,
	.open = uring_open,
	.close = uring_close,
	.send = uring_send,
	.start = uring_start,
	.submit = uring_submit,
	.stage = uring_stage,
	.wait = uring_wait,
};
