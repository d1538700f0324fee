// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the arena: read-only for good, its slots, its limits.
 *
 * Usage: arena_test            on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mcp_side.h"

static unsigned char pattern[128 << 10];

/* ---- MCP_IOC_ARENA ------------------------------------------------------- */

static void test_arguments(void)
{
	const struct mcp_arena good = { .size = sizeof(good), .bytes = MCP_ARENA_MIN };
	struct {
		const char *what;
		struct mcp_arena args;
		int error;
	} rows[] = {
		{ "size 0", good, EINVAL },
		{ "a size too small", good, EINVAL },
		{ "a size above a page", good, E2BIG },
		{ "an unknown flag", good, EINVAL },
		{ "the last flag", good, EINVAL },
		{ "no bytes", good, EINVAL },
		{ "a page too few", good, EINVAL },
		{ "a page too many", good, EINVAL },
		{ "a byte too many", good, EINVAL },
		{ "4 GiB more", good, EINVAL },
		{ "all bytes", good, EINVAL },
	};
	struct mcp_arena again = good;
	struct port port;

	rows[0].args.size = 0;
	rows[1].args.size = sizeof(good) - 1;
	rows[2].args.size = 8192;
	rows[3].args.flags = 1u << 1;
	rows[4].args.flags = 1u << 31;
	rows[5].args.bytes = 0;
	rows[6].args.bytes = MCP_ARENA_MIN - 4096;
	rows[7].args.bytes = MCP_ARENA_MAX + 4096;
	rows[8].args.bytes = MCP_ARENA_MIN + 1;
	rows[9].args.bytes = (1ull << 32) + MCP_ARENA_MIN;
	rows[10].args.bytes = ~0ull;
	port_need(&port, 0);
	check(mmap(NULL, MCP_ARENA_MIN, PROT_READ, MAP_SHARED, port.fd, 0) == MAP_FAILED,
	      "a file without an arena cannot be mapped");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_errno(call(port.fd, MCP_IOC_ARENA, &rows[i].args), rows[i].error,
			    "ARENA with %s",
			    rows[i].what);
	check_errno(call(port.fd, MCP_IOC_ARENA, NULL), EFAULT, "ARENA of nothing");
	check_errno(call(port.fd, MCP_IOC_ARENA, &again), 0, "the smallest arena");
	check_errno(call(port.fd, MCP_IOC_ARENA, &again), EBUSY, "a second one");
	port_close(&port);
	check_errno(port_open(&port, MCP_ARENA_MAX), 0, "the largest arena");
	port_close(&port);
}

/* ---- The mapping --------------------------------------------------------- */

static int map_errno(int fd, size_t bytes, int protection, int flags, off_t offset)
{
	void *memory = mmap(NULL, bytes, protection, flags, fd, offset);

	if (memory == MAP_FAILED)
		return -errno;
	munmap(memory, bytes);
	return 0;
}

