// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: ports, endpoints, handles; what was made, and its end.
 * Context: user space, root, on one CPU.
 * Locking: none: the controlling thread's.
 * Lifetime: what a sequence makes has a descriptor below KEEP_ABOVE.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "world.h"

#define RING_ENTRIES 32

static void nothing(int number)
{
	(void)number;
}

void world_need(struct world *world, struct tally *tally, bool network)
{
	struct sigaction action = { .sa_handler = nothing };

	memset(world, 0, sizeof(*world));
	world->tally = tally;
	for (unsigned int i = 0; i < PORTS; i++)
		world->ports[i].fd = -1;
	sigaction(SIGUSR1, &action, NULL);
	/* First: it changes the credential, which every thread shall have. */
	if (network)
		world->wire = wire_need(KEEP_ABOVE);
	if (genl_open(&world->genl))
		bail_out("generic netlink");
	world->genl.fd = fcntl(world->genl.fd, F_DUPFD_CLOEXEC, KEEP_ABOVE);
	ring_need(&world->ring, RING_ENTRIES, 0);
	world->ring.fd = fcntl(world->ring.fd, F_DUPFD_CLOEXEC, KEEP_ABOVE);
	for (unsigned int i = 0; i < WAITERS; i++)
		if (waiter_start(world->waiters + i, KEEP_ABOVE))
			bail_out("a thread with a trace");
	if (trace_open(&world->child, KEEP_ABOVE, TRACE_WORDS) || trace_open(&world->trace, KEEP_ABOVE, TRACE_WORDS) ||
	    trace_self(&world->trace))
		bail_out("no trace: /sys/kernel/debug/kcov");
	syscall(SYS_close_range, 3, KEEP_ABOVE - 1, 0);
}

/* ---- What there is ------------------------------------------------------- */

long world_count(struct world *world, enum entry entry, long result)
{
	unsigned int error = result < 0 && -result < ERRNOS ? -result : 0;

	world->calls++;
	world->tally->calls[entry]++;
	world->tally->results[entry][error]++;
	return result;
}

/* A port that is open if there is one, else one that is not. */
unsigned int world_port(const struct world *world, const struct op *op)
{
	for (unsigned int i = 0; i < PORTS; i++)
		if (world->ports[(op->port + i) % PORTS].fd >= 0)
			return (op->port + i) % PORTS;
	return op->port % PORTS;
}

static unsigned int kept(unsigned int count, unsigned int most)
{
	return count < most ? count : most;
}

int world_handle(const struct world *world, const struct op *op)
{
	unsigned int count = kept(world->handle_count, HANDLES);

	return count ? world->handles[op->ref % count].fd : -1;
}

__u64 world_sender(const struct world *world, const struct op *op)
{
	unsigned int count = kept(world->handle_count, HANDLES);

	return count ? world->handles[op->y % count].sender : op->y;
}

/* The newest most often: it is likely to be open. */
__u64 world_cookie(const struct world *world, const struct op *op)
{
	unsigned int count = kept(world->cookie_count, COOKIES);
	unsigned int back = op->ref & 1 ? 0 : op->ref >> 1;

	return count ? world->cookies[(world->cookie_count - 1 - back % count) % COOKIES].number : 1;
}

void world_got_handle(struct world *world, int fd, __u64 sender)
{
	unsigned int place = world->handle_count++ % HANDLES;

	world->handles[place].fd = fd;
	world->handles[place].sender = sender;
}

void world_got_cookie(struct world *world, __u64 cookie, unsigned int server)
{
	unsigned int count = kept(world->cookie_count, COOKIES);

	for (unsigned int i = 0; i < count; i++) {
		if (world->cookies[i].number != cookie)
			continue;
		if (server < PORTS)
			world->cookies[i].server = server;
		return;
	}
	world->cookies[world->cookie_count % COOKIES].number = cookie;
	world->cookies[world->cookie_count++ % COOKIES].server = server;
}

