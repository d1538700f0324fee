// SPDX-License-Identifier: GPL-2.0
/*
 * Test of exchanges: a request, what comes within it, its one response, and
 * every way in which it ends early. The same scenes on each path.
 *
 * Usage: exchange_test [0-3]      (one path alone) on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_side.h"

/* So long that even a machine under every checker delivers, or answers, before it. */
#define DEADLINE_NS	400000000ull
#define LATE_MS		500

static unsigned char pattern[65536];

/* ---- Call and response --------------------------------------------------- */

static void echo(struct pair *pair, size_t len)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_WRITE, pattern, len);
	struct message request = { 0 }, response = { 0 };
	__u64 cookie = 0;

	frame.envelope.reserve = len;
	check_errno(side_send(&pair->client, &frame, &cookie), 0, "%s: a request of %zu bytes",
		    pair->path, len);
	if (!check(side_next(&pair->server, &request, SOON) && cookie &&
		   is_kind(&request, MCP_REQUEST, cookie) && has_body(&request, pattern, len),
		   "%s: it arrives as it was sent", pair->path))
		return;
	frame = frame_response(cookie, request.body, len);
	check_errno(side_send(&pair->server, &frame, NULL), 0, "%s: its answer", pair->path);
	check(side_next(&pair->client, &response, SOON) &&
	      is_kind(&response, MCP_RESPONSE, cookie) && has_body(&response, pattern, len),
	      "%s: the answer arrives", pair->path);
	check_errno(side_release(&pair->client, &response), 0, "%s: its slot is released",
		    pair->path);
}

static void test_echo(struct pair *pair)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 129, 4096, 30000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		echo(pair, sizes[i]);
}

static void test_stamps(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	__u64 deadline = now_ns() + 60000000000ull;
	struct message request, response;
	const struct mcp_envelope *e = &request.envelope;

	frame.envelope.method = MCP_METHOD_TOOLS_CALL;
	frame.envelope.proto = MCP_PROTO_2026_07_28;
	frame.envelope.credit = 3;
	frame.envelope.deadline = deadline;
	frame.envelope.reserve = 77;
	if (!check(pair_request(pair, &frame, &request), "%s: a request with all fields",
		   pair->path))
		return;
	check(e->magic == MCP_MAGIC && e->version == MCP_ENVELOPE_VERSION && e->tool == TOOL_READ &&
	      e->method == MCP_METHOD_TOOLS_CALL && e->proto == MCP_PROTO_2026_07_28 &&
	      e->credit == 3 && e->deadline == deadline && e->reserve == 77 && !e->parent &&
	      !e->nfds && !e->reserved, "%s: its fields are kept", pair->path);
	check(e->sender == pair->handle_id, "%s: the sender of a request is the handle",
	      pair->path);
	frame = frame_response(e->cookie, "y", 1);
	frame.envelope.proto = MCP_PROTO_2026_07_28;
	check(!side_send(&pair->server, &frame, NULL) && side_next(&pair->client, &response, SOON),
	      "%s: an answer to it", pair->path);
	check(response.envelope.sender == pair->endpoint_id,
	      "%s: the sender of a response is the endpoint", pair->path);
	check(response.envelope.proto == MCP_PROTO_2026_07_28 && !response.envelope.tool &&
	      !response.envelope.credit && !response.envelope.parent,
	      "%s: nothing else is in the answer", pair->path);
	side_release(&pair->client, &response);
}

/* ---- Answers that are refused -------------------------------------------- */

static void test_answers(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request = { 0 }, response;
	__u64 cookie;

	frame.envelope.reserve = 100;
	if (!check(pair_request(pair, &frame, &request), "%s: a request", pair->path))
		return;
	cookie = request.envelope.cookie;
	frame = frame_response(cookie, pattern, 60000);
	check_errno(side_send(&pair->server, &frame, NULL), EMSGSIZE,
		    "%s: an answer above what was reserved", pair->path);
	/* Space comes in units of 256 bytes, of which the envelope takes 128. */
	frame = frame_response(cookie, pattern, 129);
	check_errno(side_send(&pair->server, &frame, NULL), EMSGSIZE,
		    "%s: one byte above its space", pair->path);
	frame = frame_response(cookie + 1, pattern, 1);
	check_errno(side_send(&pair->server, &frame, NULL), ENOENT, "%s: an unknown cookie",
		    pair->path);
	frame = frame_response(cookie, pattern, 1);
	check_errno(side_send(&pair->client, &frame, NULL), ENOENT,
		    "%s: the caller answers itself", pair->path);
	frame = frame_cancel(cookie);
	check_errno(side_send(&pair->server, &frame, NULL), ENOENT,
		    "%s: the server cancels what it did not call", pair->path);
	check(!side_next(&pair->client, &response, NEVER), "%s: nothing of that arrives",
	      pair->path);
	frame = frame_response(cookie, pattern, 100);
	check_errno(side_send(&pair->server, &frame, NULL), 0, "%s: a shorter one is good",
		    pair->path);
	check(side_next(&pair->client, &response, SOON) &&
	      is_kind(&response, MCP_RESPONSE, cookie) && has_body(&response, pattern, 100),
	      "%s: it arrives", pair->path);
	check_errno(side_send(&pair->server, &frame, NULL), ENOENT, "%s: a second answer",
		    pair->path);
	check_errno(side_release(&pair->server, &request), EINVAL,
		    "%s: the answer has freed the request's slot", pair->path);
	frame = frame_notify(cookie, "late", 4);
	check_errno(side_send(&pair->server, &frame, NULL), ENOENT, "%s: a notification after it",
		    pair->path);
	frame = frame_cancel(cookie);
	check_errno(side_send(&pair->client, &frame, NULL), ENOENT, "%s: a cancel after it",
		    pair->path);
	frame = frame_nested(cookie, "late", 4);
	check_errno(side_send(&pair->server, &frame, NULL), ENOENT, "%s: a nested request after it",
		    pair->path);
	check(!side_next(&pair->client, &(struct message){ 0 }, NEVER),
	      "%s: there is one response and no more", pair->path);
	side_release(&pair->client, &response);
}