static void test_mapping(void)
{
	struct port port;
	void *grown;
	int memory;

	port_need(&port, MCP_ARENA_MIN);
	check_errno(map_errno(port.fd, port.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, 0), EPERM,
		    "a writable mapping");
	check_errno(map_errno(port.fd, port.bytes, PROT_WRITE, MAP_SHARED, 0), EPERM,
		    "one to write only");
	check_errno(map_errno(port.fd, port.bytes, PROT_READ | PROT_EXEC, MAP_SHARED, 0), EPERM,
		    "an executable one");
	check_errno(map_errno(port.fd, port.bytes, PROT_READ, MAP_PRIVATE, 0), EPERM,
		    "a private one");
	check_errno(map_errno(port.fd, port.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0), EPERM,
		    "a private, writable one");
	check(map_errno(port.fd, port.bytes + 4096, PROT_READ, MAP_SHARED, 0) < 0, "one too long");
	check(map_errno(port.fd, port.bytes, PROT_READ, MAP_SHARED, 4096) < 0,
	      "one that begins too late");
	check(map_errno(port.fd, 4096, PROT_READ, MAP_SHARED, port.bytes) < 0,
	      "one behind the end");
	check_errno(map_errno(port.fd, port.bytes, PROT_READ, MAP_SHARED, 0), 0,
		    "a second good one");

	memory = mprotect((void *)port.arena, port.bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
	check_errno(memory, EACCES, "mprotect() to write");
	memory = mprotect((void *)port.arena, 4096, PROT_READ | PROT_EXEC) ? -errno : 0;
	check_errno(memory, EACCES, "mprotect() to execute");
	grown = mremap((void *)port.arena, port.bytes, 2 * port.bytes, MREMAP_MAYMOVE);
	check(grown == MAP_FAILED, "mremap() to more");

	/* What a debugger uses to write where the process may not. */
	memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	check(memory >= 0 && pwrite(memory, "x", 1, (uintptr_t)port.arena + 300) < 0,
	      "/proc/self/mem does not write there");
	close(memory);
	check(port.arena[300] == 0, "and nothing is written");
	port_close(&port);
}

static int read_arena(void *argument)
{
	/* Dumping core takes long, and is not wanted. */
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
	return *(volatile const unsigned char *)argument;
}

static void test_memory(void)
{
	struct port port;
	bool zero = true;

	port_need(&port, MCP_ARENA_MIN);
	for (size_t i = 0; i < port.bytes; i++)
		zero &= !port.arena[i];
	check(zero, "an arena begins with zeros");
	check(in_child(read_arena, (void *)port.arena) == 100 + SIGSEGV,
	      "a child of fork() does not have it");
	close(port.fd);
	port.fd = -1;
	check(port.arena[port.bytes - 1] == 0, "a mapping outlives its file");
	port_close(&port);
}

/* ---- RELEASE ------------------------------------------------------------- */

static int release(const struct port *port, unsigned long slot)
{
	return call(port->fd, MCP_IOC_RELEASE, (void *)slot);
}

static void test_release(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, pattern, 3000);
	static const unsigned long bad[] = {
		0, 1, 64, 128, 255, 257, PAIR_ARENA - 256, PAIR_ARENA, PAIR_ARENA + 256, ~255u, ~0ul,
	};
	struct message request, message;
	__u64 cookie;

	check_errno(side_send(&pair->client, &frame, &cookie), 0, "a request");
	for (unsigned long slot = 256; slot < 8192; slot += 256)
		if (release(&pair->server.port, slot) != -EINVAL)
			check(false, "a slot that was not received is released: %lu", slot);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		check_errno(release(&pair->server.port, bad[i]), EINVAL, "RELEASE of %#lx", bad[i]);
	if (!check(side_next(&pair->server, &request, SOON) && has_body(&request, pattern, 3000),
		   "the request is whole"))
		return;
	check(request.slot % 256 == 0, "its slot is a multiple of 256");
	check_errno(release(&pair->client.port, request.slot), EINVAL, "RELEASE by the sender");
	check_errno(release(&pair->server.port, request.slot + 64), EINVAL,
		    "of its second envelope");
	check_errno(release(&pair->server.port, request.slot + 256), EINVAL, "of its middle");
	check_errno(release(&pair->server.port, request.slot + (1ul << 32)), EINVAL,
		    "of 4 GiB more");
	frame = frame_response(cookie, pattern, 200);
	check_errno(side_send(&pair->server, &frame, NULL), 0, "an answer");
	check(side_next(&pair->client, &message, SOON), "is received");
	check_errno(release(&pair->client.port, message.slot), 0, "and released");
	check_errno(release(&pair->client.port, message.slot), EINVAL, "once");
}

/* ---- Limits -------------------------------------------------------------- */

static int send_on(struct pair *pair, int handle, size_t len, __u64 *cookie)
{
	struct mcp_frame frame = frame_request(handle, TOOL_READ, pattern, len);

	frame.envelope.reserve = 0;
	return side_send(&pair->client, &frame, cookie);
}

