// SPDX-License-Identifier: GPL-2.0
/*
 * Test of what ends while a message is being copied: the kernel stands still in
 * the memory of the sender (mcp_slow.h), so nothing here is left to luck. Who
 * comes to an end is told at once, and the copy hurts nobody.
 *
 * Usage: slow_test             on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "mcp_accounts.h"
#include "mcp_ring.h"
#include "mcp_slow.h"
#include "mcp_test.h"

#define ARENA	(64u << 10)
/* A quarter of the arena, so that slots are soon used again. */
#define BODY	SLOW_BYTES
#define ANSWER	1

struct scene {
	__u8 name[MCP_NAME_SIZE];
	struct port server, client;
	int handle;
	__u64 sender;	/* the handle's */
	struct slow slow;
};

/* A write() that stands in the slow memory. */
struct sender {
	pthread_t thread;
	int port;
	struct mcp_frame frame;
	int result;
};

static int put(int port, const struct mcp_frame *frame)
{
	return write(port, frame, sizeof(*frame)) == sizeof(*frame) ? 0 : -errno;
}

static void *send_frame(void *argument)
{
	struct sender *sender = argument;

	sender->result = put(sender->port, &sender->frame);
	return NULL;
}

/* Returns once it stands there. */
static void sender_start(struct scene *scene, struct sender *sender, int port,
			 struct mcp_frame frame)
{
	sender->port = port;
	sender->frame = frame;
	if (pthread_create(&sender->thread, NULL, send_frame, sender) ||
	    !slow_reached(&scene->slow))
		bail_out("nobody reads the slow memory");
}

/* It goes on; what came of its message. */
static int sender_end(struct scene *scene, struct sender *sender)
{
	slow_fill(&scene->slow, 'B');
	pthread_join(sender->thread, NULL);
	return sender->result;
}

static void start(struct scene *scene)
{
	test_name(scene->name, "slow");
	port_need(&scene->server, ARENA);
	serve_need(&scene->server, scene->name);
	port_need(&scene->client, ARENA);
	scene->handle = open_handle(&scene->client, scene->name, ALL_RIGHTS, &scene->sender);
	if (scene->handle < 0)
		bail_out("a handle");
	if (!slow_open(&scene->slow))
		skip_all("no FUSE");
}

/* Either port may be closed by now. */
static void end(struct scene *scene)
{
	close(scene->handle);
	port_close(&scene->client);
	port_close(&scene->server);
	slow_close(&scene->slow);
}

/* The next message of a port, without a wait. */
static bool take(const struct port *port, struct mcp_frame *frame)
{
	struct pollfd wait = { .fd = port->fd, .events = POLLIN };

	return poll(&wait, 1, SOON) == 1 && read(port->fd, frame, sizeof(*frame)) == sizeof(*frame);
}

static bool has_none(const struct port *port)
{
	struct pollfd wait = { .fd = port->fd, .events = POLLIN };

	return !poll(&wait, 1, NEVER);
}

static __u64 received(const struct scene *scene)
{
	struct mcp_frame frame;

	/* The CANCEL of an answer that is late may lie before it. */
	do {
		if (!take(&scene->server, &frame))
			bail_out("a request is received");
	} while (frame.envelope.kind != MCP_REQUEST);
	return frame.envelope.cookie;
}

static struct mcp_frame request(const struct scene *scene, const void *body, size_t len)
{
	struct mcp_frame frame = frame_request(scene->handle, TOOL_READ, body, len);

	frame.envelope.reserve = BODY;
	return frame;
}

static bool all_are(const struct port *port, const struct mcp_frame *frame, unsigned char byte)
{
	const unsigned char *body = port->arena + frame->slot + MCP_BODY_OFFSET;

	for (unsigned int i = 0; i < frame->envelope.len; i++)
		if (body[i] != byte)
			return false;
	return frame->envelope.len;
}

/* ---- While an answer is copied ------------------------------------------- */

/*
 * The call is over at once, and its space is another's only when the copy is.
 * Whoever has it too early finds the late answer in its own.
 */