void world_got_slot(struct world *world, unsigned int port, __u32 slot)
{
	const struct port *of = world->ports + port;
	struct mcp_envelope envelope;

	if (!of->arena || slot >= of->bytes - sizeof(envelope))
		return;
	memcpy(&envelope, of->arena + slot, sizeof(envelope));
	if (envelope.kind == MCP_REQUEST)
		world_got_cookie(world, envelope.cookie, port);
	if (slot % 256)
		return;	/* a CANCEL, which has none of its own */
	world->slots[world->slot_count % SLOTS].port = port;
	world->slots[world->slot_count++ % SLOTS].offset = slot;
}

/* ---- Ports --------------------------------------------------------------- */

/* Far below a user's limit, and some at its ends. */
static const __u32 arena_bytes[] = { 64u << 10, 64u << 10, 128u << 10, 64u << 10, 512u << 10, 68u << 10 };

static void new_port(struct world *world, const struct op *op)
{
	static const int modes[] = { O_RDWR, O_RDWR, O_RDWR | O_NONBLOCK, O_RDONLY, O_WRONLY };
	struct mcp_arena arena = { .size = sizeof(arena), .flags = MCP_ARENA_TAKES_FDS };
	unsigned int number = op->port % PORTS;
	struct port *port = world->ports + number;
	void *memory;

	if (port->fd >= 0) {
		number = (number + 1) % PORTS;
		port = world->ports + number;
	}
	port_close(port);
	world->endpoints[number] = 0;
	port->fd = open(MCP_DEVICE, modes[op->x % ARRAY_SIZE(modes)] | O_CLOEXEC);
	if (world_count(world, ENTRY_OTHER, port->fd < 0 ? -errno : 0) < 0 || op->x % 64 == 63)
		return;
	arena.bytes = arena_bytes[(op->x >> 8) % ARRAY_SIZE(arena_bytes)];
	if ((op->x >> 16) % 16 == 1)
		arena.flags = 0;
	change_bytes(&arena, sizeof(arena), op->change);
	if (world_count(world, ENTRY_IOCTL, call(port->fd, MCP_IOC_ARENA, &arena)) < 0)
		return;
	memory = mmap(NULL, arena.bytes, PROT_READ, MAP_SHARED, port->fd, 0);
	world_count(world, ENTRY_OTHER, memory == MAP_FAILED ? -errno : 0);
	if (memory == MAP_FAILED)
		return;
	port->arena = memory;
	port->bytes = arena.bytes;
}

static void arena(struct world *world, const struct op *op)
{
	struct mcp_arena arena = { .size = sizeof(arena), .bytes = op->x % 3 ? 64u << 10 : op->x };

	change_bytes(&arena, sizeof(arena), op->change);
	world_count(world, ENTRY_IOCTL, call(world->ports[world_port(world, op)].fd,
					     MCP_IOC_ARENA, &arena));
}

static void map(struct world *world, const struct op *op)
{
	const struct port *port = world->ports + world_port(world, op);
	size_t bytes = op->x & 1 ? 4096 : port->bytes ?: 4096;
	int flags = op->x & 2 ? MAP_PRIVATE : MAP_SHARED;
	int protection = op->x & 4 ? PROT_READ : (op->x >> 4 & 7);
	void *memory = mmap(NULL, bytes, protection, flags, port->fd, op->y % 32 * 4096);

	world_count(world, ENTRY_OTHER, memory == MAP_FAILED ? -errno : 0);
	if (memory == MAP_FAILED)
		return;
	world_count(world, ENTRY_OTHER,
		    mprotect(memory, bytes, PROT_READ | PROT_WRITE) ? -errno : 0);
	munmap(memory, bytes);
}

static void close_port(struct world *world, const struct op *op)
{
	unsigned int number = world_port(world, op);

	/* Its memory may outlive the file. */
	if (op->x & 1)
		port_close(world->ports + number);
	else if (world->ports[number].fd >= 0)
		close(world->ports[number].fd);
	world->ports[number].fd = -1;
	world_count(world, ENTRY_OTHER, 0);
}

/* ---- Endpoints ----------------------------------------------------------- */

static void name_of(__u8 name[MCP_NAME_SIZE], unsigned int number)
{
	memset(name, 0, MCP_NAME_SIZE);
	snprintf((char *)name, MCP_NAME_SIZE, "%s.%d.%u", number % 4 == 3 ? "sys" : "kcov",
		 (int)getpid(), number % 4);
}