static void test_quarter(struct pair *pair)
{
	const size_t quarter = PAIR_ARENA / 4, most = quarter - MCP_BODY_OFFSET;
	struct mcp_grant args = grant_args(pair->handle, MCP_RIGHT_READ);
	struct message request, second;
	int handles[4], child;
	__u64 cookies[8];
	bool good = true;

	check_errno(send_on(pair, pair->handle, most + 1, NULL), EMSGSIZE,
		    "a message above a quarter of the arena");
	check_errno(send_on(pair, pair->handle, most, &cookies[0]), 0, "a message of a quarter");
	check_errno(send_on(pair, pair->handle, 0, NULL), EDQUOT, "one more on the same handle");
	child = grant(&pair->client.port, &args);
	check_errno(send_on(pair, child, 0, NULL), EDQUOT, "one more on a handle derived from it");

	for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
		handles[i] = open_handle(&pair->client.port, pair->name, ALL_RIGHTS, NULL);
	for (size_t i = 0; i < 2; i++)
		good &= !send_on(pair, handles[i], most, &cookies[i + 1]);
	check(good, "two other handles, each with a quarter");
	/* The first 256 bytes of an arena are never a slot. */
	check_errno(send_on(pair, handles[2], most, NULL), ENOBUFS,
		    "the last quarter is not whole");
	check_errno(send_on(pair, handles[2], most - 256, &cookies[3]), 0, "what is left of it");
	check_errno(send_on(pair, handles[3], 0, NULL), ENOBUFS, "the arena is full");
	for (size_t i = 0; i < 4; i++) {
		size_t len = i == 3 ? most - 256 : most;

		good &= side_next(&pair->server, &request, SOON) &&
			is_kind(&request, MCP_REQUEST, cookies[i]) && has_body(&request, pattern,
									       len);
	}
	check(good, "all four are received whole");
	/* The last request is still open: what RELEASE gives back can be used. */
	check_errno(release(&pair->server.port, request.slot), 0,
		    "one is released before it is answered");
	check_errno(release(&pair->server.port, request.slot), EINVAL, "once");
	check_errno(send_on(pair, handles[3], 20000, &cookies[4]), 0, "there is room again");
	check(side_next(&pair->server, &second, SOON) && has_body(&second, pattern, 20000),
	      "which is used");
	check(request.envelope.cookie == cookies[3] &&
	      !memcmp(pair->server.port.arena + request.slot, &request.envelope,
		      sizeof(request.envelope)),
	      "the released request keeps its envelope");
	for (size_t i = 0; i < 5; i++) {
		struct mcp_frame frame = frame_response(cookies[i], NULL, 0);
		struct message message;

		good &= !side_send(&pair->server, &frame, NULL) &&
			side_next(&pair->client, &message, SOON) &&
			!side_release(&pair->client, &message);
	}
	check(good, "all are answered");
	check_errno(send_on(pair, pair->handle, most, &cookies[0]), 0, "a quarter is free again");
	check_errno(send_on(pair, handles[0], most, &cookies[1]), 0, "and another");
	check_errno(send_on(pair, handles[2], 0, &cookies[2]), 0,
		    "what was released before its answer is given back once");
	for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
		close(handles[i]);
	close(child);
}

