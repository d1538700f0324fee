// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: raw io_uring for the test programs.
 * Context: user space.
 * Locking: none, a ring belongs to one thread; the kernel's side of the two
 *	    rings is read with acquire and written with release.
 * Lifetime: ring_open() to ring_close().
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mcp_ring.h"
#include "mcp_test.h"

static int enter(struct ring *ring, unsigned int submit, unsigned int flags)
{
	int result = syscall(__NR_io_uring_enter, ring->fd, submit, 0, flags, NULL, 0);

	return result < 0 ? -errno : result;
}

int ring_open(struct ring *ring, unsigned int entries, unsigned int flags)
{
	struct io_uring_params params = { .flags = flags, .sq_thread_idle = 50 };
	unsigned int *array;
	unsigned char *base;
	int error;

	*ring = (struct ring){ .fd = syscall(__NR_io_uring_setup, entries, &params) };
	if (ring->fd < 0)
		return -errno;
	ring->flags = flags;
	ring->features = params.features;
	ring->entries = params.sq_entries;
	ring->rings_bytes = params.sq_off.array + params.sq_entries * sizeof(__u32);
	if (ring->rings_bytes < params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe))
		ring->rings_bytes = params.cq_off.cqes +
				    params.cq_entries * sizeof(struct io_uring_cqe);
	ring->rings = mmap(NULL, ring->rings_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			   IORING_OFF_SQ_RING);
	if (ring->rings == MAP_FAILED)
		goto close_ring;
	ring->sqes = mmap(NULL, params.sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE,
			  MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (ring->sqes == MAP_FAILED)
		goto unmap;
	base = ring->rings;
	ring->sq_head = (unsigned int *)(base + params.sq_off.head);
	ring->sq_tail = (unsigned int *)(base + params.sq_off.tail);
	ring->sq_mask = (unsigned int *)(base + params.sq_off.ring_mask);
	ring->sq_flags = (unsigned int *)(base + params.sq_off.flags);
	ring->cq_head = (unsigned int *)(base + params.cq_off.head);
	ring->cq_tail = (unsigned int *)(base + params.cq_off.tail);
	ring->cq_mask = (unsigned int *)(base + params.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(base + params.cq_off.cqes);
	array = (unsigned int *)(base + params.sq_off.array);
	for (unsigned int i = 0; i < params.sq_entries; i++)
		array[i] = i;
	return 0;

unmap:
	munmap(ring->rings, ring->rings_bytes);
close_ring:
	error = -errno;
	close(ring->fd);
	ring->fd = -1;
	return error;
}

void ring_need(struct ring *ring, unsigned int entries, unsigned int flags)
{
	int error = ring_open(ring, entries, flags);

	if (error == -EPERM || error == -ENOSYS)
		skip_all("io_uring is switched off");
	if (error) {
		errno = -error;
		bail_out("a ring");
	}
}

void ring_close(struct ring *ring)
{
	if (ring->fd < 0)
		return;
	munmap(ring->sqes, ring->entries * sizeof(*ring->sqes));
	munmap(ring->rings, ring->rings_bytes);
	close(ring->fd);
	*ring = (struct ring){ .fd = -1 };
}

struct io_uring_sqe *ring_sqe(struct ring *ring)
{
	unsigned int head = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
	unsigned int tail = *ring->sq_tail + ring->unsent;
	struct io_uring_sqe *sqe;

	if (tail - head >= ring->entries)
		return NULL;
	sqe = &ring->sqes[tail & *ring->sq_mask];
	memset(sqe, 0, sizeof(*sqe));
	ring->unsent++;
	return sqe;
}

int ring_submit(struct ring *ring)
{
	unsigned int count = ring->unsent;

	ring->unsent = 0;
	__atomic_store_n(ring->sq_tail, *ring->sq_tail + count, __ATOMIC_RELEASE);
	if (!(ring->flags & IORING_SETUP_SQPOLL))
		return enter(ring, count, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP)
		return enter(ring, count, IORING_ENTER_SQ_WAKEUP);
	return count;
}

bool ring_wait(struct ring *ring, int milliseconds, struct io_uring_cqe *completion)
{
	__u64 end = now_ns() + milliseconds * 1000000ull;

	for (;;) {
		unsigned int head = *ring->cq_head;

		if (head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
			*completion = ring->cqes[head & *ring->cq_mask];
			__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
			return true;
		}
		if (now_ns() > end)
			return false;
		/* Completions of mcp.ko come through task work: this runs it. */
		enter(ring, 0, IORING_ENTER_GETEVENTS);
		if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
			usleep(200);
	}
}

struct io_uring_sqe *ring_command(struct ring *ring, int fd, unsigned int number,
				  const struct mcp_frame *frame, __u64 user_data)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	if (!sqe)
		bail_out("room in the ring");
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = number;
	sqe->addr = address(frame);
	sqe->len = frame ? sizeof(*frame) : 0;
	sqe->user_data = user_data;
	return sqe;
}

int ring_do(struct ring *ring, int fd, unsigned int number, const struct mcp_frame *frame)
{
	struct io_uring_cqe completion;
	int error;

	ring_command(ring, fd, number, frame, ~0ull);
	error = ring_submit(ring);
	if (error < 0)
		return error;
	if (!ring_wait(ring, SOON, &completion) || completion.user_data != ~0ull)
		return -ETIME;
	return completion.res;
}

int ring_release(struct ring *ring, int fd, unsigned int slot)
{
	struct io_uring_sqe *sqe = ring_command(ring, fd, MCP_CMD_RELEASE, NULL, ~0ull);
	struct io_uring_cqe completion;
	int error;

	sqe->addr = slot;
	error = ring_submit(ring);
	if (error < 0)
		return error;
	if (!ring_wait(ring, SOON, &completion) || completion.user_data != ~0ull)
		return -ETIME;
	return completion.res;
}

void ring_cancel(struct ring *ring, __u64 target, __u64 user_data)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	if (!sqe)
		bail_out("room in the ring");
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = target;
	sqe->user_data = user_data;
	ring_submit(ring);
}