/* ---- Notifications ------------------------------------------------------- */

static bool notified(struct side *side, __u64 parent, const char *text, struct message *message)
{
	return side_next(side, message, SOON) && is_kind(message, MCP_NOTIFY, parent) &&
	       has_body(message, text, strlen(text));
}

static void test_credit(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	/* REPLY_WAIT answers EAGAIN in both cases: the client tells whether it was sent. */
	bool told = pair->server.path != BY_IOCTL;
	struct message request, first, second, more;
	__u64 cookie;

	frame.envelope.credit = 2;
	if (!check(pair_request(pair, &frame, &request), "%s: a request with credit", pair->path))
		return;
	cookie = request.envelope.cookie;
	for (const char *text = "abcd"; *text; text++) {
		int wanted = told && *text > 'b' ? EAGAIN : 0;

		frame = frame_notify(cookie, text, 1);
		check_errno(side_send(&pair->server, &frame, NULL), wanted,
			    "%s: notification %c of a credit of 2", pair->path, *text);
	}
	check(notified(&pair->client, cookie, "a", &first) &&
	      notified(&pair->client, cookie, "b", &second),
	      "%s: as many as the credit arrive, in order", pair->path);
	check(first.envelope.sender == pair->endpoint_id, "%s: the endpoint is their sender",
	      pair->path);
	check(!side_next(&pair->client, &more, NEVER), "%s: and no more", pair->path);
	check_errno(side_release(&pair->client, &first), 0, "%s: one is released", pair->path);
	frame = frame_notify(cookie, "e", 1);
	check_errno(side_send(&pair->server, &frame, NULL), 0, "%s: that gives credit for one",
		    pair->path);
	check(notified(&pair->client, cookie, "e", &more), "%s: which arrives", pair->path);
	frame = frame_notify(cookie, "f", 1);
	side_send(&pair->server, &frame, NULL);
	frame = frame_response(cookie, "done", 4);
	check_errno(side_send(&pair->server, &frame, NULL), 0,
		    "%s: the answer needs no credit", pair->path);
	check(side_next(&pair->client, &first, SOON) && is_kind(&first, MCP_RESPONSE, cookie),
	      "%s: and is next", pair->path);
	check(!side_release(&pair->client, &second) && !side_release(&pair->client, &more) &&
	      !side_release(&pair->client, &first), "%s: all slots are released", pair->path);
}

static void test_no_credit(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request, response;

	if (!check(pair_request(pair, &frame, &request), "%s: a request without credit",
		   pair->path))
		return;
	frame = frame_notify(request.envelope.cookie, "no", 2);
	check_errno(side_send(&pair->server, &frame, NULL),
		    pair->server.path == BY_IOCTL ? 0 : EAGAIN, "%s: a notification without credit",
		    pair->path);
	frame = frame_response(request.envelope.cookie, NULL, 0);
	side_send(&pair->server, &frame, NULL);
	check(side_next(&pair->client, &response, SOON) &&
	      is_kind(&response, MCP_RESPONSE, request.envelope.cookie),
	      "%s: the answer is all that arrives", pair->path);
	side_release(&pair->client, &response);
}

static void test_notify_server(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request, note, response;
	bool sent = true, good = true;
	__u64 cookie;

	if (!check(pair_request(pair, &frame, &request), "%s: a request", pair->path))
		return;
	cookie = request.envelope.cookie;
	for (const char *text = "abc"; *text; text++) {
		frame = frame_notify(cookie, text, 1);
		sent &= !side_send(&pair->client, &frame, NULL);
	}
	check(sent, "%s: the caller's notifications need no credit", pair->path);
	for (const char *text = "abc"; *text; text++) {
		good &= side_next(&pair->server, &note, SOON) &&
			is_kind(&note, MCP_NOTIFY, cookie) && has_body(&note, text, 1) &&
			note.envelope.sender == pair->handle_id;
		good &= !side_release(&pair->server, &note);
	}
	check(good, "%s: they arrive in order with the handle's id", pair->path);
	frame = frame_response(cookie, NULL, 0);
	check(!side_send(&pair->server, &frame, NULL) && side_next(&pair->client, &response,
								   SOON) &&
	      is_kind(&response, MCP_RESPONSE, cookie), "%s: then the answer", pair->path);
	side_release(&pair->client, &response);
}

/* ---- Nested requests ----------------------------------------------------- */

static bool nest(struct side *from, struct side *to, __u64 parent, struct message *request)
{
	struct mcp_frame frame = frame_nested(parent, "nested", 6);
	__u64 cookie;

	return !side_send(from, &frame, &cookie) && side_next(to, request, SOON) &&
	       is_kind(request, MCP_REQUEST, cookie) && request->envelope.parent == parent &&
	       cookie != parent && has_body(request, "nested", 6);
}

static bool answer(struct side *from, struct side *to, __u64 cookie, struct message *response)
{
	struct mcp_frame frame = frame_response(cookie, "answer", 6);

	return !side_send(from, &frame, NULL) && side_next(to, response, SOON) &&
	       is_kind(response, MCP_RESPONSE, cookie) && has_body(response, "answer", 6) &&
	       !side_release(to, response);
}

