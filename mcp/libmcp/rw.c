// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: the path of read, write and poll, for where nothing else may be used.
 * Context: the connection's thread. Locking: none. Lifetime: nothing of its own.
 */
#include <errno.h>
#include <unistd.h>

#include "internal.h"

static int rw_open(struct libmcp *mcp)
{
	(void)mcp;
	return 0;
}

static void rw_close(struct libmcp *mcp)
{
	(void)mcp;
}

static int rw_send(struct libmcp *mcp, struct mcp_frame *frame)
{
	take_spare(mcp, frame);
	return write(mcp->fd, frame, sizeof(*frame)) < 0 ? -errno : 0;
}

static int rw_start(struct libmcp *mcp, struct pending *pending)
{
	return send_frame(mcp, &pending->frame);
}

static int receive(struct libmcp *mcp)
{
	struct mcp_frame frame;

	if (read(mcp->fd, &frame, sizeof(frame)) < 0)
		return -errno;
	inbox_push(mcp, frame.slot);
	return 0;
}

static int rw_wait(struct libmcp *mcp, int timeout_ms)
{
	int error = send_held(mcp);

	if (error)
		return error;
	error = receive(mcp);
	if (error != -EAGAIN)
		return error;
	error = wait_readable(mcp->fd, timeout_ms);
	if (error)
		return error;
	error = receive(mcp);
	return error == -EAGAIN ? 0 : error;
}

const struct path path_rw = {
	.name = LIBMCP_RW,
	.open = rw_open,
	.close = rw_close,
	.send = rw_send,
	.start = rw_start,
	.stage = send_held,
	.wait = rw_wait,
};