/* The answer's space is taken when the call is admitted. */
static void test_reserve(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1), answer;
	struct message request, message;
	__u64 cookie, other;

	frame.envelope.reserve = PAIR_ARENA;
	check_errno(side_send(&pair->client, &frame, NULL), ENOBUFS,
		    "an answer that the caller's arena cannot hold");
	check(!side_next(&pair->server, &message, NEVER), "is not asked for");
	frame.envelope.reserve = 100 << 10;
	check_errno(side_send(&pair->client, &frame, &cookie), 0, "space for 100 KiB");
	check_errno(side_send(&pair->client, &frame, &other), 0, "and for 100 more");
	check_errno(side_send(&pair->client, &frame, NULL), ENOBUFS, "the third has none");
	check(side_next(&pair->server, &request, SOON), "the first is received");
	answer = frame_response(cookie, pattern, 100 << 10);
	check_errno(side_send(&pair->server, &answer, NULL), 0, "and answered with 100 KiB");
	check(side_next(&pair->client, &message, SOON) && has_body(&message, pattern, 100 << 10),
	      "which are there");
	check_errno(side_send(&pair->client, &frame, NULL), ENOBUFS, "until they are released");
	check_errno(side_release(&pair->client, &message), 0, "there is no space");
	check_errno(side_send(&pair->client, &frame, &cookie), 0, "then there is");
	/* A short answer gives back what it does not use. */
	for (int i = 0; i < 2; i++) {
		side_next(&pair->server, &request, SOON);
		answer = frame_response(request.envelope.cookie, "short", 5);
		check_errno(side_send(&pair->server, &answer, NULL), 0, "a short answer");
	}
	check_errno(side_send(&pair->client, &frame, &cookie), 0, "gives back the rest at once");
}

static void test_reuse(void)
{
	enum { ROUNDS = 400 };
	struct pair pair;
	bool good = true;

	pair_need(&pair, BY_RW, BY_RW);
	for (int i = 0; i < ROUNDS && good; i++) {
		size_t len = i * 61 % 12000;
		struct mcp_frame frame = frame_request(pair.handle, TOOL_READ, pattern + i % 256,
						       len);
		struct message request, message;
		__u64 cookie;

		frame.envelope.reserve = 12000;
		good = !side_send(&pair.client, &frame, &cookie) &&
		       side_next(&pair.server, &request, SOON) &&
		       has_body(&request, pattern + i % 256, len);
		if (!good)
			break;
		frame = frame_response(cookie, pattern + i, 12000 - len);
		good = !side_send(&pair.server, &frame, NULL) &&
		       side_next(&pair.client, &message, SOON) &&
		       has_body(&message, pattern + i, 12000 - len) &&
		       !side_release(&pair.client, &message);
	}
	check(good, "%d calls through small arenas: slots are used again", ROUNDS);
	pair_close(&pair);
}

/* The largest body there may be, both ways, and the largest space for one. */
static void test_largest(void)
{
	unsigned char *body = malloc(MCP_MAX_BODY);
	struct side server, client;
	struct message message;
	struct mcp_frame frame;
	__u8 name[MCP_NAME_SIZE];
	__u64 cookie = 0;
	int handle;

	if (!body)
		bail_out("memory");
	for (size_t i = 0; i < MCP_MAX_BODY; i++)
		body[i] = pattern[i % sizeof(pattern)] + i / sizeof(pattern);
	test_name(name, "largest");
	side_need(&server, BY_RW, 8u << 20);
	server.serves = true;
	serve_need(&server.port, name);
	side_need(&client, BY_RW, 8u << 20);
	handle = open_handle(&client.port, name, ALL_RIGHTS, NULL);
	frame = frame_request(handle, TOOL_READ, body, MCP_MAX_BODY);
	frame.envelope.reserve = MCP_MAX_BODY;
	check_errno(side_send(&client, &frame, &cookie), 0, "a body of 1 MiB");
	check(side_next(&server, &message, SOON) && has_body(&message, body, MCP_MAX_BODY),
	      "arrives whole");
	frame = frame_response(cookie, body, MCP_MAX_BODY);
	check_errno(side_send(&server, &frame, NULL), 0, "and so is its answer");
	check(side_next(&client, &message, SOON) && has_body(&message, body, MCP_MAX_BODY),
	      "which arrives whole");
	close(handle);
	side_close(&client);
	side_close(&server);
	free(body);
}

/* ---- What one user may have in arenas ------------------------------------ */