static void test_nested(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request, inner, response;

	if (!check(pair_request(pair, &frame, &request), "%s: a request", pair->path))
		return;
	check(nest(&pair->server, &pair->client, request.envelope.cookie, &inner),
	      "%s: the server asks the caller within it", pair->path);
	check(inner.envelope.sender == pair->endpoint_id, "%s: with the endpoint's id", pair->path);
	check(answer(&pair->client, &pair->server, inner.envelope.cookie, &response),
	      "%s: the caller answers", pair->path);
	check(answer(&pair->server, &pair->client, request.envelope.cookie, &response),
	      "%s: the outer exchange goes on to its end", pair->path);
}

/* A second request of the caller inside the first: only where calls may overlap. */
static void test_nested_caller(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request, inner, response;

	if (pair->client.path == BY_IOCTL)
		return;
	if (!check(pair_request(pair, &frame, &request), "%s: a request", pair->path))
		return;
	check(nest(&pair->client, &pair->server, request.envelope.cookie, &inner),
	      "%s: the caller asks the server within it", pair->path);
	check(inner.envelope.sender == pair->handle_id, "%s: with the handle's id", pair->path);
	check(answer(&pair->server, &pair->client, inner.envelope.cookie, &response),
	      "%s: the server answers", pair->path);
	check(answer(&pair->server, &pair->client, request.envelope.cookie, &response),
	      "%s: the outer exchange goes on to its end", pair->path);
}

static void test_nesting_depth(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct side *from = &pair->server, *to = &pair->client, *other;
	__u64 cookies[MCP_MAX_NESTING + 1];
	struct message message;
	bool good = true;

	if (pair->client.path == BY_IOCTL)
		return;
	if (!check(pair_request(pair, &frame, &message), "%s: a request", pair->path))
		return;
	cookies[0] = message.envelope.cookie;
	for (unsigned int i = 1; i <= MCP_MAX_NESTING; i++) {
		good &= nest(from, to, cookies[i - 1], &message);
		cookies[i] = message.envelope.cookie;
		other = from;
		from = to;
		to = other;
	}
	check(good, "%s: requests inside requests, %d deep", pair->path, MCP_MAX_NESTING);
	frame = frame_nested(cookies[MCP_MAX_NESTING], "deep", 4);
	check_errno(side_send(from, &frame, NULL), ELOOP, "%s: one deeper", pair->path);
	for (unsigned int i = MCP_MAX_NESTING + 1; i--;) {
		good &= answer(from, to, cookies[i], &message);
		other = from;
		from = to;
		to = other;
	}
	check(good, "%s: all are answered, from the inside", pair->path);
}

/* What is nested may name a tool, if the handle leads to it. */
static void test_nested_tool(struct pair *pair)
{
	struct message request, inner, response;
	struct mcp_frame frame;
	int handle;

	if (pair->client.path == BY_IOCTL)
		return;
	handle = open_handle(&pair->client.port, pair->name, MCP_RIGHT_QUERY | MCP_RIGHT_READ,
			     NULL);
	frame = frame_request(handle, TOOL_READ, "x", 1);
	if (check(pair_request(pair, &frame, &request), "%s: a request", pair->path)) {
		frame = frame_nested(request.envelope.cookie, "x", 1);
		frame.envelope.tool = TOOL_WRITE;
		check_errno(side_send(&pair->client, &frame, NULL), EACCES,
			    "%s: within it, a tool that the handle may not call", pair->path);
		frame.envelope.tool = TOOL_READ;
		check(!side_send(&pair->client, &frame, NULL) &&
		      side_next(&pair->server, &inner, SOON) && inner.envelope.tool == TOOL_READ,
		      "%s: one that it may", pair->path);
		check(answer(&pair->server, &pair->client, inner.envelope.cookie, &response) &&
		      answer(&pair->server, &pair->client, request.envelope.cookie, &response),
		      "%s: both are answered", pair->path);
	}
	close(handle);
}

static void test_nested_dies(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request, inner, message;
	struct side *client = &pair->client, *server = &pair->server;

	if (!check(pair_request(pair, &frame, &request) &&
		   nest(server, client, request.envelope.cookie, &inner),
		   "%s: a request in a request", pair->path))
		return;
	frame = frame_cancel(request.envelope.cookie);
	check_errno(side_send(client, &frame, NULL), 0, "%s: the caller cancels the outer one",
		    pair->path);
	frame = frame_response(inner.envelope.cookie, "late", 4);
	check_errno(side_send(client, &frame, NULL), ECANCELED,
		    "%s: the answer to the inner one is late", pair->path);
	frame = frame_nested(request.envelope.cookie, "late", 4);
	if (server->path != BY_IOCTL) /* whose one call is still out */
		check_errno(side_send(server, &frame, NULL), ECANCELED, "%s: a new inner one too",
			    pair->path);
	/* The server hears of both: its question has ended, and nobody wants its answer. */
	bool ended = false, cancelled = false;

	while (side_next(server, &message, ended && cancelled ? NEVER : SOON)) {
		if (is_kernel(&message, MCP_RESPONSE, inner.envelope.cookie, ECANCELED)) {
			ended = true;
			if (message.slot)
				side_release(server, &message);
		} else if (message.envelope.kind == MCP_CANCEL &&
			   message.envelope.cookie == request.envelope.cookie) {
			cancelled = message.slot == request.slot + MCP_CANCEL_OFFSET;
		} else {
			check(false, "%s: a message of kind %u", pair->path, message.envelope.kind);
			break;
		}
	}
	check(ended, "%s: the server's question ends with ECANCELED", pair->path);
	check(cancelled, "%s: and it gets the CANCEL of the outer one", pair->path);
	frame = frame_response(request.envelope.cookie, "late", 4);
	check_errno(side_send(server, &frame, NULL), ECANCELED, "%s: the late answer", pair->path);
}