static void test_cancel_by_ring(void)
{
	enum { OTHERS = 32 };
	static unsigned char body[BODY];
	struct scene scene;
	struct ring ring;
	struct io_uring_cqe result;
	struct mcp_frame frame, got[OTHERS];
	struct sender sender;
	unsigned int others = 0, right = 0;
	__u64 cookie;

	start(&scene);
	ring_need(&ring, 8, 0);
	frame = request(&scene, "x", 1);
	ring_command(&ring, scene.client.fd, MCP_CMD_CALL, &frame, ANSWER);
	ring_submit(&ring);
	cookie = received(&scene);
	sender_start(&scene, &sender, scene.server.fd,
		     frame_response(cookie, scene.slow.memory, BODY));
	frame = frame_cancel(cookie);
	check_errno(put(scene.client.fd, &frame), 0, "CANCEL while the answer is copied");
	check(ring_wait(&ring, SOON, &result) && result.res == -ECANCELED, "ends the call at once");

	/* As many answers as fit, until the copy goes on. */
	memset(body, 'A', sizeof(body));
	frame = request(&scene, "y", 1);
	while (others < OTHERS && !put(scene.client.fd, &frame)) {
		struct mcp_frame other = frame_response(received(&scene), body, BODY);

		if (put(scene.server.fd, &other) || !take(&scene.client, &got[others]))
			bail_out("another answer");
		others++;
	}
	check_errno(sender_end(&scene, &sender), ECANCELED, "the answer is late");
	for (unsigned int i = 0; i < others; i++)
		right += all_are(&scene.client, &got[i], 'A');
	check(others && right == others, "and is in none of %u others", others);
	ring_close(&ring);
	end(&scene);
}

static void test_client_gone(void)
{
	struct mcp_frame frame, told;
	struct sender sender;
	struct scene scene;

	start(&scene);
	frame = request(&scene, "x", 1);
	put(scene.client.fd, &frame);
	sender_start(&scene, &sender, scene.server.fd,
		     frame_response(received(&scene), scene.slow.memory, BODY));
	port_close(&scene.client);
	check(take(&scene.server, &told) && told.envelope.kind == MCP_CANCEL &&
	      told.envelope.status == EPIPE, "the caller goes while its answer is copied: the server is told");
	check_errno(sender_end(&scene, &sender), ECANCELED, "the answer is late");
	port_need(&scene.client, ARENA);
	end(&scene);
}

static void test_two_answers(void)
{
	struct mcp_frame frame, got;
	struct sender sender;
	struct scene scene;
	__u64 cookie;

	start(&scene);
	frame = request(&scene, "x", 1);
	put(scene.client.fd, &frame);
	cookie = received(&scene);
	sender_start(&scene, &sender, scene.server.fd,
		     frame_response(cookie, scene.slow.memory, BODY));
	frame = frame_response(cookie, "y", 1);
	check_errno(put(scene.server.fd, &frame), EALREADY, "a second answer while one is copied");
	check(has_none(&scene.client), "the caller has none of them yet");
	check_errno(sender_end(&scene, &sender), 0, "the first goes on");
	check(take(&scene.client, &got) && all_are(&scene.client, &got, 'B'), "and arrives");
	end(&scene);
}

/* ---- While a request is copied ------------------------------------------- */

static void test_server_gone(void)
{
	struct sender sender;
	struct scene scene;

	start(&scene);
	sender_start(&scene, &sender, scene.client.fd, request(&scene, scene.slow.memory, BODY));
	check(has_none(&scene.server), "a request is not there while it is copied");
	port_close(&scene.server);
	check_errno(sender_end(&scene, &sender), EPIPE, "the server goes while a request is copied");
	check(has_none(&scene.client), "nothing is told of it");
	port_need(&scene.server, ARENA);
	end(&scene);
}

static void test_revoked(void)
{
	struct mcp_frame frame;
	struct sender sender;
	struct scene scene;

	start(&scene);
	sender_start(&scene, &sender, scene.client.fd, request(&scene, scene.slow.memory, BODY));
	check_errno(revoke(&scene.server, -1, scene.sender), 0, "REVOKE while a request is copied");
	check_errno(sender_end(&scene, &sender), EKEYREVOKED, "it is not sent");
	check(has_none(&scene.server), "the server has none of it");
	frame = request(&scene, "x", 1);
	check_errno(put(scene.client.fd, &frame), EKEYREVOKED, "nor is the next");
	end(&scene);
}

