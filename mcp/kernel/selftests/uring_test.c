// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the io_uring commands: what only they do. exchange_test has what is
 * the same on every path.
 *
 * Usage: uring_test            on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_ring.h"
#include "mcp_test.h"

#define ARENA	(256u << 10)

/* A server, a client and a handle; rings are the scene's own. */
struct bench {
	struct port server, client;
	__u8 name[MCP_NAME_SIZE];
	int handle;
};

/* @user_data of the scenes */
enum { PARK = 1, PARK_2, CALL, SEND, CANCEL, OTHER };

static void bench_need(struct bench *bench)
{
	static unsigned int number;
	char suffix[16];

	snprintf(suffix, sizeof(suffix), "uring.%u", ++number);
	test_name(bench->name, suffix);
	port_need(&bench->server, ARENA);
	serve_need(&bench->server, bench->name);
	port_need(&bench->client, ARENA);
	bench->handle = open_handle(&bench->client, bench->name, ALL_RIGHTS, NULL);
	if (bench->handle < 0)
		bail_out("a handle");
}

static void bench_close(struct bench *bench)
{
	close(bench->handle);
	port_close(&bench->client);
	port_close(&bench->server);
}

static const struct mcp_envelope *at(const struct port *port, int slot)
{
	static const struct mcp_envelope none;

	if (slot <= 0 || (size_t)slot >= port->bytes)
		return &none;
	return (const struct mcp_envelope *)(port->arena + slot);
}

static bool holds(const struct port *port, int slot, unsigned int kind, const char *body)
{
	const struct mcp_envelope *envelope = at(port, slot);

	return envelope->kind == kind && envelope->len == strlen(body) &&
	       !memcmp(port->arena + slot + MCP_BODY_OFFSET, body, envelope->len);
}

static bool completes(struct ring *ring, __u64 user_data, int *result)
{
	struct io_uring_cqe completion;

	if (!ring_wait(ring, SOON, &completion))
		return false;
	if (completion.user_data != user_data)
		printf("# completion of %llu, not %llu: %d\n",
		       (unsigned long long)completion.user_data, (unsigned long long)user_data,
		       completion.res);
	*result = completion.res;
	return completion.user_data == user_data;
}

static bool silent(struct ring *ring)
{
	struct io_uring_cqe completion;

	return !ring_wait(ring, NEVER, &completion);
}

/* Sends by write(): for scenes in which the other side is not the subject. */
static int put(const struct port *port, struct mcp_frame frame)
{
	return write(port->fd, &frame, sizeof(frame)) < 0 ? -errno : 0;
}

/* ---- One round trip, with any kind of ring ------------------------------- */

static void round_trip(struct bench *bench, struct ring *server, struct ring *client,
		       unsigned int sqe_flags, const char *how)
{
	struct mcp_frame call_frame = frame_request(bench->handle, TOOL_READ, "ping", 4), reply;
	__u64 cookie = 0;
	int slot = 0, answer = 0;

	ring_command(server, bench->server.fd, MCP_CMD_RECV_PARK, NULL, PARK)->flags = sqe_flags;
	ring_submit(server);
	call_frame.result = address(&cookie);
	ring_command(client, bench->client.fd, MCP_CMD_CALL, &call_frame, CALL)->flags = sqe_flags;
	ring_submit(client);
	if (!check(completes(server, PARK, &slot) && holds(&bench->server, slot, MCP_REQUEST,
							   "ping"),
		   "%s: a parked receiver gets the request of a CALL", how))
		return;
	check(cookie && at(&bench->server, slot)->cookie == cookie,
	      "%s: the caller has its cookie", how);
	reply = frame_response(at(&bench->server, slot)->cookie, "pong", 4);
	ring_command(server, bench->server.fd, MCP_CMD_REPLY_AND_PARK, &reply, PARK_2)->flags =
		sqe_flags;
	ring_submit(server);
	check(completes(client, CALL, &answer) && holds(&bench->client, answer, MCP_RESPONSE,
							"pong"),
	      "%s: the answer completes the CALL", how);

	/* The second request releases the first answer's slot; the server is parked. */
	call_frame = frame_request(bench->handle, TOOL_READ, "more", 4);
	call_frame.slot = answer;
	ring_command(client, bench->client.fd, MCP_CMD_CALL, &call_frame, CALL)->flags = sqe_flags;
	ring_submit(client);
	check(completes(server, PARK_2, &slot) && holds(&bench->server, slot, MCP_REQUEST, "more"),
	      "%s: REPLY_AND_PARK receives the next", how);
	reply = frame_response(at(&bench->server, slot)->cookie, "done", 4);
	ring_command(server, bench->server.fd, MCP_CMD_SEND, &reply, SEND)->flags = sqe_flags;
	ring_submit(server);
	check(completes(server, SEND, &slot) && slot == 0, "%s: SEND of an answer gives 0", how);
	check(completes(client, CALL, &answer) && holds(&bench->client, answer, MCP_RESPONSE,
							"done"),
	      "%s: it arrives", how);
	check_errno(ring_release(client, bench->client.fd, answer), 0, "%s: RELEASE", how);
	check_errno(ring_release(client, bench->client.fd, answer), EINVAL, "%s: RELEASE twice",
		    how);
}