static void test_nested_outlived(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request, inner, message;
	/* A task whose CALL has returned the answer hears no more of that exchange. */
	bool answered = false, cancelled = pair->client.path == BY_IOCTL;

	if (!check(pair_request(pair, &frame, &request) &&
		   nest(&pair->server, &pair->client, request.envelope.cookie, &inner),
		   "%s: a request in a request", pair->path))
		return;
	frame = frame_response(request.envelope.cookie, "first", 5);
	check_errno(side_send(&pair->server, &frame, NULL), 0,
		    "%s: the server answers before it is answered", pair->path);
	while (side_next(&pair->client, &message, answered && cancelled ? NEVER : 300)) {
		if (is_kind(&message, MCP_RESPONSE, request.envelope.cookie)) {
			answered = has_body(&message, "first", 5) &&
				   !side_release(&pair->client, &message);
		} else if (message.envelope.kind == MCP_CANCEL &&
			   message.envelope.cookie == inner.envelope.cookie) {
			cancelled = true;
		}
	}
	check(answered, "%s: the caller gets that answer", pair->path);
	check(cancelled, "%s: and the CANCEL of the question", pair->path);
	frame = frame_response(inner.envelope.cookie, "late", 4);
	check_errno(side_send(&pair->client, &frame, NULL), ECANCELED,
		    "%s: its answer to that is late", pair->path);
	check(side_next(&pair->server, &message, SOON) &&
	      is_kernel(&message, MCP_RESPONSE, inner.envelope.cookie, ECANCELED),
	      "%s: the server's question ends with ECANCELED", pair->path);
	if (message.slot)
		side_release(&pair->server, &message);
}

/* Does the handle's fdinfo have this? */
static bool has_fdinfo(int handle, const char *text)
{
	char path[48], all[1024] = "";
	size_t got = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", handle);
	file = fopen(path, "r");
	if (file) {
		got = fread(all, 1, sizeof(all) - 1, file);
		fclose(file);
	}
	return got && strstr(all, text);
}

/* ---- Cancel and deadline ------------------------------------------------- */

/* The caller's end of an exchange that the kernel has ended. */
static void check_ended(struct pair *pair, __u64 cookie, unsigned int status, const char *what)
{
	struct message message = { 0 };

	if (!check(side_next(&pair->client, &message, SOON) &&
		   is_kernel(&message, MCP_RESPONSE, cookie, status),
		   "%s: %s: the caller is told", pair->path, what))
		printf("# kind %u flags %#x status %u\n", message.envelope.kind,
		       message.envelope.flags, message.envelope.status);
	if (message.slot)
		side_release(&pair->client, &message);
}

/* The server's end: the CANCEL in the request's own slot, then a late answer. */
static void check_cancelled(struct pair *pair, const struct message *request, unsigned int status,
			    const char *what)
{
	__u64 cookie = request->envelope.cookie;
	struct mcp_frame frame = frame_response(cookie, "late", 4);
	struct message message = { 0 };

	if (!check(side_next(&pair->server, &message, SOON) &&
		   is_kernel(&message, MCP_CANCEL, cookie,
			     status), "%s: %s: the server gets a CANCEL", pair->path, what))
		printf("# kind %u flags %#x status %u\n", message.envelope.kind,
		       message.envelope.flags, message.envelope.status);
	check(message.slot == request->slot + MCP_CANCEL_OFFSET,
	      "%s: %s: it lies behind the request's envelope", pair->path, what);
	check_errno(side_send(&pair->server, &frame, NULL), ECANCELED,
		    "%s: %s: a late answer", pair->path, what);
	check_errno(side_release(&pair->server, request), EINVAL,
		    "%s: %s: which has freed the slot", pair->path, what);
	check_errno(side_send(&pair->server, &frame, NULL), ENOENT,
		    "%s: %s: and ended it for the server", pair->path, what);
}

static void test_cancel(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request;
	__u64 cookie;

	check_errno(side_send(&pair->client, &frame, &cookie), 0, "%s: a request", pair->path);
	frame = frame_cancel(cookie);
	check_errno(side_send(&pair->client, &frame, NULL), 0, "%s: cancel before delivery",
		    pair->path);
	check_ended(pair, cookie, ECANCELED, "cancel before delivery");
	check(!side_next(&pair->server, &request, NEVER), "%s: the server sees nothing of it",
	      pair->path);
	frame = frame_request(pair->handle, TOOL_READ, "y", 1);
	if (!check(pair_request(pair, &frame, &request), "%s: a request", pair->path))
		return;
	frame = frame_cancel(request.envelope.cookie);
	check_errno(side_send(&pair->client, &frame, NULL), 0, "%s: cancel after delivery",
		    pair->path);
	check_ended(pair, request.envelope.cookie, ECANCELED, "cancel");
	check_errno(side_send(&pair->client, &frame, NULL), ENOENT, "%s: a second cancel",
		    pair->path);
	check_cancelled(pair, &request, ECANCELED, "cancel");
	echo(pair, 10);
}

