// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: a port with its arena, which path it takes, and one step of its life.
 * Context: the thread that made it. Locking: none.
 * Lifetime: all of it until libmcp_close().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define DEVICE		"/dev/mcp"
#define ARENA_BYTES	(1u << 20)

static int open_port(struct libmcp *mcp, const struct libmcp_options *options)
{
	struct mcp_info info = { .size = sizeof(info) };
	struct mcp_arena arena = {
		.size = sizeof(arena), .flags = options->arena_flags,
		.bytes = options->arena ? options->arena : ARENA_BYTES,
	};
	void *memory;

	mcp->fd = open(options->device ? options->device : DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (mcp->fd < 0 || ioctl(mcp->fd, MCP_IOC_INFO, &info))
		return -errno;
	if (info.abi_version != MCP_ABI_VERSION)
		return -EPROTO;
	if (ioctl(mcp->fd, MCP_IOC_ARENA, &arena))
		return -errno;
	memory = mmap(NULL, arena.bytes, PROT_READ, MAP_SHARED, mcp->fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	mcp->arena = memory;
	mcp->arena_bytes = arena.bytes;
	return inbox_open(mcp);
}

static int open_path(struct libmcp *mcp, enum libmcp_path wanted)
{
	static const struct path *const paths[] = {
		[LIBMCP_IOCTL] = &path_ioctl, [LIBMCP_URING] = &path_uring, [LIBMCP_RW] = &path_rw,
	};
	int error;

	if (wanted < LIBMCP_AUTO || wanted > LIBMCP_RW)
		return -EINVAL;
	mcp->path = wanted == LIBMCP_AUTO ? &path_uring : paths[wanted];
	error = mcp->path->open(mcp);
	if (error && wanted == LIBMCP_AUTO) {
		/* Not allowed here (EPERM), not in this kernel, or no memory for it: ioctl needs none. */
		mcp->path = &path_ioctl;
		error = mcp->path->open(mcp);
	}
	if (error)
		mcp->path = NULL;	/* there is nothing to close */
	return error;
}

int libmcp_connect(struct libmcp **out, const struct libmcp_options *options)
{
	static const struct libmcp_options defaults;
	struct libmcp *mcp = calloc(1, sizeof(*mcp));
	int error;

	if (!mcp)
		return -ENOMEM;
	if (!options)
		options = &defaults;
	mcp->fd = -1;
	error = open_port(mcp, options);
	if (!error)
		error = open_path(mcp, options->path);
	if (error) {
		libmcp_close(mcp);
		return error;
	}
	*out = mcp;
	return 0;
}

void libmcp_close(struct libmcp *mcp)
{
	struct pending *pending;

	if (!mcp)
		return;
	if (mcp->path)
		libmcp_flush(mcp);
	/* The ring first: its commands read frames of what is freed below. */
	if (mcp->path)
		mcp->path->close(mcp);
	if (mcp->arena)
		munmap((void *)mcp->arena, mcp->arena_bytes);
	if (mcp->fd >= 0)
		close(mcp->fd);
	while ((pending = mcp->pending)) {
		mcp->pending = pending->next;
		free(pending);
	}
	tools_free(&mcp->tools);
	buffer_free(&mcp->held_body);
	free(mcp->open);
	free(mcp->inbox.slots);
	free(mcp);
}

enum libmcp_path libmcp_path(const struct libmcp *mcp)
{
	return mcp->path->name;
}

int libmcp_fd(const struct libmcp *mcp)
{
	return mcp->ring ? ring_fd(mcp) : mcp->fd;
}

int libmcp_run(struct libmcp *mcp, int timeout_ms)
{
	uint32_t slot;
	int error;

	for (;;) {
		if (pending_report(mcp))
			return 1;
		slot = inbox_take(mcp);
		if (slot) {
			error = mcp->held ? mcp->path->stage(mcp) : 0;
			dispatch(mcp, slot);
			return error ? error : 1;
		}
		error = mcp->path->wait(mcp, timeout_ms);
		if (error)
			return error;
		if (timeout_ms >= 0 && !mcp->inbox.count)
			return pending_report(mcp);
	}
}

int send_held(struct libmcp *mcp)
{
	struct mcp_frame frame = mcp->held_frame;
	int error;

	if (!mcp->held)
		return 0;
	error = mcp->path->send(mcp, &frame);
	if (error && !answer_is_late(error))
		return error;
	mcp->held = false;
	return 0;
}

int libmcp_flush(struct libmcp *mcp)
{
	int error = send_held(mcp);

	return error || !mcp->path->submit ? error : mcp->path->submit(mcp);
}

int libmcp_release(struct libmcp *mcp, struct libmcp_reply *reply)
{
	uint32_t slot = reply->slot, older = mcp->spare;

	if (!slot)
		return 0;
	*reply = (struct libmcp_reply){ 0 };
	mcp->spare = slot;
	return older ? release_slot(mcp, older) : 0;
}

/* ---- Shared ------------------------------------------------------------------- */

const struct mcp_envelope *envelope_at(const struct libmcp *mcp, uint32_t slot)
{
	return (const void *)(mcp->arena + slot);
}

struct mcp_frame empty_frame(void)
{
	return (struct mcp_frame){ .handle = -1 };
}

struct mcp_frame new_frame(unsigned int kind, const void *body, size_t len)
{
	return (struct mcp_frame){
		.envelope = {
			.magic = MCP_MAGIC, .version = MCP_ENVELOPE_VERSION, .kind = (__u8)kind, .len = (__u32)len,
		},
		/* An address of nothing is refused. */
		.body = len ? (uintptr_t)body : 0,
		.handle = -1,
	};
}

/* All frames are well-formed, so that the kernel releases it whatever else it says. */
void take_spare(struct libmcp *mcp, struct mcp_frame *frame)
{
	frame->slot = mcp->spare;
	mcp->spare = 0;
}

int release_slot(struct libmcp *mcp, uint32_t slot)
{
	return ioctl(mcp->fd, MCP_IOC_RELEASE, (unsigned long)slot) ? -errno : 0;
}

unsigned int message_fds(const struct libmcp *mcp, uint32_t slot, const int **fds)
{
	const struct mcp_envelope *envelope = envelope_at(mcp, slot);

	*fds = (const void *)(mcp->arena + slot + MCP_BODY_OFFSET + ((envelope->len + 3) & ~3u));
	return envelope->nfds;
}

void close_fds(const struct libmcp *mcp, uint32_t slot)
{
	const int *fds;
	unsigned int count = message_fds(mcp, slot, &fds);

	for (unsigned int i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

int wait_readable(int fd, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, timeout_ms) < 0 ? -errno : 0;
}

/* What is held was said earlier, so it goes first. */
int send_frame(struct libmcp *mcp, struct mcp_frame *frame)
{
	int error = send_held(mcp);

	return error ? error : mcp->path->send(mcp, frame);
}

bool answer_is_late(int error)
{
	return error == -ECANCELED || error == -ENOENT || error == -EALREADY;
}
