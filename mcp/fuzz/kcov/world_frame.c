// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: messages, over each of the ways in, and what comes of them later.
 * Context: as world.c. The ring's thread is the controlling one.
 * Lifetime: a frame stays as it is until its sequence is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static unsigned char bodies[2u << 20];

static __u32 length_of(__u32 x)
{
	static const __u32 lengths[] = { 0, 1, 64, 128, 256, 1000, 4096, 16000, 16384, 20000,
					 70000, MCP_MAX_BODY };

	/* Most are small: they fit, and they are quick. */
	return x % 16 ? lengths[x % 5] : lengths[(x >> 4) % ARRAY_SIZE(lengths)];
}

/* ---- What has ended ------------------------------------------------------ */

static void reap(struct world *world)
{
	struct io_uring_cqe completion;

	syscall(__NR_io_uring_enter, world->ring.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	while (*world->ring.cq_head !=
	       __atomic_load_n(world->ring.cq_tail, __ATOMIC_ACQUIRE) &&
	       ring_wait(&world->ring, 0, &completion)) {
		unsigned int number = completion.user_data;

		world->unfinished--;
		if (number >= SEQUENCE_OPS)
			continue;
		world->tally->results[ENTRY_URING][completion.res < 0 && -completion.res < ERRNOS ?
						   -completion.res : 0]++;
		if (completion.res > 0 && world->commands[number].waits)
			world_got_slot(world, world->commands[number].port, completion.res);
	}
}

void world_collect(struct world *world)
{
	for (unsigned int i = 0; i < WAITERS; i++) {
		struct waiter *waiter = world->waiters + i;

		if (atomic_load(&waiter->state) != WAITER_DONE)
			continue;
		world->tally->results[ENTRY_IOCTL][waiter->result < 0 && -waiter->result < ERRNOS ?
						   -waiter->result : 0]++;
		if (!waiter->result)
			world_got_slot(world, waiter->port, waiter->frame->slot);
		atomic_store(&waiter->state, WAITER_IDLE);
	}
	if (world->unfinished)
		reap(world);
	for (unsigned int i = 0; i < SEQUENCE_OPS; i++) {
		__u64 cookie = atomic_exchange(world->results + i, 0);

		if (cookie)
			world_got_cookie(world, cookie, PORTS);
	}
}

/* ---- Ways in ------------------------------------------------------------- */

static void by_ring(struct world *world, const struct op *op, unsigned int number,
		    unsigned int command, bool waits, struct mcp_frame *frame)
{
	unsigned int port = world_port(world, op);
	struct io_uring_sqe *sqe;

	/* All that is waited for has its place. */
	if (world->unfinished >= world->ring.entries)
		return;
	sqe = ring_command(&world->ring, world->ports[port].fd, command, frame, number);
	if (op->x >> 28 == 1)
		sqe->flags |= IOSQE_ASYNC;
	if (op->change && !frame)
		change_bytes(sqe, sizeof(*sqe) - 24, op->change & 0xff3fffff);
	sqe->user_data = number;
	/* A change may have made something else of it, which is not ours to try. */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags &= IOSQE_ASYNC;
	sqe->fd = world->ports[port].fd;
	world->commands[number].port = port;
	world->commands[number].waits = waits;
	world->unfinished++;
	world->calls++;
	world->tally->calls[ENTRY_URING]++;
	if (ring_submit(&world->ring) < 0)
		world->unfinished--;
}

/* A thread that is free, or NULL. */
static struct waiter *idle(struct world *world)
{
	for (unsigned int i = 0; i < WAITERS; i++)
		if (atomic_load(&world->waiters[i].state) == WAITER_IDLE)
			return world->waiters + i;
	return NULL;
}

static void by_thread(struct world *world, const struct op *op, unsigned long ioctl_number,
		      struct mcp_frame *frame)
{
	unsigned int port = world_port(world, op);
	struct waiter *waiter = idle(world);

	if (!waiter)
		return;
	waiter->port = port;
	world->calls++;
	world->tally->calls[ENTRY_IOCTL]++;
	waiter_give(waiter, world->ports[port].fd, ioctl_number, frame);
}

static void by_write(struct world *world, const struct op *op, struct mcp_frame *frame)
{
	ssize_t got = write(world->ports[world_port(world, op)].fd, frame,
			    op->x >> 27 == 3 ? 95 : sizeof(*frame));

	world_count(world, ENTRY_WRITE, got < 0 ? -errno : 0);
}

/* ---- Messages ------------------------------------------------------------ */

/* Descriptors of kinds that may travel, and of some that may not. */
static unsigned int descriptors(struct world *world, const struct op *op, __s32 *fds)
{
	unsigned int count = (op->y >> 20) % 8 == 1 ? 1 + (op->y >> 23) % 4 : 0;
	int pipes[2];

	for (unsigned int i = 0; i < count; i++) {
		switch ((op->y >> (8 + i)) % 5) {
		case 0:
			fds[i] = world_handle(world, op);
			break;
		case 1:
			fds[i] = memfd_create("kcov", MFD_CLOEXEC);
			break;
		case 2:
			fds[i] = pipe2(pipes, O_CLOEXEC) ? -1 : pipes[0];
			break;
		case 3:
			fds[i] = world->ports[world_port(world, op)].fd;
			break;
		default:
			fds[i] = op->y % 4 ? 0 : -1;
		}
	}
	return count;
}

static __u64 deadline_of(__u32 y)
{
	switch (y % 16) {
	case 1:
		return 1;
	case 2:
		return now_ns() + 1000000;
	case 3:
		return now_ns() + 3600ull * 1000000000;
	default:
		return 0;
	}
}

static void fill(struct world *world, const struct op *op, unsigned int number,
		 struct mcp_frame *frame)
{
	__u32 len = op->code == OP_CANCEL ? 0 : length_of(op->x);

	switch (op->code) {
	case OP_REQUEST:
		*frame = frame_request(world_handle(world, op), op->y % 5 == 4 ? TOOL_LAST :
				       op->y % 5, bodies, len);
		break;
	case OP_NESTED:
		*frame = frame_nested(world_cookie(world, op), bodies, len);
		break;
	case OP_RESPONSE:
		*frame = frame_response(world_cookie(world, op), bodies, len);
		break;
	case OP_NOTIFY:
		*frame = frame_notify(world_cookie(world, op), bodies, len);
		break;
	default:
		*frame = frame_cancel(world_cookie(world, op));
	}
	if (op->code == OP_REQUEST || op->code == OP_NESTED) {
		frame->envelope.reserve = length_of(op->y >> 4);
		frame->envelope.credit = (op->y >> 3) % 4;
		frame->envelope.deadline = deadline_of(op->y >> 12);
		frame->result = op->x >> 29 == 7 ? 0 : address(world->results + number);
	}
	if (op->code != OP_CANCEL) {
		frame->envelope.nfds = descriptors(world, op, world->fds[number]);
		frame->fds = frame->envelope.nfds ? address(world->fds[number]) : 0;
	}
	if (op->x >> 24 == 0x55 && world->slot_count)
		frame->slot = world->slots[(world->slot_count - 1) % SLOTS].offset;
	/* The call again that waits in what was sent. */
	if ((op->x >> 20) % 32 == 1)
		*frame = (struct mcp_frame){ .handle = -1,
					     .envelope.cookie = world_cookie(world, op) };
	change_bytes(frame, sizeof(*frame), op->change);
}

void world_frame(struct world *world, const struct op *op, unsigned int number)
{
	static const unsigned int commands[OP_CODES] = {
		[OP_REQUEST] = MCP_CMD_SEND, [OP_NESTED] = MCP_CMD_SEND,
		[OP_RESPONSE] = MCP_CMD_SEND, [OP_NOTIFY] = MCP_CMD_NOTIFY,
		[OP_CANCEL] = MCP_CMD_SEND,
	};
	bool request = op->code == OP_REQUEST || op->code == OP_NESTED;
	struct mcp_frame *frame = world->frames + number;

	fill(world, op, number, frame);
	switch (op->way % WAYS) {
	case WAY_WRITE:
		return by_write(world, op, frame);
	case WAY_RING:
		return by_ring(world, op, number, commands[op->code], false, frame);
	case WAY_RING_WAIT:
		return by_ring(world, op, number,
			       request ? MCP_CMD_CALL : MCP_CMD_REPLY_AND_PARK, true, frame);
	case WAY_IOCTL:
		return by_thread(world, op, request ? MCP_IOC_CALL : MCP_IOC_REPLY_WAIT, frame);
	default:
		/* Answers inside a call, and what the other call does not take. */
		return by_thread(world, op, request && op->y % 4 ? MCP_IOC_CALL :
				 op->x & 1 ? MCP_IOC_CALL : MCP_IOC_REPLY_WAIT, frame);
	}
}

void world_receive(struct world *world, const struct op *op, unsigned int number)
{
	unsigned int port = world_port(world, op);
	struct mcp_frame *frame = world->frames + number;
	ssize_t got;
	int flags;

	*frame = (struct mcp_frame){ .handle = -1 };
	switch (op->way % WAYS) {
	case WAY_RING:
	case WAY_RING_WAIT:
		return by_ring(world, op, number, MCP_CMD_RECV_PARK, true, NULL);
	case WAY_IOCTL:
		change_bytes(frame, sizeof(*frame), op->change);
		return by_thread(world, op, MCP_IOC_REPLY_WAIT, frame);
	}
	flags = fcntl(world->ports[port].fd, F_GETFL);
	fcntl(world->ports[port].fd, F_SETFL, flags | O_NONBLOCK);
	if (op->way % WAYS == WAY_WRITE) {
		got = read(world->ports[port].fd, frame, op->change % 16 == 1 ? 95 : sizeof(*frame));
		world_count(world, ENTRY_READ, got < 0 ? -errno : 0);
	} else {
		got = call(world->ports[port].fd, MCP_IOC_REPLY_WAIT, frame);
		world_count(world, ENTRY_IOCTL, got);
	}
	if (got >= 0)
		world_got_slot(world, port, frame->slot);
	if (op->x & 1)
		fcntl(world->ports[port].fd, F_SETFL, flags);
}

void world_release(struct world *world, const struct op *op, unsigned int number)
{
	unsigned int count = world->slot_count < SLOTS ? world->slot_count : SLOTS;
	unsigned int place = count ? (world->slot_count - 1 - op->ref % count) % SLOTS : 0;
	unsigned int port = count ? world->slots[place].port : world_port(world, op);
	__u32 slot = count ? world->slots[place].offset : op->x;

	if (op->change)
		slot += (op->change % 8) * 64 - 128;
	if (op->way % 2)
		world_count(world, ENTRY_IOCTL,
			    ioctl(world->ports[port].fd, MCP_IOC_RELEASE, slot) ? -errno : 0);
	else if (world->unfinished < world->ring.entries) {
		struct io_uring_sqe *sqe = ring_command(&world->ring, world->ports[port].fd,
							MCP_CMD_RELEASE, NULL, number);

		sqe->addr = slot;
		world->commands[number].waits = false;
		world->unfinished++;
		world->calls++;
		world->tally->calls[ENTRY_URING]++;
		if (ring_submit(&world->ring) < 0)
			world->unfinished--;
	}
}

void world_ring(struct world *world, const struct op *op)
{
	ring_close(&world->ring);
	/*
	 * Not IORING_SETUP_DEFER_TASKRUN: when such a ring ends with commands, Linux
	 * 6.12 warns of itself (docs/uapi.md's selftests have it).
	 */
	ring_need(&world->ring, 32, op && op->x & 1 ? IORING_SETUP_COOP_TASKRUN : 0);
	world->ring.fd = fcntl(world->ring.fd, F_DUPFD_CLOEXEC, KEEP_ABOVE);
	world->unfinished = 0;
	/* A completion of the old one never comes. */
	memset(world->commands, 0, sizeof(world->commands));
}

/* ---- Other processes ----------------------------------------------------- */

/* In a child: calls on what it has inherited. Nothing here may use the C library's locks. */
static void child(struct world *world, const struct op *op)
{
	int port = world->ports[world_port(world, op)].fd;
	struct mcp_frame frame = frame_cancel(world_cookie(world, op));
	struct mcp_open args = { .size = sizeof(args), .rights = ALL_RIGHTS };
	struct mcp_serve server = { .size = sizeof(server), .uid = op->y & 16 ? 0 : ~0u,
				    .gid = op->y & 32 ? 0 : ~0u, .mode = 0777,
				    .flags = op->y >> 6 & 3 };

	trace_self(&world->child);
	memcpy(args.name, "kcov.child", 10);
	memcpy(server.name, op->y & 8 ? "sys.child" : "kcov.child", 10);
	if (op->x & 1 && (syscall(SYS_setresgid, 1000, 1000, 1000) ||
			  syscall(SYS_setresuid, 1000, 1000, 1000)))
		_exit(1);
	(void)!write(port, &frame, sizeof(frame));
	if (op->x & 2) {
		struct mcp_arena arena = { .size = sizeof(arena), .bytes = MCP_ARENA_MIN };
		int own = open(MCP_DEVICE, O_RDWR);

		/* A user that the device does not let in has ours. */
		ioctl(own < 0 ? port : own, MCP_IOC_ARENA, &arena);
		ioctl(own < 0 ? port : own, MCP_IOC_SERVE, &server);
	}
	ioctl(port, MCP_IOC_OPEN, &args);
	if (op->x & 4)
		mmap(NULL, 4096, PROT_READ, MAP_SHARED, port, 0);
	_exit(0);
}

void world_fork(struct world *world, const struct op *op)
{
	pid_t made = fork();

	if (!made)
		child(world, op);
	if (made > 0)
		waitpid(made, NULL, 0);
	world_count(world, ENTRY_OTHER, made < 0 ? -errno : 0);
}