/* What was released before the CANCEL came keeps room for it. */
static void test_cancel_released(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, pattern, 5000);
	struct message request, message;

	if (!check(pair_request(pair, &frame, &request), "%s: a request of 5000 bytes", pair->path))
		return;
	check_errno(side_release(&pair->server, &request), 0,
		    "%s: its slot is released before the answer", pair->path);
	check_errno(side_release(&pair->server, &request), EINVAL, "%s: once only", pair->path);
	frame = frame_cancel(request.envelope.cookie);
	check_errno(side_send(&pair->client, &frame, NULL), 0, "%s: cancel", pair->path);
	check_ended(pair, request.envelope.cookie, ECANCELED, "cancel after release");
	check(side_next(&pair->server, &message, SOON) && message.envelope.kind == MCP_CANCEL &&
	      message.slot == request.slot + MCP_CANCEL_OFFSET,
	      "%s: the CANCEL still has its place", pair->path);
	frame = frame_response(request.envelope.cookie, NULL, 0);
	check_errno(side_send(&pair->server, &frame, NULL), ECANCELED, "%s: the late answer",
		    pair->path);
}

/* Who releases it after it was cancelled, and has not heard of that, still does. */
static void test_released_too_late(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, pattern, 5000);
	struct message request, message;

	if (!check(pair_request(pair, &frame, &request), "%s: a request of 5000 bytes", pair->path))
		return;
	frame = frame_cancel(request.envelope.cookie);
	check_errno(side_send(&pair->client, &frame, NULL), 0, "%s: cancel", pair->path);
	check_ended(pair, request.envelope.cookie, ECANCELED, "cancel before release");
	check_errno(side_release(&pair->server, &request), 0,
		    "%s: the server, which has not heard of it, releases the slot", pair->path);
	check(side_next(&pair->server, &message, SOON) && message.envelope.kind == MCP_CANCEL &&
	      message.slot == request.slot + MCP_CANCEL_OFFSET,
	      "%s: the CANCEL is told", pair->path);
	check_errno(side_release(&pair->server, &request), 0, "%s: and the slot released for good",
		    pair->path);
	frame = frame_response(request.envelope.cookie, NULL, 0);
	check_errno(side_send(&pair->server, &frame, NULL), ENOENT, "%s: there is nothing to answer",
		    pair->path);
}

/* What follows a request that is taken away unseen goes with it, and is paid back. */
static void test_followers(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message message;
	bool sent = true;
	__u64 cookie;

	check_errno(side_send(&pair->client, &frame, &cookie), 0, "%s: a request that nobody takes",
		    pair->path);
	for (unsigned int i = 0; i < 3; i++) {
		frame = frame_notify(cookie, pattern, 1000);
		sent &= !side_send(&pair->client, &frame, NULL);
	}
	check(sent, "%s: and three notifications after it", pair->path);
	check(has_fdinfo(pair->handle, "mcp-inflight:\t1 of "), "%s: are charged", pair->path);
	frame = frame_cancel(cookie);
	check_errno(side_send(&pair->client, &frame, NULL), 0, "%s: it is cancelled", pair->path);
	check_ended(pair, cookie, ECANCELED, "a request that was followed");
	check(!side_next(&pair->server, &message, NEVER), "%s: the server sees none of them",
	      pair->path);
	check(has_fdinfo(pair->handle, "mcp-inflight:\t0 of ") &&
	      has_fdinfo(pair->handle, "mcp-bytes:\t0 of "), "%s: and nothing is charged any more",
	      pair->path);
	echo(pair, 10);
}

static void test_deadline(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request;
	__u64 cookie = 0;

	frame.envelope.deadline = now_ns() + DEADLINE_NS;
	if (check(pair_request(pair, &frame, &request), "%s: a request with a deadline",
		  pair->path)) {
		check_ended(pair, request.envelope.cookie, ETIMEDOUT, "deadline");
		check(now_ns() >= frame.envelope.deadline, "%s: not before its time", pair->path);
		check_cancelled(pair, &request, ETIMEDOUT, "deadline");
	}
	frame.envelope.deadline = now_ns() + DEADLINE_NS;
	check_errno(side_send(&pair->client, &frame, &cookie), 0,
		    "%s: a request that nobody takes", pair->path);
	check_ended(pair, cookie, ETIMEDOUT, "deadline before delivery");
	check(!side_next(&pair->server, &request, NEVER), "%s: it is taken away", pair->path);
	frame.envelope.deadline = 1;
	check_errno(side_send(&pair->client, &frame, NULL), ETIMEDOUT,
		    "%s: a deadline that is over", pair->path);
	check(!side_next(&pair->server, &request, NEVER), "%s: sends nothing", pair->path);
	/* An answer in time leaves no clock behind. */
	frame.envelope.deadline = now_ns() + DEADLINE_NS;
	if (check(pair_request(pair, &frame, &request), "%s: a request with a deadline",
		  pair->path)) {
		struct message response, late;

		check(answer(&pair->server, &pair->client, request.envelope.cookie, &response),
		      "%s: is answered in time", pair->path);
		check(!side_next(&pair->client, &late, LATE_MS) &&
		      !side_next(&pair->server, &late, NEVER),
		      "%s: nothing comes at the deadline", pair->path);
	}
}

/* ---- Order --------------------------------------------------------------- */