/* Rows, of which an update differs a little. */
static unsigned int rows(struct mcp_tool *tools, const struct op *op)
{
	unsigned int count = op->y % 5;

	for (unsigned int i = 0; i < count; i++)
		tools[i] = tool_row(i == 3 ? TOOL_LAST : i + 1, (i + (op->y >> 24)) & 1,
				    op->y >> (8 + 2 * i) & 1, "kcov");
	/* Sometimes a row that is not as it should be. */
	if (count && op->change & 0x40000)
		change_bytes(tools, count * sizeof(*tools), op->change);
	return count;
}

static void serve(struct world *world, const struct op *op)
{
	static const __u16 modes[] = { 0700, 0777, 0600, 0500, 0070, 0007, 01000 };
	unsigned int port = world_port(world, op);
	struct mcp_tool tools[5];
	struct mcp_serve args = { .size = sizeof(args), .uid = ~0u, .gid = ~0u,
				  .tool_size = sizeof(struct mcp_tool) };

	/* Most say what all may do; the rest is for refusals. */
	args.mode = op->x % 4 ? 0777 : modes[(op->x >> 2) % ARRAY_SIZE(modes)];
	args.ntools = rows(tools, op);
	args.tools = args.ntools ? address(tools) : 0;
	args.flags = (op->x >> 8) % 16 == 1 ? (op->x >> 12) % 4 : 0;
	args.max_inflight = (op->x >> 14) % 4 == 1 ? (op->x >> 16) % 4 : 0;
	name_of(args.name, (op->x >> 20) % 8 ? port : op->x >> 24);
	if (!(op->change & 0x40000))
		change_bytes(&args, sizeof(args), op->change);
	if (!world_count(world, ENTRY_IOCTL, call(world->ports[port].fd, MCP_IOC_SERVE, &args)))
		world->endpoints[port] = args.sender;
}

static void update(struct world *world, const struct op *op)
{
	struct mcp_tool tools[5];
	struct mcp_update args = { .size = sizeof(args), .tool_size = sizeof(struct mcp_tool) };

	args.ntools = rows(tools, op);
	args.tools = args.ntools ? address(tools) : 0;
	if (!(op->change & 0x40000))
		change_bytes(&args, sizeof(args), op->change);
	world_count(world, ENTRY_IOCTL, call(world->ports[world_port(world, op)].fd,
					     MCP_IOC_UPDATE, &args));
}

static void require(struct world *world, const struct op *op)
{
	struct mcp_require args = { .size = sizeof(args) };

	/* Longer than a change, so that it never means all: that lasts as long as the module. */
	snprintf((char *)args.name, sizeof(args.name), "kcov.required.%u", op->x % 80);
	change_bytes(&args, sizeof(args), op->change);
	world_count(world, ENTRY_IOCTL, call(world->ports[world_port(world, op)].fd,
					     MCP_IOC_REQUIRE, &args));
}

/* ---- Handles ------------------------------------------------------------- */

static unsigned int pins(struct mcp_pin *pins, const struct op *op)
{
	unsigned int count = (op->y >> 8) % 4 == 1 ? (op->y >> 10) % 4 : 0;

	memset(pins, 0, 4 * sizeof(*pins));
	for (unsigned int i = 0; i < count; i++) {
		pins[i].tool = i + 1;
		pins[i].flags = op->y >> (16 + i) & 1;
		if (pins[i].flags)
			fill_digest(pins[i].digest, op->y >> (20 + i) & 1);
	}
	if (count && op->change & 0x40000)
		change_bytes(pins, count * sizeof(*pins), op->change);
	return count;
}

static unsigned int rights_of(__u32 x)
{
	return x % 4 ? ALL_RIGHTS : (x >> 2) % 64;
}

static void open_one(struct world *world, const struct op *op)
{
	struct mcp_pin rows[4];
	struct mcp_open args = { .size = sizeof(args), .rights = rights_of(op->x),
				 .pin_size = sizeof(struct mcp_pin) };

	args.npins = pins(rows, op);
	args.pins = args.npins ? address(rows) : 0;
	args.generation = (op->y >> 28) == 1;
	name_of(args.name, (op->x >> 12) % 8 ? 0 : op->x >> 16);
	if (!(op->change & 0x40000))
		change_bytes(&args, sizeof(args), op->change);
	if (!world_count(world, ENTRY_IOCTL,
			 call(world->ports[world_port(world, op)].fd, MCP_IOC_OPEN, &args)))
		world_got_handle(world, args.fd, args.sender);
}

