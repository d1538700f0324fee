// SPDX-License-Identifier: GPL-2.0
/*
 * Test of what two threads do at the same time: two answers to one request, an
 * answer and a cancel, two waits in one exchange, a ring that ends while its
 * workers call. Whoever wins, each side is told once, and told the same.
 *
 * Usage: race_test             on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mcp_ring.h"
#include "mcp_test.h"

#define ARENA	(4u << 20)
/* Large, so that its copy takes long. */
#define BODY	(900u << 10)
/* A bound, not a wish: the first overlap ends it. */
#define ROUNDS	3000

/* Two threads that begin together, again and again. */
struct runner {
	pthread_t thread;
	pthread_barrier_t *barrier;
	int port;
	const struct mcp_frame *frame;
	volatile bool end;
	int result;
};

static int put(int port, const struct mcp_frame *frame)
{
	return write(port, frame, sizeof(*frame)) == sizeof(*frame) ? 0 : -errno;
}

static void *run(void *argument)
{
	struct runner *runner = argument;

	for (;;) {
		pthread_barrier_wait(runner->barrier);
		if (runner->end)
			return NULL;
		runner->result = put(runner->port, runner->frame);
		pthread_barrier_wait(runner->barrier);
	}
}

struct scene {
	struct port server, client;
	int handle;
	pthread_barrier_t barrier;
	struct runner runners[2];
	unsigned char *body;
};

static void start(struct scene *scene)
{
	__u8 name[MCP_NAME_SIZE];

	test_name(name, "race");
	port_need(&scene->server, ARENA);
	serve_need(&scene->server, name);
	port_need(&scene->client, ARENA);
	scene->handle = open_handle(&scene->client, name, ALL_RIGHTS, NULL);
	scene->body = calloc(1, BODY);
	if (scene->handle < 0 || !scene->body)
		bail_out("a scene");
	pthread_barrier_init(&scene->barrier, NULL, 3);
	for (int i = 0; i < 2; i++) {
		scene->runners[i] = (struct runner){ .barrier = &scene->barrier };
		if (pthread_create(&scene->runners[i].thread, NULL, run, &scene->runners[i]))
			bail_out("a thread");
	}
}

static void end(struct scene *scene)
{
	for (int i = 0; i < 2; i++)
		scene->runners[i].end = true;
	pthread_barrier_wait(&scene->barrier);
	for (int i = 0; i < 2; i++)
		pthread_join(scene->runners[i].thread, NULL);
	free(scene->body);
	close(scene->handle);
	port_close(&scene->client);
	port_close(&scene->server);
}

static void both(struct scene *scene, int first, const struct mcp_frame *a, int second,
		 const struct mcp_frame *b)
{
	scene->runners[0].port = first;
	scene->runners[0].frame = a;
	scene->runners[1].port = second;
	scene->runners[1].frame = b;
	pthread_barrier_wait(&scene->barrier);
	pthread_barrier_wait(&scene->barrier);
}

/* A request that the server has; its cookie. */
static __u64 have_request(struct scene *scene, unsigned int reserve)
{
	struct mcp_frame frame = frame_request(scene->handle, TOOL_READ, "x", 1);

	frame.envelope.reserve = reserve;
	if (put(scene->client.fd, &frame))
		bail_out("a request");
	/* A CANCEL of an answer that was late lies before it. */
	do {
		if (read(scene->server.fd, &frame, sizeof(frame)) != sizeof(frame))
			bail_out("a request is received");
	} while (frame.envelope.kind != MCP_REQUEST);
	return frame.envelope.cookie;
}

/* The one message of the client's queue; its slot is released. */
static bool take(struct scene *scene, struct mcp_frame *frame)
{
	return read(scene->client.fd, frame, sizeof(*frame)) == sizeof(*frame) &&
	       !call(scene->client.fd, MCP_IOC_RELEASE, (void *)(uintptr_t)frame->slot);
}

/* ---- Two answers --------------------------------------------------------- */

static void test_two_answers(struct scene *scene)
{
	int already = 0, late = 0, rounds;
	bool good = true;

	for (rounds = 0; rounds < ROUNDS && !already && good; rounds++) {
		__u64 cookie = have_request(scene, BODY);
		struct mcp_frame a = frame_response(cookie, scene->body, BODY);
		struct mcp_frame b = frame_response(cookie, scene->body, BODY - 1), got;
		int *results[] = { &scene->runners[0].result, &scene->runners[1].result };

		both(scene, scene->server.fd, &a, scene->server.fd, &b);
		int sent = *results[0] ? 1 : 0, other = *results[!sent];

		good = !*results[sent] && (other == -EALREADY || other == -ENOENT ||
					   other == -ECANCELED);
		already += other == -EALREADY;
		late += other != -EALREADY;
		/* What arrives is the one that was sent. */
		good = good && take(scene, &got) && got.envelope.kind == MCP_RESPONSE &&
		       got.envelope.cookie == cookie && got.envelope.len == BODY - sent;
		if (!good)
			printf("# round %d: %d and %d\n", rounds, *results[0], *results[1]);
	}
	check(good, "of two answers one is sent, and that one arrives (%d rounds)", rounds);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		check(already, "the other gets EALREADY when they meet (%d came later)", late);
	else
		printf("# one CPU: two answers need not meet\n");
}