static void test_order(struct pair *pair)
{
	enum { COUNT = 12 };
	__u64 cookies[COUNT];
	struct message message;
	bool good = true;

	if (pair->client.path == BY_IOCTL)
		return; /* one call at a time */
	for (unsigned int i = 0; i < COUNT; i++) {
		struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, pattern, i * 100);

		good &= !side_send(&pair->client, &frame, &cookies[i]);
	}
	check(good, "%s: %d requests", pair->path, COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		good &= side_next(&pair->server, &message, SOON) &&
			is_kind(&message, MCP_REQUEST, cookies[i]) &&
			has_body(&message, pattern, i * 100);
	check(good, "%s: arrive in their order", pair->path);
	/* The answers come in the server's order. */
	for (unsigned int i = COUNT; i--;) {
		struct message response;

		good &= answer(&pair->server, &pair->client, cookies[i], &response);
	}
	check(good, "%s: and are answered in any", pair->path);
	for (unsigned int i = 1; i < COUNT; i++)
		for (unsigned int j = 0; j < i; j++)
			good &= cookies[i] != cookies[j];
	check(good, "%s: no cookie is used twice", pair->path);
}

/* ---- Death of a peer ----------------------------------------------------- */

enum step { BEFORE_DELIVERY, DELIVERED, NOTIFIED, NESTED, STEPS };

static const char *const step_names[STEPS] = {
	"before delivery", "after delivery", "after a notification", "within a nested request",
};

/* Brings an exchange as far as @step. */
static bool reach(struct pair *pair, enum step step, __u64 *cookie, __u64 *inner)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request, message;

	frame.envelope.credit = 1;
	if (side_send(&pair->client, &frame, cookie))
		return false;
	if (step == BEFORE_DELIVERY)
		return true;
	if (!side_next(&pair->server, &request, SOON))
		return false;
	if (step == NOTIFIED) {
		frame = frame_notify(*cookie, "n", 1);
		return !side_send(&pair->server, &frame, NULL) &&
		       side_next(&pair->client, &message, SOON);
	}
	if (step == NESTED) {
		if (!nest(&pair->server, &pair->client, *cookie, &message))
			return false;
		*inner = message.envelope.cookie;
	}
	return true;
}

static void test_server_dies(enum path path, enum step step)
{
	struct message message;
	bool ended = false, cancelled = step != NESTED || path == BY_IOCTL;
	struct mcp_frame frame;
	__u64 cookie, inner = 0;
	struct pair pair;

	pair_need(&pair, path, path);
	if (!check(reach(&pair, step, &cookie, &inner), "%s: an exchange %s", pair.path,
		   step_names[step]))
		goto out;
	side_close(&pair.server);
	while (side_next(&pair.client, &message, ended && cancelled ? NEVER : SOON)) {
		if (is_kernel(&message, MCP_RESPONSE, cookie, EPIPE))
			ended = true;
		else if (message.envelope.kind == MCP_CANCEL && message.envelope.cookie == inner)
			cancelled = true;
		else
			check(false, "%s: a message of kind %u", pair.path, message.envelope.kind);
		if (message.slot && message.envelope.kind == MCP_RESPONSE)
			side_release(&pair.client, &message);
	}
	check(ended, "%s: the server dies %s: the caller gets EPIPE", pair.path, step_names[step]);
	check(cancelled, "%s: and the CANCEL of the server's question", pair.path);
	frame = frame_request(pair.handle, TOOL_READ, "y", 1);
	check_errno(side_send(&pair.client, &frame, NULL), EPIPE,
		    "%s: the handle leads nowhere", pair.path);
	check(handle_dead(pair.handle, SOON), "%s: and poll() says so", pair.path);
out:
	pair_close(&pair);
}

/* What had come before the end is taken first, and the end is not lost with the last of it. */
static void test_end_comes_last(enum path path)
{
	struct message request, message;
	struct mcp_frame frame;
	struct pair pair;
	__u64 cookie;

	pair_need(&pair, path, path);
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	frame.envelope.credit = 2;
	if (!check(pair_request(&pair, &frame, &request), "%s: a request with credit", pair.path))
		goto out;
	cookie = request.envelope.cookie;
	for (const char *text = "ab"; *text; text++) {
		frame = frame_notify(cookie, text, 1);
		side_send(&pair.server, &frame, NULL);
	}
	check(notified(&pair.client, cookie, "a", &message), "%s: the first of two notifications",
	      pair.path);
	side_close(&pair.server);
	check(notified(&pair.client, cookie, "b", &message),
	      "%s: the second, when the server is gone", pair.path);
	check(side_next(&pair.client, &message, SOON) &&
	      is_kernel(&message, MCP_RESPONSE, cookie, EPIPE), "%s: and then EPIPE", pair.path);
out:
	pair_close(&pair);
}

static void test_client_dies(enum path path, enum step step)
{
	struct message message = { 0 };
	/* A ring that ends cancels its CALLs, and that comes before the end of the file. */
	unsigned int status = path == BY_URING_CALL ? ECANCELED : EPIPE;
	bool ended = step != NESTED, cancelled = false;
	struct mcp_frame frame;
	__u64 cookie, inner = 0;
	struct side other;
	struct pair pair;

	pair_need(&pair, path, path);
	if (!check(reach(&pair, step, &cookie, &inner), "%s: an exchange %s", pair.path,
		   step_names[step]))
		goto out;
	/* BY_IOCTL a call that is interrupted stays open until the file is closed. */
	side_close(&pair.client);
	if (step == BEFORE_DELIVERY) {
		/* The end of a ring is not at once: the request is there, or gone. */
		sleep_ms(100);
		check(!side_next(&pair.server, &message, NEVER),
		      "%s: the client dies %s: its request is taken away", pair.path,
		      step_names[step]);
		goto next;
	}
	while (side_next(&pair.server, &message, ended && cancelled ? NEVER : SOON)) {
		if (is_kernel(&message, MCP_RESPONSE, inner, status))
			ended = true;
		else if (is_kernel(&message, MCP_CANCEL, cookie, status))
			cancelled = true;
		else
			check(false, "%s: a message of kind %u status %u", pair.path,
			      message.envelope.kind, message.envelope.status);
		if (message.slot && message.envelope.kind == MCP_RESPONSE)
			side_release(&pair.server, &message);
	}
	check(cancelled, "%s: the client dies %s: the server gets a CANCEL with %s", pair.path,
	      step_names[step], strerror(status));
	check(ended, "%s: and the end of its question", pair.path);
	frame = frame_response(cookie, "late", 4);
	check_errno(side_send(&pair.server, &frame, NULL), ECANCELED, "%s: its answer is late",
		    pair.path);
next:
	side_need(&other, path, PAIR_ARENA);
	pair.client = other;
	echo(&pair, 20);
out:
	pair_close(&pair);
}

