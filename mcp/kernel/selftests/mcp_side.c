// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: the three ways in, behind one set of functions.
 * Context: user space; one controlling thread, and one more for each side that
 *	    waits in MCP_IOC_CALL.
 * Locking: none: the thread has its call to itself until it sets @done.
 * Lifetime: side_need() to side_close().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mcp_side.h"

const char *const path_names[PATHS] = { "ioctl", "read/write", "uring", "uring call" };

/* @user_data of our commands: a call's is TAG_CALL and its index. */
enum { TAG_RECV = 1, TAG_NOW = 2, TAG_CALL = 0x100 };

static bool uses_ring(const struct side *side)
{
	return side->path == BY_URING || side->path == BY_URING_CALL;
}

static void on_wake(int signal)
{
	(void)signal; /* it is there to interrupt a system call */
}

void side_need(struct side *side, enum path path, size_t arena)
{
	/* Without SA_RESTART: a call that is interrupted returns. */
	struct sigaction wake = { .sa_handler = on_wake };

	memset(side, 0, sizeof(*side));
	side->path = path;
	side->ring.fd = -1;
	sigaction(SIGUSR1, &wake, NULL);
	port_need(&side->port, arena);
	if (uses_ring(side))
		ring_need(&side->ring, 64, 0);
}

void side_interrupt(struct side *side)
{
	while (side->running && !side->done) {
		pthread_kill(side->thread, SIGUSR1);
		sleep_ms(1);
	}
	if (side->running)
		pthread_join(side->thread, NULL);
	side->running = false;
}

void side_close(struct side *side)
{
	side_interrupt(side);
	ring_close(&side->ring);
	port_close(&side->port);
}

/* ---- Messages ------------------------------------------------------------ */

static void push(struct side *side, const struct message *message)
{
	if (side->count == SIDE_PENDING)
		bail_out("a test holds too many messages");
	side->queue[(side->first + side->count++) % SIDE_PENDING] = *message;
}

static bool pop(struct side *side, struct message *message)
{
	if (!side->count)
		return false;
	*message = side->queue[side->first];
	side->first = (side->first + 1) % SIDE_PENDING;
	side->count--;
	return true;
}

static void push_slot(struct side *side, __u32 slot)
{
	struct message message = { .slot = slot };

	if (!slot || slot >= side->port.bytes || slot % MCP_CANCEL_OFFSET)
		bail_out("a slot that is none");
	memcpy(&message.envelope, side->port.arena + slot, sizeof(message.envelope));
	message.body = side->port.arena + slot + MCP_BODY_OFFSET;
	message.fds = (const __s32 *)(message.body + ((message.envelope.len + 3) & ~3u));
	push(side, &message);
}

static void push_errno(struct side *side, __u64 cookie, int error)
{
	struct message message = { .envelope = {
		.kind = MCP_RESPONSE, .flags = MCP_F_KERNEL, .cookie = cookie, .status = -error,
	} };

	push(side, &message);
}

/* ---- ioctl --------------------------------------------------------------- */

static void *run_call(void *argument)
{
	struct side *side = argument;

	side->tid = gettid();
	side->result = call(side->port.fd, MCP_IOC_CALL, &side->call.frame);
	side->done = true;
	return NULL;
}

static void start_call(struct side *side)
{
	side->done = false;
	side->running = true;
	side->tid = 0;
	if (pthread_create(&side->thread, NULL, run_call, side))
		bail_out("a thread");
}

/* Whether the thread sleeps where a signal wakes it: it has sent, and waits. */
static bool call_sleeps(const struct side *side)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)side->tid);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state == 'S';
}

static void reap_call(struct side *side)
{
	if (!side->running || !side->done)
		return;
	pthread_join(side->thread, NULL);
	side->running = false;
	side->open = false;
	if (side->result < 0) {
		push_errno(side, side->call.cookie, side->result);
		return;
	}
	push_slot(side, side->call.frame.slot);
	/* Only an answer ends the exchange. */
	side->open = side->queue[(side->first + side->count - 1) % SIDE_PENDING].envelope.kind !=
		     MCP_RESPONSE;
}