/* The one that was too early may try again: the first failed in its copy. */
static void test_after_a_fault(struct scene *scene)
{
	__u64 cookie = have_request(scene, BODY);
	struct mcp_frame frame = frame_response(cookie, (void *)-4096l, BODY), got;

	check_errno(put(scene->server.fd, &frame), EFAULT, "an answer that cannot be read");
	frame = frame_response(cookie, scene->body, BODY);
	check_errno(put(scene->server.fd, &frame), 0, "leaves the exchange open for another");
	check(take(scene, &got) && got.envelope.len == BODY, "which arrives");
}

/* ---- An answer and a cancel ---------------------------------------------- */

static void test_cancel(struct scene *scene, unsigned int len)
{
	int answered = 0, cancelled = 0, strange = 0;

	for (int round = 0; round < 300 && !strange; round++) {
		__u64 cookie = have_request(scene, BODY);
		struct mcp_frame answer = frame_response(cookie, scene->body, len), got;
		struct mcp_frame cancel = frame_cancel(cookie);
		int sent, stopped;

		both(scene, scene->server.fd, &answer, scene->client.fd, &cancel);
		sent = scene->runners[0].result;
		stopped = scene->runners[1].result;
		if (!take(scene, &got) || got.envelope.cookie != cookie)
			strange++;
		else if (!sent && stopped == -ENOENT && !got.envelope.flags)
			answered++;
		else if (sent == -ECANCELED && !stopped && got.envelope.flags == MCP_F_KERNEL &&
			 got.envelope.status == ECANCELED)
			cancelled++;
		else
			strange++;
		if (strange)
			printf("# round %d: answer %d, cancel %d, flags %u status %u\n", round,
			       sent, stopped, got.envelope.flags, got.envelope.status);
	}
	check(!strange, "%u bytes and a cancel: %d answered, %d cancelled, each told once", len,
	      answered, cancelled);
}

/* ---- A cancel as soon as the cookie is told ------------------------------ */

struct canceller {
	_Atomic __u64 cookie;
	int port;
	int result;
};

static void *cancel_at_once(void *argument)
{
	struct canceller *canceller = argument;
	struct mcp_frame frame;
	__u64 cookie;

	do
		cookie = canceller->cookie;
	while (!cookie);
	frame = frame_cancel(cookie);
	canceller->result = put(canceller->port, &frame);
	return NULL;
}

/* Nobody answers, so it is there to be cancelled from that moment on. */
static void test_early_cancel(struct scene *scene)
{
	int missed = 0, strange = 0;

	for (int round = 0; round < 300; round++) {
		struct mcp_frame frame = frame_request(scene->handle, TOOL_READ, "x", 1), got;
		struct canceller canceller = { .port = scene->client.fd };
		pthread_t thread;
		int error;

		frame.result = address((const void *)&canceller.cookie);
		if (pthread_create(&thread, NULL, cancel_at_once, &canceller))
			bail_out("a thread");
		error = put(scene->client.fd, &frame);
		pthread_join(thread, NULL);
		missed += canceller.result == -ENOENT;
		if (error || (!canceller.result && (!take(scene, &got) ||
						    got.envelope.status != ECANCELED)))
			strange++;
	}
	check(!missed, "a cookie that is told can be cancelled (%d of 300 could not)", missed);
	check(!strange, "and each of those requests is sent, and ends");
}

/* ---- Two waits ----------------------------------------------------------- */

struct waiter {
	int port;
	struct mcp_frame frame;
	int result;
};

static void *wait_in(void *argument)
{
	struct waiter *waiter = argument;

	waiter->result = call(waiter->port, MCP_IOC_CALL, &waiter->frame);
	return NULL;
}