/* A process that serves one request in a child, says so, and waits to be killed. */
static void test_killed(enum path path)
{
	struct mcp_frame frame;
	struct message message;
	struct side client;
	__u8 name[MCP_NAME_SIZE];
	int ready[2], handle;
	__u64 cookie = 0;
	pid_t child;
	char byte;

	test_name(name, "killed");
	if (pipe(ready))
		bail_out("a pipe");
	child = fork();
	if (!child) {
		struct side server;

		side_need(&server, path, PAIR_ARENA);
		serve_need(&server.port, name);
		(void)!write(ready[1], "s", 1);
		if (!side_next(&server, &message, SOON))
			_exit(1);
		(void)!write(ready[1], "r", 1);
		/* Parked, or in REPLY_WAIT: this is where the signal finds it. */
		side_next(&server, &message, 60000);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		bail_out("a child that serves");
	side_need(&client, path, PAIR_ARENA);
	handle = open_handle(&client.port, name, ALL_RIGHTS, NULL);
	frame = frame_request(handle, TOOL_READ, "x", 1);
	check_errno(side_send(&client, &frame, &cookie), 0, "%s: a request to another process",
		    path_names[path]);
	check(read(ready[0], &byte, 1) == 1, "%s: which it receives", path_names[path]);
	kill(child, SIGKILL);
	check(side_next(&client, &message, SOON) && is_kernel(&message, MCP_RESPONSE, cookie,
							      EPIPE),
	      "%s: its death ends the exchange", path_names[path]);
	waitpid(child, NULL, 0);
	close(handle);
	close(ready[0]);
	side_close(&client);
}

/* ---- Two that call each other -------------------------------------------- */

static void test_each_other(enum path path)
{
	struct message request, back, message;
	struct mcp_frame frame;
	__u8 name[MCP_NAME_SIZE];
	__u64 cookie;
	struct pair pair;
	int handle;

	pair_need(&pair, path, path);
	test_name(name, "back");
	serve_need(&pair.client.port, name);
	pair.client.serves = true;
	handle = open_handle(&pair.server.port, name, ALL_RIGHTS, NULL);
	check_errno(handle, 0, "%s: a server opens its client", pair.path);
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	if (!check(pair_request(&pair, &frame, &request), "%s: one calls", pair.path))
		goto out;
	frame = frame_request(handle, TOOL_WRITE, "y", 1);
	check(!side_send(&pair.server, &frame, &cookie) && side_next(&pair.client, &back, SOON) &&
	      is_kind(&back, MCP_REQUEST, cookie) && !back.envelope.parent,
	      "%s: the other calls back before it answers", pair.path);
	check(answer(&pair.client, &pair.server, cookie, &message), "%s: is answered", pair.path);
	check(answer(&pair.server, &pair.client, request.envelope.cookie, &message),
	      "%s: and answers", pair.path);
out:
	close(handle);
	pair_close(&pair);
}

/* ---- What only the ioctl does -------------------------------------------- */

struct caller {
	struct port *port;
	struct mcp_frame frame;
	int result;
	atomic_bool done;
};

static void *do_call(void *argument)
{
	struct caller *caller = argument;

	caller->result = call(caller->port->fd, MCP_IOC_CALL, &caller->frame);
	caller->done = true;
	return NULL;
}

static void test_interrupted(void)
{
	_Atomic __u64 cookie = 0;
	struct caller caller = { 0 };
	struct message request, message;
	struct mcp_frame frame;
	pthread_t thread;
	struct pair pair;

	pair_need(&pair, BY_IOCTL, BY_IOCTL);
	caller.port = &pair.client.port;
	caller.frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	caller.frame.envelope.credit = 1;
	caller.frame.result = address(&cookie);
	pthread_create(&thread, NULL, do_call, &caller);
	check(side_next(&pair.server, &request, SOON), "a call waits");
	while (!caller.done) {
		pthread_kill(thread, SIGUSR1);
		sleep_ms(1);
	}
	pthread_join(thread, NULL);
	check_errno(caller.result, EINTR, "a signal interrupts a call");
	check(cookie == request.envelope.cookie, "its cookie is known");

	/* What arrives meanwhile is not lost; each wait gives one message. */
	frame = frame_notify(cookie, "n", 1);
	side_send(&pair.server, &frame, NULL);
	frame = frame_response(cookie, "r", 1);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "the exchange is still open");
	frame = (struct mcp_frame){ .envelope.cookie = cookie, .handle = -1 };
	check_errno(call(pair.client.port.fd, MCP_IOC_CALL, &frame), 0,
		    "going on gives the next message");
	check(((const struct mcp_envelope *)(pair.client.port.arena + frame.slot))->kind == MCP_NOTIFY,
	      "the notification first");
	frame.envelope = (struct mcp_envelope){ .cookie = cookie };
	check_errno(call(pair.client.port.fd, MCP_IOC_CALL, &frame), 0,
		    "going on releases the slot that it names");
	check(((const struct mcp_envelope *)(pair.client.port.arena + frame.slot))->kind == MCP_RESPONSE,
	      "then the response");
	frame.envelope = (struct mcp_envelope){ .cookie = cookie };
	check_errno(call(pair.client.port.fd, MCP_IOC_CALL, &frame), ENOENT,
		    "an exchange that has ended cannot be waited in");
	frame = (struct mcp_frame){ .envelope.cookie = ~0ull, .handle = -1 };
	check_errno(call(pair.client.port.fd, MCP_IOC_CALL, &frame), ENOENT, "nor an unknown one");
	frame = (struct mcp_frame){ .handle = -1 };
	check(call(pair.client.port.fd, MCP_IOC_CALL, &frame) < 0, "nor none at all");
	check(!side_next(&pair.client, &message, NEVER), "nothing is left over");
	pair_close(&pair);
}