static void test_rings(void)
{
	static const struct {
		unsigned int flags;
		const char *how;
	} rows[] = {
		{ 0, "plain ring" },
		{ IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN" },
		{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN" },
		{ IORING_SETUP_SQPOLL, "SQPOLL" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ring server, client;
		struct bench bench;

		bench_need(&bench);
		ring_need(&server, 8, rows[i].flags);
		ring_need(&client, 8, rows[i].flags);
		round_trip(&bench, &server, &client, 0, rows[i].how);
		ring_close(&server);
		ring_close(&client);
		bench_close(&bench);
	}
}

static void test_async(void)
{
	struct ring server, client;
	struct bench bench;

	bench_need(&bench);
	ring_need(&server, 8, 0);
	ring_need(&client, 8, 0);
	round_trip(&bench, &server, &client, IOSQE_ASYNC, "IOSQE_ASYNC");
	ring_close(&server);
	ring_close(&client);
	bench_close(&bench);
}

/* Both parties on one ring: one's issue completes what the other has parked. */
static void test_one_ring(void)
{
	struct mcp_frame request, reply;
	struct io_uring_cqe completion;
	struct bench bench;
	struct ring ring;
	bool good = true;

	bench_need(&bench);
	ring_need(&ring, 16, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	ring_command(&ring, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	for (int i = 0; i < 20 && good; i++) {
		int slot = 0, answer = 0;

		request = frame_request(bench.handle, TOOL_WRITE, "ping", 4);
		ring_command(&ring, bench.client.fd, MCP_CMD_CALL, &request, CALL);
		ring_submit(&ring);
		good = completes(&ring, PARK, &slot) && holds(&bench.server, slot, MCP_REQUEST,
							      "ping");
		reply = frame_response(at(&bench.server, slot)->cookie, "pong", 4);
		ring_command(&ring, bench.server.fd, MCP_CMD_REPLY_AND_PARK, &reply, PARK);
		ring_submit(&ring);
		good = good && completes(&ring, CALL, &answer) &&
		       holds(&bench.client, answer, MCP_RESPONSE, "pong") &&
		       !call(bench.client.fd, MCP_IOC_RELEASE, (void *)(uintptr_t)answer);
	}
	check(good, "client and server on one ring: 20 round trips");

	/* And in one submission. */
	request = frame_request(bench.handle, TOOL_WRITE, "last", 4);
	ring_command(&ring, bench.client.fd, MCP_CMD_CALL, &request, CALL);
	ring_command(&ring, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK_2);
	ring_submit(&ring);
	int slot = 0;

	check(completes(&ring, PARK, &slot) && holds(&bench.server, slot, MCP_REQUEST, "last"),
	      "the first that parked is the first to receive");
	reply = frame_response(at(&bench.server, slot)->cookie, "end", 3);
	ring_command(&ring, bench.server.fd, MCP_CMD_SEND, &reply, SEND);
	ring_submit(&ring);
	bool sent = false, answered = false;

	for (int i = 0; i < 2 && ring_wait(&ring, SOON, &completion); i++) {
		sent |= completion.user_data == SEND && completion.res == 0;
		answered |= completion.user_data == CALL && completion.res > 0;
	}
	check(sent && answered, "SEND and the CALL that it answers both complete");
	ring_close(&ring);
	bench_close(&bench);
}

static void test_many_calls(void)
{
	enum { COUNT = 32 };
	struct mcp_frame frames[COUNT], reply;
	struct io_uring_cqe completion;
	bool seen[COUNT] = { 0 }, good = true;
	struct ring server, client;
	struct bench bench;
	int slots[COUNT];

	bench_need(&bench);
	ring_need(&server, COUNT, 0);
	ring_need(&client, COUNT, 0);
	for (unsigned int i = 0; i < COUNT; i++) {
		frames[i] = frame_request(bench.handle, TOOL_READ, "x", 1);
		ring_command(&client, bench.client.fd, MCP_CMD_CALL, &frames[i], i);
	}
	check_errno(ring_submit(&client), 0, "%d CALLs in one submission", COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, i);
	ring_submit(&server);
	for (unsigned int i = 0; i < COUNT; i++) {
		good &= ring_wait(&server, SOON, &completion) && completion.user_data == i &&
			completion.res > 0;
		slots[i] = completion.res;
	}
	check(good, "all are received, in order");
	for (unsigned int i = COUNT; good && i--;) {
		reply = frame_response(at(&bench.server, slots[i])->cookie, "y", 1);
		good &= ring_do(&server, bench.server.fd, MCP_CMD_SEND, &reply) == 0 &&
			ring_wait(&client, SOON, &completion) && completion.user_data < COUNT &&
			!seen[completion.user_data] && completion.user_data == i &&
			completion.res > 0;
		if (good)
			seen[completion.user_data] = true;
	}
	check(good, "each CALL gets its own answer, once");
	ring_close(&server);
	ring_close(&client);
	bench_close(&bench);
}

/* ---- What a submission must not hold ------------------------------------- */

static int submit_one(struct ring *ring)
{
	int result = -ETIME;

	ring_submit(ring);
	completes(ring, OTHER, &result);
	return result;
}

static void test_submissions(void)
{
	static const unsigned int with_frame[] = {
		MCP_CMD_SEND, MCP_CMD_CALL, MCP_CMD_REPLY_AND_PARK, MCP_CMD_NOTIFY,
	};
	struct io_uring_sqe *sqe;
	struct mcp_frame frame;
	struct bench bench;
	struct ring ring;
	int fd;

	bench_need(&bench);
	ring_need(&ring, 8, 0);
	fd = bench.client.fd;
	for (size_t i = 0; i < ARRAY_SIZE(with_frame); i++) {
		unsigned int number = with_frame[i];

		frame = number == MCP_CMD_NOTIFY ? frame_notify(1, "x", 1) :
			number == MCP_CMD_REPLY_AND_PARK ? frame_response(1, "x", 1) :
			frame_request(bench.handle, TOOL_READ, "x", 1);
		for (unsigned int len = 0; len < 3; len++) {
			sqe = ring_command(&ring, fd, number, &frame, OTHER);
			sqe->len = len == 2 ? 0 : sizeof(frame) - 1 + 2 * len;
			check_errno(submit_one(&ring), EINVAL, "command %#x with a length of %u",
				    number & 0xff, sqe->len);
		}
		ring_command(&ring, fd, number, (void *)-4096l, OTHER);
		check_errno(submit_one(&ring), EFAULT, "command %#x with a frame of the kernel",
			    number & 0xff);
		sqe = ring_command(&ring, fd, number, &frame, OTHER);
		sqe->addr3 = 1;
		check_errno(submit_one(&ring), EINVAL, "command %#x with something in cmd[0]",
			    number & 0xff);
		sqe = ring_command(&ring, fd, number, &frame, OTHER);
		sqe->__pad2[0] = 1ull << 63;
		check_errno(submit_one(&ring), EINVAL, "command %#x with something in cmd[15]",
			    number & 0xff);
		sqe = ring_command(&ring, fd, number, &frame, OTHER);
		sqe->__pad1 = 1;
		check_errno(submit_one(&ring), EINVAL, "command %#x with something behind cmd_op",
			    number & 0xff);
		sqe = ring_command(&ring, fd, number, &frame, OTHER);
		sqe->uring_cmd_flags = 1u << 30;
		check_errno(submit_one(&ring), EINVAL, "command %#x with an unknown flag",
			    number & 0xff);
	}
	sqe = ring_command(&ring, fd, MCP_CMD_RECV_PARK, NULL, OTHER);
	sqe->addr = 8;
	check_errno(submit_one(&ring), EINVAL, "RECV_PARK with an address");
	sqe = ring_command(&ring, fd, MCP_CMD_RECV_PARK, NULL, OTHER);
	sqe->len = 96;
	check_errno(submit_one(&ring), EINVAL, "RECV_PARK with a length");
	sqe = ring_command(&ring, fd, MCP_CMD_RECV_PARK, NULL, OTHER);
	sqe->addr3 = 1ull << 40;
	check_errno(submit_one(&ring), EINVAL, "RECV_PARK with something in cmd");
	sqe = ring_command(&ring, fd, MCP_CMD_RELEASE, NULL, OTHER);
	sqe->addr = 256;
	sqe->len = 1;
	check_errno(submit_one(&ring), EINVAL, "RELEASE with a length");
	sqe = ring_command(&ring, fd, MCP_CMD_RELEASE, NULL, OTHER);
	sqe->addr = 1ull << 32 | 256;
	check_errno(submit_one(&ring), EINVAL, "RELEASE of a slot above 4 GiB");
	ring_command(&ring, fd, MCP_CMD_RELEASE, NULL, OTHER);
	check_errno(submit_one(&ring), EINVAL, "RELEASE of no slot");
	ring_command(&ring, fd, _IO(MCP_IOC_MAGIC, 0x86), NULL, OTHER);
	check_errno(submit_one(&ring), ENOTTY, "an unknown command");
	ring_command(&ring, fd, MCP_IOC_CALL, &frame, OTHER);
	check_errno(submit_one(&ring), ENOTTY, "an ioctl's number");
	ring_command(&ring, bench.handle, MCP_CMD_RECV_PARK, NULL, OTHER);
	check(submit_one(&ring) < 0, "a command on a handle");
	check(silent(&ring), "nothing of all that is left waiting");
	ring_close(&ring);
	bench_close(&bench);
}

/* Each command takes its own kinds of messages. */
static void test_kinds(void)
{
	static const struct {
		unsigned int number, kind;
		const char *what;
	} rows[] = {
		{ MCP_CMD_SEND, MCP_NOTIFY, "SEND of a NOTIFY" },
		{ MCP_CMD_CALL, MCP_RESPONSE, "CALL with a RESPONSE" },
		{ MCP_CMD_CALL, MCP_NOTIFY, "CALL with a NOTIFY" },
		{ MCP_CMD_CALL, MCP_CANCEL, "CALL with a CANCEL" },
		{ MCP_CMD_NOTIFY, MCP_REQUEST, "NOTIFY with a REQUEST" },
		{ MCP_CMD_NOTIFY, MCP_RESPONSE, "NOTIFY with a RESPONSE" },
		{ MCP_CMD_NOTIFY, MCP_CANCEL, "NOTIFY with a CANCEL" },
		{ MCP_CMD_REPLY_AND_PARK, MCP_REQUEST, "REPLY_AND_PARK with a REQUEST" },
		{ MCP_CMD_REPLY_AND_PARK, MCP_NOTIFY, "REPLY_AND_PARK with a NOTIFY" },
		{ MCP_CMD_REPLY_AND_PARK, MCP_CANCEL, "REPLY_AND_PARK with a CANCEL" },
	};
	struct mcp_frame frame, empty = { .handle = -1 };
	struct bench bench;
	struct ring ring;

	bench_need(&bench);
	ring_need(&ring, 8, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		frame = rows[i].kind == MCP_REQUEST ? frame_request(bench.handle, TOOL_READ, "x",
								    1) :
			rows[i].kind == MCP_RESPONSE ? frame_response(1, "x", 1) :
			rows[i].kind == MCP_NOTIFY ? frame_notify(1, "x", 1) : frame_cancel(1);
		check_errno(ring_do(&ring, bench.client.fd, rows[i].number, &frame), EINVAL, "%s",
			    rows[i].what);
	}
	check_errno(ring_do(&ring, bench.client.fd, MCP_CMD_CALL, &empty), EINVAL,
		    "CALL with nothing");
	check_errno(ring_do(&ring, bench.client.fd, MCP_CMD_SEND, &empty), EINVAL,
		    "SEND of nothing");
	check(silent(&ring), "nothing of all that is left waiting");
	ring_close(&ring);
	bench_close(&bench);
}

static void test_failed_reply(void)
{
	struct mcp_frame frame;
	struct bench bench;
	struct ring ring;

	bench_need(&bench);
	ring_need(&ring, 8, 0);
	frame = frame_response(1, "x", 1);
	check_errno(ring_do(&ring, bench.server.fd, MCP_CMD_REPLY_AND_PARK, &frame), ENOENT,
		    "REPLY_AND_PARK of an unknown exchange");
	frame = frame_request(bench.handle, TOOL_READ, "x", 1);
	check_errno(put(&bench.client, frame), 0, "a request");
	check(silent(&ring), "is received by nobody: what failed is not parked");
	ring_close(&ring);
	bench_close(&bench);
}

static void test_no_arena(void)
{
	struct port port;
	struct ring ring;

	port_need(&port, 0);
	ring_need(&ring, 8, 0);
	check_errno(ring_do(&ring, port.fd, MCP_CMD_RECV_PARK, NULL), ENOBUFS,
		    "RECV_PARK without an arena");
	ring_close(&ring);
	port_close(&port);
}

/* ---- Cancel -------------------------------------------------------------- */

/* A cancel and what it cancels complete in either order. */
static bool both(struct ring *ring, __u64 target, int *target_result, int *cancel_result)
{
	struct io_uring_cqe completion;
	unsigned int seen = 0;

	for (int i = 0; i < 2; i++) {
		if (!ring_wait(ring, SOON, &completion))
			return false;
		if (completion.user_data == CANCEL) {
			*cancel_result = completion.res;
			seen |= 1;
		} else if (completion.user_data == target) {
			*target_result = completion.res;
			seen |= 2;
		}
	}
	return seen == 3;
}

/* IORING_OP_ASYNC_CANCEL of Linux 6.12 does not look for commands of files. */
static void test_async_cancel(void)
{
	struct mcp_frame request;
	struct ring server;
	int done = 0, slot = 0;
	struct bench bench;

	bench_need(&bench);
	ring_need(&server, 8, 0);
	ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&server);
	check(silent(&server), "a receiver is parked");
	ring_cancel(&server, PARK, CANCEL);
	check(completes(&server, CANCEL, &done) && done == -ENOENT,
	      "ASYNC_CANCEL does not find it (%d)",
	      done);
	request = frame_request(bench.handle, TOOL_READ, "x", 1);
	check_errno(put(&bench.client, request), 0, "a request");
	check(completes(&server, PARK, &slot) && holds(&bench.server, slot, MCP_REQUEST, "x"),
	      "it is still parked");
	ring_close(&server);
	bench_close(&bench);
}

/* A CALL is cancelled by its cookie, before and after delivery. */
/* The thread of an SQPOLL ring sends when it can. */
static __u64 told(const __u64 *cookie)
{
	for (__u64 end = now_ns() + SOON * 1000000ull; now_ns() < end; sleep_ms(1))
		if (__atomic_load_n(cookie, __ATOMIC_ACQUIRE))
			return *cookie;
	bail_out("no cookie");
}

static void test_cancel(unsigned int ring_flags, const char *how)
{
	struct mcp_frame request = { 0 }, late, cancel;
	struct ring server, client;
	int result = 0, done = 0, slot = 0;
	struct bench bench;
	__u64 cookie;

	bench_need(&bench);
	ring_need(&server, 8, ring_flags);
	ring_need(&client, 8, ring_flags);
	for (int delivered = 0; delivered < 2; delivered++) {
		const char *when = delivered ? "after" : "before";

		request = frame_request(bench.handle, TOOL_READ, "x", 1);
		cookie = 0;
		request.result = address(&cookie);
		ring_command(&client, bench.client.fd, MCP_CMD_CALL, &request, CALL);
		ring_submit(&client);
		if (delivered) {
			ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
			ring_submit(&server);
			check(completes(&server, PARK, &slot) && slot > 0, "%s: a call is received",
			      how);
		} else {
			check(silent(&client), "%s: a call waits", how);
		}
		cancel = frame_cancel(told(&cookie));
		ring_command(&client, bench.client.fd, MCP_CMD_SEND, &cancel, CANCEL);
		ring_submit(&client);
		check(both(&client, CALL, &result, &done) && result == -ECANCELED && done == 0,
		      "%s: a CANCEL %s delivery (%d, %d)", how, when, result, done);
		if (!delivered) {
			late = frame_cancel(cookie);
			check_errno(ring_do(&client, bench.client.fd, MCP_CMD_SEND, &late), ENOENT,
				    "%s: a second one", how);
			continue;
		}
		ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
		ring_submit(&server);
		result = 0;
		check(completes(&server, PARK, &result) && result == slot + MCP_CANCEL_OFFSET &&
		      at(&bench.server, result)->kind == MCP_CANCEL,
		      "%s: the server gets a CANCEL, and of the first call nothing", how);
		late = frame_response(at(&bench.server, slot)->cookie, "x", 1);
		check_errno(ring_do(&server, bench.server.fd, MCP_CMD_SEND, &late), ECANCELED,
			    "%s: its answer is late", how);
	}
	ring_close(&server);
	ring_close(&client);
	bench_close(&bench);
}

/* What was cancelled leaves nothing behind: more calls than a quota has, one after the other. */
static void test_cancel_many(void)
{
	enum { COUNT = 64 };
	struct mcp_frame frames[COUNT], cancels[COUNT];
	struct io_uring_cqe completion;
	__u64 cookies[COUNT];
	struct bench bench;
	struct ring ring;
	bool good = true;

	bench_need(&bench);
	ring_need(&ring, 2 * COUNT, 0);
	for (int round = 0; round < 8 && good; round++) {
		for (unsigned int i = 0; i < COUNT; i++) {
			frames[i] = frame_request(bench.handle, TOOL_READ, "x", 1);
			frames[i].result = address(&cookies[i]);
			ring_command(&ring, bench.client.fd, MCP_CMD_CALL, &frames[i], 100 + i);
		}
		ring_submit(&ring);
		for (unsigned int i = 0; i < COUNT; i++) {
			cancels[i] = frame_cancel(cookies[i]);
			ring_command(&ring, bench.client.fd, MCP_CMD_SEND, &cancels[i], CANCEL);
		}
		ring_submit(&ring);
		for (unsigned int i = 0; i < 2 * COUNT; i++)
			good &= ring_wait(&ring, SOON, &completion) &&
				completion.res == (completion.user_data == CANCEL ? 0 : -ECANCELED);
	}
	check(good, "512 calls are cancelled");
	frames[0] = frame_request(bench.handle, TOOL_READ, "x", 1);
	check_errno(put(&bench.client, frames[0]), 0, "and nothing is left of them");
	ring_close(&ring);
	bench_close(&bench);
}

/* ---- The end of a ring --------------------------------------------------- */

static void test_teardown(unsigned int ring_flags, const char *how)
{
	struct mcp_frame first, second, frame;
	struct ring server, client;
	struct bench bench;
	int slot = 0, cancel = 0;

	bench_need(&bench);
	ring_need(&server, 8, 0);
	ring_need(&client, 8, ring_flags);
	first = frame_request(bench.handle, TOOL_READ, "taken", 5);
	second = frame_request(bench.handle, TOOL_READ, "queued", 6);
	ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&server);
	ring_command(&client, bench.client.fd, MCP_CMD_CALL, &first, CALL);
	ring_command(&client, bench.client.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&client);
	check(completes(&server, PARK, &slot) && holds(&bench.server, slot, MCP_REQUEST, "taken"),
	      "%s: a call is received", how);
	ring_command(&client, bench.client.fd, MCP_CMD_CALL, &second, CALL);
	ring_submit(&client);
	check(silent(&client), "%s: two calls and a receiver wait on a ring", how);
	ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&server);
	check(completes(&server, PARK, &cancel) && holds(&bench.server, cancel, MCP_REQUEST,
							 "queued"),
	      "%s: the second is received too", how);
	ring_close(&client);
	for (int i = 0; i < 2; i++) {
		ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
		ring_submit(&server);
		check(completes(&server, PARK, &cancel) && at(&bench.server,
							      cancel)->kind == MCP_CANCEL,
		      "%s: the end of the ring cancels call %d", how, i);
	}
	/* The file outlives its ring. */
	frame = frame_response(at(&bench.server, slot)->cookie, "x", 1);
	check_errno(put(&bench.server, frame), ECANCELED, "%s: an answer is late", how);
	frame = frame_request(bench.handle, TOOL_READ, "again", 5);
	check_errno(put(&bench.client, frame), 0, "%s: the file can still send", how);
	ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&server);
	check(completes(&server, PARK, &slot) && holds(&bench.server, slot, MCP_REQUEST, "again"),
	      "%s: and is heard", how);
	frame = frame_response(at(&bench.server, slot)->cookie, "fine", 4);
	check_errno(put(&bench.server, frame), 0, "%s: and answered", how);
	check(read(bench.client.fd, &frame, sizeof(frame)) == sizeof(frame) &&
	      frame.envelope.kind == MCP_RESPONSE,
	      "%s: in its queue, since no receiver is parked any more", how);
	ring_close(&server);
	bench_close(&bench);
}

/* The request's that it is about. */
static __u32 slot_of(const struct mcp_frame *cancel)
{
	return cancel->slot - MCP_CANCEL_OFFSET;
}

/* A receiver whose completion its task has not looked for: the message is given back when the ring ends. */
static void hold(struct bench *bench, struct ring *ring, struct mcp_frame frame, __u64 *cookie)
{
	ring_need(ring, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	ring_command(ring, bench->server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(ring);
	frame.result = address(cookie);
	if (put(&bench->client, frame))
		bail_out("a request");
}

static bool receives(const struct port *port, struct mcp_frame *frame, unsigned int kind,
		     __u64 cookie)
{
	struct pollfd wait = { .fd = port->fd, .events = POLLIN };

	return poll(&wait, 1, SOON) == 1 && read(port->fd, frame, sizeof(*frame)) == sizeof(*frame) &&
	       frame->envelope.kind == kind && frame->envelope.cookie == cookie;
}

static bool receives_none(const struct port *port)
{
	struct pollfd wait = { .fd = port->fd, .events = POLLIN };

	return !poll(&wait, 1, 5 * NEVER);
}

static int release(const struct port *port, __u32 slot)
{
	return call(port->fd, MCP_IOC_RELEASE, (void *)(uintptr_t)slot);
}

static void test_handed_back(void)
{
	struct mcp_frame frame, got, cancel, answer;
	struct bench bench;
	__u64 cookie = 0, other = 0;
	struct ring ring;

	bench_need(&bench);
	frame = frame_request(bench.handle, TOOL_READ, "given", 5);
	hold(&bench, &ring, frame, &cookie);
	check(receives_none(&bench.server), "a request lies in a ring");
	ring_close(&ring);
	check(receives(&bench.server, &got, MCP_REQUEST, cookie), "the ring ends: it is another's");
	check_errno(put(&bench.server, frame_response(cookie, "y", 1)), 0, "who answers");
	check(receives(&bench.client, &got, MCP_RESPONSE, cookie), "and is heard");

	/* Cancelled while it lies there; its slot is free when it is released. */
	hold(&bench, &ring, frame, &cookie);
	check_errno(put(&bench.client, frame_cancel(cookie)), 0, "one in a ring is cancelled");
	ring_close(&ring);
	sleep_ms(5 * NEVER);
	check(receives(&bench.server, &got, MCP_REQUEST, cookie) &&
	      receives(&bench.server, &cancel, MCP_CANCEL, cookie),
	      "the ring ends: it is another's, with its CANCEL");
	check_errno(release(&bench.server, got.slot), 0, "who releases it");
	check_errno(put(&bench.server, frame_response(cookie, "y", 1)), ENOENT, "and has done with it");

	/* Released by who has the CANCEL; another lies there when the ring ends. */
	hold(&bench, &ring, frame, &cookie);
	check_errno(put(&bench.client, frame_cancel(cookie)), 0, "another in a ring is cancelled");
	check(receives(&bench.server, &cancel, MCP_CANCEL, cookie) &&
	      !release(&bench.server, slot_of(&cancel)), "and released");
	frame.result = address(&other);
	/* Slots are taken in turn. */
	for (unsigned int i = 0; i < 2 * ARENA / 256; i++) {
		if (put(&bench.client, frame) ||
		    !receives(&bench.server, &got, MCP_REQUEST, other) ||
		    got.slot == slot_of(&cancel))
			break;
		put(&bench.server, frame_response(other, "y", 1));
		if (read(bench.client.fd, &answer, sizeof(answer)) == sizeof(answer))
			release(&bench.client, answer.slot);
	}
	check(got.envelope.cookie == other && got.slot == slot_of(&cancel),
	      "a later request lies in its place");
	ring_close(&ring);
	check(receives_none(&bench.server), "the ring ends: that one is not received again");
	check_errno(put(&bench.server, frame_response(other, "y", 1)), 0, "it is answered");
	bench_close(&bench);
}

/* Receivers of a task that does not look; what three of them get is given back in its order. */
static void test_handed_back_in_order(bool killed, int receivers, const char *how)
{
	struct mcp_frame frame, got, notice, cancel;
	struct bench bench;
	__u64 cookie = 0;
	struct ring ring;
	pid_t child = 0;
	int ready[2];
	char byte;

	bench_need(&bench);
	if (pipe(ready))
		bail_out("a pipe");
	if (killed)
		child = fork();
	if (!child) {
		ring_need(&ring, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
		for (int i = 0; i < receivers; i++)
			ring_command(&ring, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
		ring_submit(&ring);
		(void)!write(ready[1], "r", 1);
		while (killed)
			pause();
	}
	check(read(ready[0], &byte, 1) == 1, "%s: %d receivers are parked", how, receivers);
	frame = frame_request(bench.handle, TOOL_READ, "first", 5);
	frame.result = address(&cookie);
	check(!put(&bench.client, frame) &&
	      !put(&bench.client, frame_notify(cookie, "second", 6)) &&
	      !put(&bench.client, frame_cancel(cookie)),
	      "%s: they get a REQUEST, a NOTIFY and a CANCEL", how);
	if (killed) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	} else {
		ring_close(&ring);
	}
	sleep_ms(5 * NEVER);
	check(receives(&bench.server, &got, MCP_REQUEST, cookie) &&
	      read(bench.server.fd, &notice, sizeof(notice)) == sizeof(notice) &&
	      notice.envelope.kind == MCP_NOTIFY && notice.envelope.parent == cookie &&
	      receives(&bench.server, &cancel, MCP_CANCEL, cookie),
	      "%s: somebody else does, in that order", how);
	check(!release(&bench.server, notice.slot) && !release(&bench.server, got.slot),
	      "%s: and releases them", how);
	close(ready[0]);
	close(ready[1]);
	bench_close(&bench);
}

/* The file is closed first: it lives until its ring ends. */
static void test_close_first(void)
{
	struct bench bench;
	struct ring ring;
	int handle;

	bench_need(&bench);
	ring_need(&ring, 8, 0);
	ring_command(&ring, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&ring);
	port_close(&bench.server);
	handle = open_handle(&bench.client, bench.name, MCP_RIGHT_READ, NULL);
	check_errno(handle, 0, "a parked command keeps the endpoint");
	check(!handle_dead(handle, 0), "and its handles");
	ring_close(&ring);
	check(handle_dead(handle, SOON), "until the ring ends");
	close(handle);
	bench_close(&bench);
}

static void test_killed(unsigned int ring_flags, const char *how)
{
	struct mcp_frame frame;
	struct bench bench;
	__u8 name[MCP_NAME_SIZE];
	int ready[2], handle, slot = 0;
	struct ring server;
	pid_t child;
	char byte;

	bench_need(&bench);
	test_name(name, "killed.uring");
	if (pipe(ready))
		bail_out("a pipe");
	child = fork();
	if (!child) {
		struct mcp_frame request;
		struct port port;
		struct ring ring;

		port_need(&port, ARENA);
		serve_need(&port, name);
		ring_need(&ring, 8, ring_flags);
		handle = open_handle(&port, bench.name, ALL_RIGHTS, NULL);
		request = frame_request(handle, TOOL_READ, "help", 4);
		for (int i = 0; i < 3; i++)
			ring_command(&ring, port.fd, MCP_CMD_RECV_PARK, NULL, PARK);
		ring_command(&ring, port.fd, MCP_CMD_CALL, &request, CALL);
		ring_submit(&ring);
		silent(&ring);
		(void)!write(ready[1], "r", 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	check(read(ready[0], &byte, 1) == 1, "%s: a child parks three receivers and calls", how);
	ring_need(&server, 8, 0);
	ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&server);
	check(completes(&server, PARK, &slot) && holds(&bench.server, slot, MCP_REQUEST, "help"),
	      "%s: its call is received", how);
	handle = open_handle(&bench.client, name, ALL_RIGHTS, NULL);
	frame = frame_request(handle, TOOL_READ, "x", 1);
	check_errno(put(&bench.client, frame), 0, "%s: one of its receivers gets a request", how);
	kill(child, SIGKILL);
	check(read(bench.client.fd, &frame, sizeof(frame)) == sizeof(frame) &&
	      frame.envelope.kind == MCP_RESPONSE && frame.envelope.flags == MCP_F_KERNEL &&
	      frame.envelope.status == EPIPE, "%s: killed, its caller gets EPIPE", how);
	ring_command(&server, bench.server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&server);
	check(completes(&server, PARK, &slot) && at(&bench.server, slot)->kind == MCP_CANCEL,
	      "%s: and its server a CANCEL", how);
	waitpid(child, NULL, 0);
	check(handle_dead(handle, SOON), "%s: its endpoint is gone", how);
	close(handle);
	close(ready[0]);
	ring_close(&server);
	bench_close(&bench);
}

/* ---- fork ---------------------------------------------------------------- */

struct inherited {
	struct ring *ring;
	struct bench *bench;
};

/* A child parks on the ring of its parent, and leaves. */
static int park_in_child(void *argument)
{
	struct inherited *inherited = argument;

	ring_command(inherited->ring, inherited->bench->server.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	return ring_submit(inherited->ring) == 1 ? 0 : 1;
}

static void test_fork(void)
{
	int slot = 0, dead = 0, memory = memfd_create("uring_test", MFD_CLOEXEC);
	struct inherited inherited;
	struct mcp_frame frame;
	struct bench bench;
	struct ring ring;

	bench_need(&bench);
	ring_need(&ring, 8, 0);
	inherited = (struct inherited){ &ring, &bench };
	check(in_child(park_in_child, &inherited) == 0, "a child submits to its parent's ring");
	ring_command(&ring, bench.server.fd, MCP_CMD_RECV_PARK, NULL, CANCEL);
	ring_submit(&ring);
	check(silent(&ring),
	      "what it parked stays when it ends, and so does what the parent parks");
	/* A descriptor has to go into a living task's table. */
	frame = frame_request(bench.handle, TOOL_READ, "x", 1);
	frame.envelope.nfds = 1;
	frame.fds = address(&memory);
	check_errno(put(&bench.client, frame), 0, "a request with a descriptor");
	check(both(&ring, PARK, &dead, &slot) && dead == -ECANCELED,
	      "the dead task's command is cancelled (%d)", dead);
	check(holds(&bench.server, slot, MCP_REQUEST, "x") && at(&bench.server, slot)->nfds == 1 &&
	      fcntl(*(const int *)(bench.server.arena + slot + MCP_BODY_OFFSET + 4), F_GETFD) ==
	      FD_CLOEXEC, "and the parent's gets the message");
	close(memory);
	ring_close(&ring);
	bench_close(&bench);
}

/* ---- Notifications and nested requests of a CALL come through the queue -- */

static void test_call_queue(void)
{
	struct mcp_frame frame, request;
	struct bench bench;
	struct ring ring;
	int slot = 0;
	__u64 cookie = 0;

	bench_need(&bench);
	ring_need(&ring, 8, 0);
	request = frame_request(bench.handle, TOOL_READ, "x", 1);
	request.envelope.credit = 1;
	request.result = address(&cookie);
	ring_command(&ring, bench.client.fd, MCP_CMD_CALL, &request, CALL);
	ring_command(&ring, bench.client.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&ring);
	check(read(bench.server.fd, &frame, sizeof(frame)) == sizeof(frame) &&
	      frame.envelope.cookie == cookie, "a CALL and a parked receiver of the caller");
	check_errno(put(&bench.server, frame_notify(cookie, "half", 4)), 0, "a notification");
	check(completes(&ring, PARK, &slot) && holds(&bench.client, slot, MCP_NOTIFY, "half"),
	      "comes to the receiver");
	ring_command(&ring, bench.client.fd, MCP_CMD_RECV_PARK, NULL, PARK);
	ring_submit(&ring);
	check_errno(put(&bench.server, frame_nested(cookie, "which?", 6)), 0, "a nested request");
	check(completes(&ring, PARK, &slot) && holds(&bench.client, slot, MCP_REQUEST, "which?"),
	      "comes there too");
	frame = frame_response(at(&bench.client, slot)->cookie, "that", 4);
	ring_command(&ring, bench.client.fd, MCP_CMD_REPLY_AND_PARK, &frame, PARK);
	ring_submit(&ring);
	check(read(bench.server.fd, &frame, sizeof(frame)) == sizeof(frame) &&
	      frame.envelope.kind == MCP_RESPONSE, "the caller answers it");
	check_errno(put(&bench.server, frame_response(cookie, "all", 3)), 0, "the response");
	check(completes(&ring, CALL, &slot) && holds(&bench.client, slot, MCP_RESPONSE, "all"),
	      "completes the CALL");
	check(silent(&ring), "and not the receiver");
	ring_close(&ring);
	bench_close(&bench);
}

/* The kernel's errno is the result of a CALL. */
static void test_call_errors(void)
{
	struct mcp_frame request, frame;
	struct bench bench;
	struct ring ring;
	int result = 0;

	bench_need(&bench);
	ring_need(&ring, 8, 0);
	request = frame_request(bench.handle, TOOL_READ, "x", 1);
	request.envelope.deadline = now_ns() + 50000000;
	ring_command(&ring, bench.client.fd, MCP_CMD_CALL, &request, CALL);
	ring_submit(&ring);
	check(completes(&ring, CALL, &result) && result == -ETIMEDOUT, "a deadline (%d)", result);
	request = frame_request(bench.handle, TOOL_READ, "x", 1);
	ring_command(&ring, bench.client.fd, MCP_CMD_CALL, &request, CALL);
	ring_submit(&ring);
	check(read(bench.server.fd, &frame, sizeof(frame)) == sizeof(frame), "a call is received");
	port_close(&bench.server);
	check(completes(&ring, CALL, &result) && result == -EPIPE, "the server's end (%d)", result);
	check_errno(ring_do(&ring, bench.client.fd, MCP_CMD_CALL, &request), EPIPE,
		    "a call to nobody");
	ring_close(&ring);
	bench_close(&bench);
}

int main(void)
{
	test_begin();
	test_rings();
	test_async();
	test_one_ring();
	test_many_calls();
	test_submissions();
	test_kinds();
	test_failed_reply();
	test_no_arena();
	test_async_cancel();
	test_cancel(0, "cancel");
	test_cancel(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		    "cancel, DEFER_TASKRUN");
	test_cancel(IORING_SETUP_SQPOLL, "cancel, SQPOLL");
	test_cancel_many();
	test_teardown(0, "teardown");
	test_teardown(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		      "teardown, DEFER_TASKRUN");
	test_teardown(IORING_SETUP_SQPOLL, "teardown, SQPOLL");
	test_handed_back();
	for (int i = 0; i < 5; i++)
		test_handed_back_in_order(false, i ? 8 : 3, "a ring ends");
	test_handed_back_in_order(true, 3, "its task is killed");
	test_handed_back_in_order(true, 8, "its task is killed");
	test_close_first();
	test_killed(0, "kill");
	test_killed(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "kill, DEFER_TASKRUN");
	test_killed(IORING_SETUP_SQPOLL, "kill, SQPOLL");
	test_fork();
	test_call_queue();
	test_call_errors();
	return test_end();
}