static void grant_one(struct world *world, const struct op *op)
{
	struct mcp_pin rows[4];
	struct mcp_grant args = { .size = sizeof(args), .handle = world_handle(world, op),
				  .rights = rights_of(op->x), .pin_size = sizeof(struct mcp_pin) };

	args.npins = pins(rows, op);
	args.pins = args.npins ? address(rows) : 0;
	if ((op->x >> 8) % 4 == 1)
		args.max_inflight = 1 + (op->x >> 10) % 4;
	if ((op->x >> 12) % 4 == 1)
		args.max_bytes = 1u << (op->x >> 14) % 24;
	if ((op->x >> 20) % 4 == 1)
		args.expiry = now_ns() + (op->x >> 22) % 8 * 1000000;
	snprintf((char *)args.label, sizeof(args.label), "label.%u", op->y % 100);
	if (!(op->change & 0x40000))
		change_bytes(&args, sizeof(args), op->change);
	if (!world_count(world, ENTRY_IOCTL,
			 call(world->ports[world_port(world, op)].fd, MCP_IOC_GRANT, &args)))
		world_got_handle(world, args.fd, args.sender);
}

static void revoke_one(struct world *world, const struct op *op)
{
	struct mcp_revoke args = { .size = sizeof(args), .sender = world_sender(world, op) };

	args.handle = op->x & 1 ? -1 : world_handle(world, op);
	change_bytes(&args, sizeof(args), op->change);
	world_count(world, ENTRY_IOCTL, call(world->ports[world_port(world, op)].fd,
					     MCP_IOC_REVOKE, &args));
}

/* ---- The rest ------------------------------------------------------------ */

static void info(struct world *world, const struct op *op)
{
	struct mcp_info args = { .size = sizeof(args) };

	change_bytes(&args, sizeof(args), op->change);
	world_count(world, ENTRY_IOCTL, call(world->ports[world_port(world, op)].fd,
					     MCP_IOC_INFO, &args));
}

static void peer(struct world *world, const struct op *op)
{
	struct mcp_peer args = { .size = sizeof(args), .cookie = world_cookie(world, op) };

	change_bytes(&args, sizeof(args), op->change);
	world_count(world, ENTRY_IOCTL, call(world->ports[world_port(world, op)].fd,
					     MCP_IOC_PEER, &args));
}

static void poll_both(struct world *world, const struct op *op)
{
	struct pollfd both[] = {
		{ .fd = world->ports[world_port(world, op)].fd, .events = POLLIN | POLLOUT },
		{ .fd = world_handle(world, op), .events = POLLOUT },
	};

	world_count(world, ENTRY_OTHER, poll(both, 2, 0) < 0 ? -errno : 0);
}

static void fdinfo(struct world *world, const struct op *op)
{
	char path[40], text[1024];
	long got;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d",
		 op->x & 3 ? world_handle(world, op) : world->ports[world_port(world, op)].fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -errno : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	world_count(world, ENTRY_OTHER, got < 0 ? -errno : 0);
}

static void strange(struct world *world, const struct op *op)
{
	int fd = op->x & 1 ? world->ports[world_port(world, op)].fd : world_handle(world, op);
	unsigned char bytes[4096] = { 0 };

	memcpy(bytes, &op->y, sizeof(op->y));
	switch ((op->x >> 1) % 4) {
	case 0:	/* any number of ours, any size */
		world_count(world, ENTRY_IOCTL,
			    call(fd, _IOC(op->x >> 30, MCP_IOC_MAGIC, op->x >> 8 & 0x8f,
					  op->x >> 16 & 0x7f), bytes));
		break;
	case 1:	/* a good number, and an address of nothing */
		world_count(world, ENTRY_IOCTL,
			    call(fd, MCP_IOC_OPEN, (void *)(uintptr_t)(op->y << 4)));
		break;
	case 2:
		world_count(world, ENTRY_WRITE,
			    write(fd, bytes, op->y % 200) < 0 ? -errno : 0);
		break;
	case 3:
		world_count(world, ENTRY_OTHER, lseek(fd, op->y, SEEK_SET) < 0 ? -errno : 0);
		break;
	}
}