/* A call that answers a nested request waits on in the outer exchange. */
static void test_call_answers(void)
{
	struct caller caller = { 0 };
	struct message request;
	struct mcp_frame frame;
	pthread_t thread;
	struct pair pair;
	__u64 inner = 0;

	/* The server by read and write: it need not wait for its question's answer. */
	pair_need(&pair, BY_RW, BY_IOCTL);
	caller.port = &pair.client.port;
	caller.frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	pthread_create(&thread, NULL, do_call, &caller);
	check(side_next(&pair.server, &request, SOON), "a call waits");
	frame = frame_nested(request.envelope.cookie, "?", 1);
	check_errno(side_send(&pair.server, &frame, &inner), 0, "it is asked something");
	pthread_join(thread, NULL);
	check_errno(caller.result, 0, "the call returns with the question");

	frame = frame_response(inner, "!", 1);
	frame.slot = caller.frame.slot;
	caller.done = false;
	caller.frame = frame;
	pthread_create(&thread, NULL, do_call, &caller);
	struct message message = { 0 };

	check(side_next(&pair.server, &message, SOON) && is_kind(&message, MCP_RESPONSE, inner) &&
	      has_body(&message, "!", 1), "the call that answers it sends the answer");
	sleep_ms(NEVER);
	check(!caller.done, "and waits on");
	frame = frame_response(request.envelope.cookie, "end", 3);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "until the outer answer");
	pthread_join(thread, NULL);
	check_errno(caller.result, 0, "which ends it");
	check(!memcmp(pair.client.port.arena + caller.frame.slot + MCP_BODY_OFFSET, "end", 3),
	      "with that body");
	pair_close(&pair);
}

/* Likewise where a task that asked something is asked in turn, and does not look. */
static void test_call_followers(void)
{
	struct caller caller = { 0 };
	struct message request;
	struct mcp_frame frame;
	__u64 first = 0, second = 0;
	pthread_t thread;
	struct pair pair;

	pair_need(&pair, BY_RW, BY_IOCTL);
	caller.port = &pair.client.port;
	caller.frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	pthread_create(&thread, NULL, do_call, &caller);
	check(side_next(&pair.server, &request, SOON), "a call waits");
	frame = frame_nested(request.envelope.cookie, "?", 1);
	check_errno(side_send(&pair.server, &frame, &first), 0, "it is asked something");
	pthread_join(thread, NULL);
	check_errno(caller.result, 0, "and returns");
	check_errno(side_send(&pair.server, &frame, &second), 0, "it is asked again");
	frame = frame_notify(second, "n", 1);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "and notified");
	frame = frame_cancel(second);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "and all that is taken back");
	frame = frame_response(request.envelope.cookie, "end", 3);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "then comes the answer");
	frame = (struct mcp_frame){ .envelope.cookie = request.envelope.cookie, .handle = -1,
				    .slot = caller.frame.slot };
	check_errno(call(pair.client.port.fd, MCP_IOC_CALL, &frame), 0, "the call goes on");
	check(!memcmp(pair.client.port.arena + frame.slot + MCP_BODY_OFFSET, "end", 3),
	      "and the answer is all that it gets");
	pair_close(&pair);
}

/* ---- All scenes ---------------------------------------------------------- */

static void test_path(enum path path)
{
	static void (*const scenes[])(struct pair *) = {
		test_echo, test_stamps, test_answers, test_credit, test_no_credit,
		test_notify_server, test_nested, test_nested_caller, test_nested_tool,
		test_nesting_depth, test_nested_dies, test_nested_outlived, test_cancel,
		test_cancel_released, test_released_too_late, test_followers, test_deadline, test_order,
	};

	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		struct pair pair;

		pair_need(&pair, path, path);
		scenes[i](&pair);
		pair_close(&pair);
	}
	for (enum step step = 0; step < STEPS; step++) {
		test_server_dies(path, step);
		test_client_dies(path, step);
	}
	if (path != BY_URING_CALL)	/* there the end is a completion, not a message */
		test_end_comes_last(path);
	test_killed(path);
	test_each_other(path);
}

int main(int count, char **words)
{
	test_begin();
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i * 37 + i / 251;
	if (count > 1) {	/* one path, by its number: for debugging */
		test_path(words[1][0] - '0');
		return test_end();
	}
	for (enum path path = 0; path < PATHS; path++)
		test_path(path);
	for (enum path server = 0; server < PATHS; server++) {
		for (enum path client = 0; client < PATHS; client++) {
			struct pair pair;

			pair_need(&pair, server, client);
			if (server != client)
				echo(&pair, 1000);
			pair_close(&pair);
		}
	}
	test_interrupted();
	test_call_answers();
	test_call_followers();
	return test_end();
}