/* REPLY_WAIT that does not wait. */
static int poll_queue(struct side *side, const struct mcp_frame *frame)
{
	struct mcp_frame copy = frame ? *frame : (struct mcp_frame){ .handle = -1 };
	int flags = fcntl(side->port.fd, F_GETFL);
	int result;

	fcntl(side->port.fd, F_SETFL, flags | O_NONBLOCK);
	result = call(side->port.fd, MCP_IOC_REPLY_WAIT, &copy);
	fcntl(side->port.fd, F_SETFL, flags);
	if (!result)
		push_slot(side, copy.slot);
	return result == -EAGAIN ? 0 : result;
}

static int ioctl_send(struct side *side, const struct mcp_frame *frame)
{
	if (frame->envelope.kind != MCP_REQUEST)
		return poll_queue(side, frame);
	if (side->running || side->open)
		bail_out("one call at a time by ioctl");
	side->call.cookie = 0;
	side->call.frame = *frame;
	side->call.frame.result = address(&side->call.cookie);
	start_call(side);
	/* The cookie is told before it is certain that all goes well. */
	while (!side->done && !(side->call.cookie && call_sleeps(side)))
		usleep(100);
	/* What was sent, and failed then, is changed into a frame that waits. */
	if (!side->done || side->result >= 0 ||
	    memcmp(&side->call.frame.envelope, &frame->envelope, sizeof(frame->envelope)))
		return 0;
	pthread_join(side->thread, NULL);
	side->running = false;
	return side->result;
}

static void ioctl_progress(struct side *side)
{
	reap_call(side);
	if (side->open && !side->running) {
		side->call.frame = (struct mcp_frame){
			.envelope.cookie = side->call.cookie, .handle = -1,
		};
		start_call(side);
	}
	if (side->serves || !side->running)
		poll_queue(side, NULL);
}

/* ---- io_uring ------------------------------------------------------------ */

/* Takes one completion. Gives the result of the command that we wait for, or 1. */
static int take_completion(struct side *side, const struct io_uring_cqe *completion)
{
	struct pending_call *pending;

	if (completion->user_data == TAG_NOW)
		return completion->res;
	if (completion->user_data == TAG_RECV) {
		side->parked = false;
		if (completion->res > 0)
			push_slot(side, completion->res);
		else
			push_errno(side, 0, completion->res);
		return 1;
	}
	pending = &side->calls[completion->user_data - TAG_CALL];
	pending->busy = false;
	if (completion->res > 0)
		push_slot(side, completion->res);
	else if (pending != side->sending)
		push_errno(side, pending->cookie, completion->res);
	else
		return completion->res; /* it was never admitted */
	return 1;
}

static int wait_now(struct side *side, _Atomic __u64 *cookie)
{
	__u64 end = now_ns() + SOON * 1000000ull;
	struct io_uring_cqe completion;
	int result = 1;

	/* A call that is refused completes while it is submitted. */
	while (result == 1 && now_ns() < end) {
		if (ring_wait(&side->ring, 0, &completion))
			result = take_completion(side, &completion);
		else if (cookie && *cookie)
			return 0;
	}
	return result == 1 ? -ETIME : result;
}

static int uring_send(struct side *side, const struct mcp_frame *frame, __u64 *cookie)
{
	unsigned int number = frame->envelope.kind == MCP_NOTIFY ? MCP_CMD_NOTIFY : MCP_CMD_SEND;
	struct pending_call *pending = side->calls;
	int result;

	if (side->path != BY_URING_CALL || frame->envelope.kind != MCP_REQUEST) {
		struct mcp_frame copy = *frame;

		if (cookie)
			copy.result = address(cookie);
		ring_command(&side->ring, side->port.fd, number, &copy, TAG_NOW);
		ring_submit(&side->ring);
		return wait_now(side, NULL);
	}
	while (pending->busy)
		if (++pending == side->calls + SIDE_CALLS)
			bail_out("too many calls");
	pending->busy = true;
	pending->cookie = 0;
	pending->frame = *frame;
	pending->frame.result = address(&pending->cookie);
	ring_command(&side->ring, side->port.fd, MCP_CMD_CALL, &pending->frame,
		     TAG_CALL + (pending - side->calls));
	ring_submit(&side->ring);
	side->sending = pending;
	result = wait_now(side, &pending->cookie);
	side->sending = NULL;
	if (cookie)
		*cookie = pending->cookie;
	return result;
}

static void uring_progress(struct side *side)
{
	struct io_uring_cqe completion;

	if (!side->parked) {
		ring_command(&side->ring, side->port.fd, MCP_CMD_RECV_PARK, NULL, TAG_RECV);
		ring_submit(&side->ring);
		side->parked = true;
	}
	while (ring_wait(&side->ring, 0, &completion))
		take_completion(side, &completion);
}