/* ---- While the cookie is told -------------------------------------------- */

/* A worker stands in it, and its ring ends: there is nothing left of the call. */
static void test_ring_gone(void)
{
	struct mcp_frame frame, got;
	struct scene scene;
	struct ring ring;

	start(&scene);
	ring_need(&ring, 8, 0);
	frame = request(&scene, "x", 1);
	frame.result = address(scene.slow.memory);
	ring_command(&ring, scene.client.fd, MCP_CMD_CALL, &frame, ANSWER)->flags |= IOSQE_ASYNC;
	ring_submit(&ring);
	check(slow_reached(&scene.slow), "a worker stands where the cookie is told");
	check(has_none(&scene.server), "the server does not see the request before");
	ring_close(&ring);
	sleep_ms(5 * NEVER);
	slow_fill(&scene.slow, 0);
	check(has_none(&scene.server), "its ring has ended: nor after");
	frame = request(&scene, "y", 1);
	check_errno(put(scene.client.fd, &frame), 0, "another request");
	check(take(&scene.server, &got), "arrives");
	end(&scene);
}

/* An ioctl CALL, or what waits in one. */
struct caller {
	pthread_t thread;
	int port;
	struct mcp_frame frame;
	_Atomic bool over;
	int result;
};

static void *make_call(void *argument)
{
	struct caller *caller = argument;

	caller->result = call(caller->port, MCP_IOC_CALL, &caller->frame);
	caller->over = true;
	return NULL;
}

static void caller_start(struct caller *caller, int port, struct mcp_frame frame)
{
	*caller = (struct caller){ .port = port, .frame = frame };
	if (pthread_create(&caller->thread, NULL, make_call, caller))
		bail_out("a thread");
}

static bool is_over(const struct caller *caller)
{
	for (__u64 end = now_ns() + SOON * 1000000ull; now_ns() < end; sleep_ms(1))
		if (caller->over)
			return true;
	return false;
}

/*
 * The cookie cannot be told, so the request is not sent. Who has guessed it (they
 * are in order) may have sent another within it, and wait in it.
 */
static void test_guessed(void)
{
	struct mcp_frame frame, got;
	struct caller caller, guest;
	struct scene scene;
	__u64 cookie;

	start(&scene);
	frame = request(&scene, "x", 1);
	put(scene.client.fd, &frame);
	cookie = received(&scene) + 1;
	frame.result = address(scene.slow.memory);
	caller_start(&caller, scene.client.fd, frame);
	check(slow_reached(&scene.slow), "a call stands where its cookie is told");
	caller_start(&guest, scene.client.fd,
		     (struct mcp_frame){ .envelope.cookie = cookie, .handle = -1 });
	frame = frame_nested(cookie, "y", 1);
	check_errno(put(scene.client.fd, &frame), 0, "its cookie is guessed: a request within it");
	frame = frame_nested(cookie, "z", 1);
	check_errno(put(scene.server.fd, &frame), ENOENT, "the endpoint has not seen it: not from there");
	sleep_ms(5 * NEVER);
	check(!guest.over, "another task waits in it");
	slow_refuse(&scene.slow);
	check(is_over(&caller) && caller.result == -EFAULT, "the cookie is not told, and it is not sent");
	check(is_over(&guest) && guest.result == -EFAULT, "which the other task learns");
	check(take(&scene.client, &got) && got.envelope.kind == MCP_RESPONSE &&
	      got.envelope.status == ECANCELED, "what was sent within it has ended");
	check(has_none(&scene.server), "the server has neither");
	pthread_join(caller.thread, NULL);
	pthread_join(guest.thread, NULL);
	end(&scene);
}

int main(void)
{
	__u8 name[MCP_NAME_SIZE];
	struct port keeper;

	test_begin();
	test_cancel_by_ring();
	test_client_gone();
	test_two_answers();
	test_server_gone();
	test_revoked();
	test_ring_gone();
	test_guessed();
	port_need(&keeper, 8 << 20);
	test_name(name, "accounts");
	serve_need(&keeper, name);
	check_accounts(name);
	port_close(&keeper);
	return test_end();
}