static void test_two_waits(struct scene *scene)
{
	struct waiter first = { .port = scene->client.fd };
	struct mcp_frame frame;
	pthread_t thread;

	first.frame = frame_request(scene->handle, TOOL_READ, "x", 1);
	pthread_create(&thread, NULL, wait_in, &first);
	if (read(scene->server.fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("a request is received");
	__u64 cookie = frame.envelope.cookie;

	/* It sends before it waits: until it sleeps, this call would be the first to wait. */
	sleep_ms(5 * NEVER);
	frame = (struct mcp_frame){ .envelope.cookie = cookie, .handle = -1 };
	check_errno(call(scene->client.fd, MCP_IOC_CALL, &frame), EALREADY, "a second task that waits in an exchange");
	frame = frame_response(cookie, "y", 1);
	check_errno(put(scene->server.fd, &frame), 0, "the answer");
	pthread_join(thread, NULL);
	check_errno(first.result, 0, "is the first one's");
	call(scene->client.fd, MCP_IOC_RELEASE, (void *)(uintptr_t)first.frame.slot);
}

static const struct mcp_envelope *lies_at(const struct port *port, const struct mcp_frame *frame)
{
	return (const void *)(port->arena + frame->slot);
}

/* A call gets its answer while it still owes one to what the server asked of it. */
static void test_asked_and_answered(struct scene *scene, bool waits)
{
	struct waiter caller = { .port = scene->client.fd };
	const struct mcp_envelope *asked;
	struct mcp_frame frame;
	struct pollfd client = { .fd = scene->client.fd, .events = POLLIN };
	pthread_t thread;

	caller.frame = frame_request(scene->handle, TOOL_READ, "x", 1);
	pthread_create(&thread, NULL, wait_in, &caller);
	if (read(scene->server.fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("a request is received");
	__u64 cookie = frame.envelope.cookie;

	sleep_ms(5 * NEVER);
	frame = frame_nested(cookie, "back", 4);
	check_errno(put(scene->server.fd, &frame), 0, "the server asks back");
	pthread_join(thread, NULL);
	asked = lies_at(&scene->client, &caller.frame);
	check(!caller.result && asked->kind == MCP_REQUEST && asked->parent == cookie,
	      "the call gets it");
	caller.frame = (struct mcp_frame){ .envelope.cookie = cookie, .handle = -1 };
	if (waits) {
		pthread_create(&thread, NULL, wait_in, &caller);
		sleep_ms(5 * NEVER);
	}
	frame = frame_response(cookie, "y", 1);
	check_errno(put(scene->server.fd, &frame), 0, "the server answers, and has no answer yet");
	if (!waits)
		pthread_create(&thread, NULL, wait_in, &caller);
	pthread_join(thread, NULL);
	check(!caller.result && lies_at(&scene->client, &caller.frame)->kind == MCP_RESPONSE,
	      "the call is over");
	call(scene->client.fd, MCP_IOC_RELEASE, (void *)(uintptr_t)caller.frame.slot);
	check(poll(&client, 1, SOON) == 1 &&
	      read(scene->client.fd, &frame, sizeof(frame)) == sizeof(frame) &&
	      frame.envelope.kind == MCP_CANCEL && frame.envelope.cookie == asked->cookie,
	      "what was asked is cancelled, and its port told");
	check_errno(call(scene->client.fd, MCP_IOC_RELEASE,
			 (void *)(uintptr_t)(frame.slot - MCP_CANCEL_OFFSET)), 0,
		    "its slot is released");
	/* What the server is told of the end of what it asked. */
	if (read(scene->server.fd, &frame, sizeof(frame)) == sizeof(frame))
		call(scene->server.fd, MCP_IOC_RELEASE, (void *)(uintptr_t)frame.slot);
}

/* ---- A ring that ends while its workers call ----------------------------- */

static bool server_has_none(const struct scene *scene)
{
	struct pollfd server = { .fd = scene->server.fd, .events = POLLIN };

	for (__u64 end = now_ns() + SOON * 1000000ull; now_ns() < end; sleep_ms(NEVER))
		if (!poll(&server, 1, 0))
			return true;
	return false;
}

/*
 * Each worker's call can be cancelled before the server has it, and while it
 * gets there, or fails to. More calls than one user may have: one that stayed
 * would be missed.
 */
static void test_ring_ends(struct scene *scene, struct mcp_frame frame, const char *what)
{
	enum { RINGS = 300, CALLS = 8 };
	struct mcp_frame got;
	struct ring ring;

	for (unsigned int i = 0; i < RINGS; i++) {
		__u64 until = now_ns() + i % 50 * 10000;

		ring_need(&ring, CALLS, 0);
		for (unsigned int j = 0; j < CALLS; j++)
			ring_command(&ring, scene->client.fd, MCP_CMD_CALL, &frame, j)->flags |=
				IOSQE_ASYNC;
		ring_submit(&ring);
		while (now_ns() < until)
			;
		ring_close(&ring);
	}
	check(server_has_none(scene), "%u rings end while they call%s: the server has none of it",
	      RINGS, what);
	frame = frame_request(scene->handle, TOOL_READ, "x", 1);
	check_errno(put(scene->client.fd, &frame), 0, "and one more call fits");
	check(read(scene->server.fd, &got, sizeof(got)) == sizeof(got) &&
	      got.envelope.kind == MCP_REQUEST, "which arrives");
}

static void test_rings_end(struct scene *scene)
{
	struct mcp_frame frame = frame_request(scene->handle, TOOL_READ, "x", 1);

	test_ring_ends(scene, frame, "");
	frame.envelope.deadline = now_ns() + 3600 * 1000000000ull;
	test_ring_ends(scene, frame, " with a deadline");
	/* Nothing is mapped there. */
	frame.result = 8;
	test_ring_ends(scene, frame, " and cannot be told the cookie");
}

int main(void)
{
	struct scene scene = { 0 };

	test_begin();
	start(&scene);
	test_two_answers(&scene);
	test_after_a_fault(&scene);
	test_two_waits(&scene);
	test_asked_and_answered(&scene, true);
	test_asked_and_answered(&scene, false);
	test_cancel(&scene, 0);
	test_cancel(&scene, BODY);
	test_early_cancel(&scene);
	test_rings_end(&scene);
	end(&scene);
	return test_end();
}