/* ---- read and write ------------------------------------------------------ */

static int rw_send(struct side *side, const struct mcp_frame *frame, __u64 *cookie)
{
	struct mcp_frame copy = *frame;
	ssize_t done;

	if (cookie)
		copy.result = address(cookie);
	done = write(side->port.fd, &copy, sizeof(copy));
	if (done < 0)
		return -errno;
	return done == sizeof(copy) ? 0 : -EIO;
}

static void rw_progress(struct side *side)
{
	struct pollfd ready = { .fd = side->port.fd, .events = POLLIN };
	struct mcp_frame frame;
	struct message *last;

	if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLIN))
		return;
	if (read(side->port.fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("a read after poll");
	push_slot(side, frame.slot);
	last = &side->queue[(side->first + side->count - 1) % SIDE_PENDING];
	if (memcmp(&last->envelope, &frame.envelope, sizeof(frame.envelope)))
		bail_out("read() tells another envelope than the arena");
}

/* ---- All ----------------------------------------------------------------- */

int side_send(struct side *side, const struct mcp_frame *frame, __u64 *cookie)
{
	__u64 none = 0;
	int result;

	if (!cookie)
		cookie = &none;
	*cookie = 0;
	if (frame->envelope.kind != MCP_REQUEST)
		cookie = NULL;
	if (uses_ring(side))
		return uring_send(side, frame, cookie);
	if (side->path == BY_RW)
		return rw_send(side, frame, cookie);
	result = ioctl_send(side, frame);
	if (cookie)
		*cookie = side->call.cookie;
	return result;
}

bool side_next(struct side *side, struct message *message, int milliseconds)
{
	__u64 end = now_ns() + milliseconds * 1000000ull;

	for (;;) {
		if (pop(side, message))
			return true;
		if (uses_ring(side))
			uring_progress(side);
		else if (side->path == BY_RW)
			rw_progress(side);
		else
			ioctl_progress(side);
		if (!side->count) {
			if (now_ns() > end)
				return false;
			usleep(300);
		}
	}
}

int side_release(struct side *side, const struct message *message)
{
	/* By value: not the address of one. */
	return call(side->port.fd, MCP_IOC_RELEASE, (void *)(uintptr_t)message->slot);
}

bool is_kind(const struct message *message, unsigned int kind, __u64 cookie)
{
	const struct mcp_envelope *envelope = &message->envelope;
	__u64 named = kind == MCP_NOTIFY ? envelope->parent : envelope->cookie;

	return envelope->kind == kind && named == cookie && !envelope->flags && !envelope->status;
}

bool is_kernel(const struct message *message, unsigned int kind, __u64 cookie, unsigned int status)
{
	const struct mcp_envelope *envelope = &message->envelope;

	return envelope->kind == kind && envelope->cookie == cookie &&
	       envelope->flags == MCP_F_KERNEL && envelope->status == status;
}

bool has_body(const struct message *message, const void *body, size_t len)
{
	return message->body && message->envelope.len == len && !memcmp(message->body, body, len);
}

/* ---- Pairs --------------------------------------------------------------- */

void pair_need(struct pair *pair, enum path server, enum path client)
{
	static unsigned int number;
	char suffix[16] = "pair.";

	for (unsigned int n = ++number, i = 5; n; n /= 10)
		suffix[i++] = '0' + n % 10;
	test_name(pair->name, suffix);
	side_need(&pair->server, server, PAIR_ARENA);
	pair->server.serves = true;
	pair->endpoint_id = serve_need(&pair->server.port, pair->name);
	side_need(&pair->client, client, PAIR_ARENA);
	pair->handle = open_handle(&pair->client.port, pair->name, ALL_RIGHTS, &pair->handle_id);
	if (pair->handle < 0) {
		errno = -pair->handle;
		bail_out("a handle");
	}
	pair->path = path_names[client];
}

void pair_close(struct pair *pair)
{
	if (pair->handle >= 0)
		close(pair->handle);
	side_close(&pair->client);
	side_close(&pair->server);
}

bool pair_request(struct pair *pair, const struct mcp_frame *frame, struct message *request)
{
	__u64 cookie;

	return !side_send(&pair->client, frame, &cookie) &&
	       side_next(&pair->server, request, SOON) &&
	       is_kind(request, MCP_REQUEST, cookie);
}