static void close_handle(struct world *world, const struct op *op)
{
	int fd = world_handle(world, op);

	if (fd >= 0 && fd < KEEP_ABOVE)
		world_count(world, ENTRY_OTHER, close(fd) ? -errno : 0);
}

static void duplicate(struct world *world, const struct op *op)
{
	int fd = world_handle(world, op), made;

	if (op->x & 1) {
		made = dup(world->ports[world_port(world, op)].fd);
	} else {
		made = dup(fd);
		if (made >= 0)
			world_got_handle(world, made, world_sender(world, op));
	}
	world_count(world, ENTRY_OTHER, made < 0 ? -errno : 0);
}

static void one_op(struct world *world, const struct op *op, unsigned int number)
{
	switch (op->code) {
	case OP_PORT:
		return new_port(world, op);
	case OP_SERVE:
		return serve(world, op);
	case OP_UPDATE:
		return update(world, op);
	case OP_OPEN:
		return open_one(world, op);
	case OP_GRANT:
		return grant_one(world, op);
	case OP_REVOKE:
		return revoke_one(world, op);
	case OP_REQUEST:
	case OP_NESTED:
	case OP_RESPONSE:
	case OP_NOTIFY:
	case OP_CANCEL:
		return world_frame(world, op, number);
	case OP_RECEIVE:
		return world_receive(world, op, number);
	case OP_RELEASE:
		return world_release(world, op, number);
	case OP_REAP:
		return;		/* as is done before every operation */
	case OP_INFO:
		return info(world, op);
	case OP_PEER:
		return peer(world, op);
	case OP_REQUIRE:
		return require(world, op);
	case OP_ARENA:
		return arena(world, op);
	case OP_MAP:
		return map(world, op);
	case OP_POLL:
		return poll_both(world, op);
	case OP_FDINFO:
		return fdinfo(world, op);
	case OP_STRANGE:
		return strange(world, op);
	case OP_CLOSE_PORT:
		return close_port(world, op);
	case OP_CLOSE_HANDLE:
		return close_handle(world, op);
	case OP_DUP:
		return duplicate(world, op);
	case OP_SIGNAL:
		return waiter_disturb(world->waiters + op->x % WAITERS);
	case OP_FORK:
		return world_fork(world, op);
	case OP_SLEEP:
		return sleep_ms(1 + op->x % 8);
	case OP_RING:
		return world_ring(world, op);
	case OP_ASK:
	case OP_DUMP:
		return world_netlink(world, op);
	default:
		if (world->wire)
			wire_do(world, op);
	}
}

void world_do(struct world *world, const struct op *op, unsigned int number)
{
	world_collect(world);
	world->tally->ops[op->code]++;
	one_op(world, op, number);
}

bool world_clear(struct world *world)
{
	bool good = true, early = world->calls & 1;

	world_collect(world);
	if (world->wire)
		wire_clear(world);
	/* A file that a thread or the ring uses outlives its descriptor: both ways are tried. */
	if (early)
		syscall(SYS_close_range, 3, KEEP_ABOVE - 1, 0);
	for (unsigned int i = 0; i < WAITERS; i++) {
		good &= waiter_stop(world->waiters + i);
		atomic_store(&world->waiters[i].state, WAITER_IDLE);
	}
	/* What waits on the ring ends with it. */
	if (world->unfinished)
		world_ring(world, NULL);
	for (unsigned int i = 0; i < PORTS; i++)
		if (world->ports[i].arena)
			munmap((void *)world->ports[i].arena, world->ports[i].bytes);
	syscall(SYS_close_range, 3, KEEP_ABOVE - 1, 0);
	for (unsigned int i = 0; i < PORTS; i++)
		world->ports[i] = (struct port){ .fd = -1 };
	memset(world->endpoints, 0, sizeof(world->endpoints));
	world->handle_count = world->cookie_count = world->slot_count = 0;
	return good;
}
