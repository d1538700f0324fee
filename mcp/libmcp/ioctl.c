// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: the path of CALL and REPLY_WAIT, one system call a side and round trip.
 * Context: the connection's thread. Locking: none. Lifetime: nothing of its own.
 *
 * The port is O_NONBLOCK but while REPLY_WAIT may wait for as long as it takes:
 * a poll before it could be woken by a message that is taken back, and then
 * nothing would end the wait. CALL waits in either case.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

static int set_blocking(struct libmcp *mcp, bool blocking)
{
	if (mcp->blocking == blocking)
		return 0;
	if (fcntl(mcp->fd, F_SETFL, blocking ? 0 : O_NONBLOCK))
		return -errno;
	mcp->blocking = blocking;
	return 0;
}

/* REPLY_WAIT; what it received is in the inbox. -EAGAIN: nothing was there, but all was sent. */
static int reply_wait(struct libmcp *mcp, struct mcp_frame *frame)
{
	if (!ioctl(mcp->fd, MCP_IOC_REPLY_WAIT, frame)) {
		inbox_push(mcp, frame->slot);
		return 0;
	}
	return -errno;
}

static bool is_sent(const struct mcp_frame *frame)
{
	return !frame->envelope.magic;
}

static int ioctl_open(struct libmcp *mcp)
{
	(void)mcp;
	return 0;
}

static void ioctl_close(struct libmcp *mcp)
{
	(void)mcp;
}

static int ioctl_send(struct libmcp *mcp, struct mcp_frame *frame)
{
	int error = set_blocking(mcp, false);

	if (error)
		return error;
	take_spare(mcp, frame);
	/* REPLY_WAIT sends no REQUEST, and CALL waits for its answer. */
	if (frame->envelope.kind == MCP_REQUEST)
		return write(mcp->fd, frame, sizeof(*frame)) < 0 ? -errno : 0;
	error = reply_wait(mcp, frame);
	/* What failed after it has sent has sent: there was nothing to receive. */
	return error && is_sent(frame) ? 0 : error;
}

static int ioctl_start(struct libmcp *mcp, struct pending *pending)
{
	return send_frame(mcp, &pending->frame);
}

static int ioctl_wait(struct libmcp *mcp, int timeout_ms)
{
	struct mcp_frame frame = mcp->held ? mcp->held_frame : empty_frame();
	int error = set_blocking(mcp, timeout_ms < 0);

	if (error)
		return error;
	take_spare(mcp, &frame);
	error = reply_wait(mcp, &frame);
	if (mcp->held && error && !is_sent(&frame)) {
		if (!answer_is_late(error))
			return error;
		/* Nobody waits for this answer. */
		mcp->held = false;
		frame = empty_frame();
		error = reply_wait(mcp, &frame);
	}
	mcp->held = false;
	if (error != -EAGAIN)
		return error;
	error = wait_readable(mcp->fd, timeout_ms);
	if (error)
		return error;
	frame = empty_frame();
	error = reply_wait(mcp, &frame);
	return error == -EAGAIN ? 0 : error;
}

/* The answer to a request that was nested in this exchange goes with the wait for what follows. */
static int next_frame(struct libmcp *mcp, const struct pending *pending, struct mcp_frame *frame)
{
	if (mcp->held && mcp->held_parent == pending->cookie) {
		*frame = mcp->held_frame;
		mcp->held = false;
	} else {
		int error = send_held(mcp);

		if (error)
			return error;
		*frame = empty_frame();
		frame->envelope.cookie = pending->cookie;
	}
	take_spare(mcp, frame);
	return 0;
}

static int ioctl_call(struct libmcp *mcp, struct pending *pending)
{
	struct mcp_frame frame = pending->frame;
	int error = send_held(mcp);

	if (error)
		return error;
	take_spare(mcp, &frame);
	for (;;) {
		if (ioctl(mcp->fd, MCP_IOC_CALL, &frame)) {
			error = -errno;
			if (error == -EINTR)
				continue;	/* the frame says what is left to do */
			if (frame.envelope.kind != MCP_RESPONSE || !answer_is_late(error))
				return error;
			/* A late answer to what was nested: the call itself goes on. */
		} else {
			dispatch(mcp, frame.slot);
			if (pending->over)
				return 0;
		}
		error = next_frame(mcp, pending, &frame);
		if (error)
			return error;
	}
}

const struct path path_ioctl = {
	.name = LIBMCP_IOCTL,
	.open = ioctl_open,
	.close = ioctl_close,
	.send = ioctl_send,
	.start = ioctl_start,
	.stage = send_held,
	.wait = ioctl_wait,
	.call = ioctl_call,
};
