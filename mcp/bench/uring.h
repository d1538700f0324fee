/* SPDX-License-Identifier: GPL-2.0 */
/* As much of io_uring as two rows need; one ring, one task. */
#ifndef MCP_BENCH_URING_H
#define MCP_BENCH_URING_H

#include <linux/io_uring.h>

#include "bench.h"

struct uring {
	struct tally *tally;
	unsigned int ring;	/* the index of its registered descriptor */
	__u32 *sq_tail, *cq_head, *cq_tail;
	__u32 sq_mask, cq_mask;
	__u32 tail, head;	/* ours: of the submissions, of the completions */
	__u32 submitted;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

void uring_open(struct uring *ring, struct tally *tally, unsigned int entries, int file);
struct io_uring_sqe *uring_sqe(struct uring *ring);
void uring_enter(struct uring *ring, unsigned int wait);
const struct io_uring_cqe *uring_cqe(struct uring *ring);
void uring_seen(struct uring *ring);

#endif