/*
 * 64 MiB, as messages of 1 MiB: more than fits in one arena, and each handle
 * has a quarter of one. Five times 13, so that the last one is one too many for
 * the user, while its handle, its endpoint and its arena have room.
 */
#define USER_BYTES	(64u << 20)
#define SERVERS		5
#define EACH		13
#define ON_A_HANDLE	3
#define HANDLES		((EACH + ON_A_HANDLE - 1) / ON_A_HANDLE)

/* Another user asks on a handle of ours, by a file of its own. */
static int ask_on(void *argument)
{
	struct mcp_frame *frame = argument;
	struct port port;

	if (port_open(&port, MCP_ARENA_MIN))
		return 50;
	return write(port.fd, frame, sizeof(*frame)) == sizeof(*frame) ? 0 : errno;
}

static void test_user_bytes(void)
{
	const size_t len = (1u << 20) - MCP_BODY_OFFSET;
	int handles[SERVERS][HANDLES];
	struct port servers[SERVERS], client;
	unsigned int sent = 0, i, n;
	struct mcp_frame frame;
	__u64 cookie = 0;
	void *body;
	long error = 0;

	body = calloc(1, len);
	if (!body)
		bail_out("memory");
	port_need(&client, MCP_ARENA_MIN);
	for (i = 0; i < SERVERS; i++) {
		char suffix[] = "user.0";
		__u8 name[MCP_NAME_SIZE];

		suffix[5] += i;
		test_name(name, suffix);
		port_need(&servers[i], MCP_ARENA_MAX);
		serve_need(&servers[i], name);
		for (n = 0; n < HANDLES; n++)
			handles[i][n] = open_handle(&client, name, ALL_RIGHTS, NULL);
	}
	for (i = 0; i < SERVERS; i++) {
		for (n = 0; n < EACH && !error; n++) {
			frame = frame_request(handles[i][n / ON_A_HANDLE], TOOL_READ, body, len);
			frame.envelope.reserve = 0;
			frame.result = address(&cookie);
			if (write(client.fd, &frame, sizeof(frame)) < 0)
				error = -errno;
			else
				sent++;
		}
	}
	check(sent == USER_BYTES >> 20 && error == -EDQUOT,
	      "one user may have 64 MiB in arenas of others: %u MiB, then %s", sent,
	      strerror(-error));
	frame.body = address("x");
	frame.envelope.len = 1;
	check(write(client.fd, &frame, sizeof(frame)) < 0 && errno == EDQUOT,
	      "and not a byte more");
	frame.result = 0;
	check(as_user(1000, 1000, 0, ask_on, &frame) == 0, "another user may, on that handle");
	frame.result = address(&cookie);
	struct mcp_frame cancel = frame_cancel(cookie);

	check(write(client.fd, &cancel, sizeof(cancel)) == sizeof(cancel) &&
	      read(client.fd, &cancel, sizeof(cancel)) == sizeof(cancel), "one of them ends");
	frame.body = address(body);
	frame.envelope.len = len;
	check(write(client.fd, &frame, sizeof(frame)) == sizeof(frame),
	      "then there is room for as much");
	check(write(client.fd, &frame, sizeof(frame)) < 0 && errno == EDQUOT, "and no more");
	for (i = 0; i < SERVERS; i++) {
		for (n = 0; n < HANDLES; n++)
			close(handles[i][n]);
		port_close(&servers[i]);
	}
	port_close(&client);
	free(body);
}

int main(void)
{
	static void (*const scenes[])(struct pair *) = { test_release, test_quarter, test_reserve };

	test_begin();
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i * 13 + i / 257;
	test_arguments();
	test_mapping();
	test_memory();
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		struct pair pair;

		pair_need(&pair, BY_RW, BY_RW);
		scenes[i](&pair);
		pair_close(&pair);
	}
	test_reuse();
	test_largest();
	test_user_bytes();
	return test_end();
}
