/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: as much of io_uring as the tests need, without liburing.
 *
 * One thread uses a ring. Functions return 0 or more, or -errno.
 */
#ifndef MCP_RING_H
#define MCP_RING_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/io_uring.h>
#include <linux/mcp.h>

struct ring {
	int fd;
	unsigned int flags;	/* IORING_SETUP_* */
	unsigned int features;	/* IORING_FEAT_* */
	unsigned int entries;
	unsigned int unsent;	/* queued, and not yet submitted */
	unsigned int *sq_head, *sq_tail, *sq_mask, *sq_flags;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	void *rings;
	size_t rings_bytes;
};

int ring_open(struct ring *ring, unsigned int entries, unsigned int flags);
void ring_need(struct ring *ring, unsigned int entries, unsigned int flags);
void ring_close(struct ring *ring);
/* A zeroed submission, queued by the next ring_submit(); NULL when there is no room. */
struct io_uring_sqe *ring_sqe(struct ring *ring);
int ring_submit(struct ring *ring);
/* Takes the next completion within so many milliseconds. */
bool ring_wait(struct ring *ring, int milliseconds, struct io_uring_cqe *completion);

/* Queues a command of mcp.ko with a frame (NULL: none). */
struct io_uring_sqe *ring_command(struct ring *ring, int fd, unsigned int number,
				  const struct mcp_frame *frame, __u64 user_data);
/* Submits one command and gives its result; other completions must not be due. */
int ring_do(struct ring *ring, int fd, unsigned int number, const struct mcp_frame *frame);
int ring_release(struct ring *ring, int fd, unsigned int slot);
/* Cancels what has this user_data; the result is that of the cancel. */
void ring_cancel(struct ring *ring, __u64 target, __u64 user_data);

#endif /* MCP_RING_H */
