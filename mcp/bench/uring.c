// SPDX-License-Identifier: GPL-2.0
/*
 * The ring as the fastest user would set it up: DEFER_TASKRUN, so that what a
 * peer completes is done when this task next waits; its own descriptor and the
 * device registered, so that neither is looked up.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys.h"
#include "uring.h"

static void *map(int fd, size_t bytes, off_t offset)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			    fd, offset);

	if (memory == MAP_FAILED)
		die("a ring's memory: %s", strerror(errno));
	return memory;
}

static void enroll(int fd, unsigned int what, void *argument, unsigned int count, long wanted)
{
	if (syscall(SYS_io_uring_register, fd, what, argument, count) != wanted)
		die("io_uring_register %u: %s", what, strerror(errno));
}

void uring_open(struct uring *ring, struct tally *tally, unsigned int entries, int file)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_NO_SQARRAY,
	};
	int fd = (int)syscall(SYS_io_uring_setup, entries, &params);
	struct io_uring_rsrc_update update = { .offset = ~0u, .data = (__u64)fd };
	__u8 *memory;

	if (fd < 0)
		die("io_uring_setup: %s", strerror(errno));
	/* One mapping holds both rings since 5.4; the array of indices is left out. */
	memory = map(fd, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
		     IORING_OFF_SQ_RING);
	*ring = (struct uring){
		.tally = tally,
		.sq_tail = (__u32 *)(memory + params.sq_off.tail),
		.cq_head = (__u32 *)(memory + params.cq_off.head),
		.cq_tail = (__u32 *)(memory + params.cq_off.tail),
		.sq_mask = params.sq_entries - 1,
		.cq_mask = params.cq_entries - 1,
		.sqes = map(fd, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES),
		.cqes = (struct io_uring_cqe *)(memory + params.cq_off.cqes),
	};
	enroll(fd, IORING_REGISTER_FILES, &file, 1, 0);
	enroll(fd, IORING_REGISTER_RING_FDS, &update, 1, 1);
	ring->ring = update.offset;
}

/* The next entry, zeroed; the caller has never more in flight than there are. */
struct io_uring_sqe *uring_sqe(struct uring *ring)
{
	struct io_uring_sqe *sqe = &ring->sqes[ring->tail++ & ring->sq_mask];

	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

/* Submits what was made and waits for @wait completions. */
void uring_enter(struct uring *ring, unsigned int wait)
{
	__u32 count = ring->tail - ring->submitted;
	long result;

	__atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
	result = counted(ring->tally, SYS_io_uring_enter, ring->ring, count, wait,
			 IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, 0, 0);
	if (result != (long)count)
		die("io_uring_enter: %s", result < 0 ? strerror((int)-result) : "short");
	ring->submitted = ring->tail;
}

/* The oldest completion, or NULL. */
const struct io_uring_cqe *uring_cqe(struct uring *ring)
{
	if (ring->head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		return NULL;
	return &ring->cqes[ring->head & ring->cq_mask];
}

void uring_seen(struct uring *ring)
{
	__atomic_store_n(ring->cq_head, ++ring->head, __ATOMIC_RELEASE);
}
