// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Test of libmcp on a machine where mcp.ko is loaded, as root: the same scenes on
 * each of the three paths, against a server that is another process.
 *
 * Usage: libmcp_test [1-3 [TEST]]      (one path alone, one test)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "tap.h"

#define ALL_RIGHTS	(MCP_RIGHT_QUERY | MCP_RIGHT_READ | MCP_RIGHT_WRITE | MCP_RIGHT_FDS | MCP_RIGHT_GRANT)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BODY_MAX	8192
#define SOON		5000

static const char *const path_names[] = { "auto", "ioctl", "uring", "rw" };
static const char *const tool_names[] = {
	"", "echo", "count", "note", "ask", "slow", "later", "wake", "die", "fds", "raw", "change", "silent",
};

/* What a scene works with. */
struct scene {
	const char *path;
	struct peer peer;
	struct libmcp *mcp;
	struct libmcp_handle handle;
	/* of answers that came by a callback */
	int done, error;
	char text[BODY_MAX];
	/* of what came before */
	int notes, questions;
	bool in_order, nested;
	struct libmcp_call question;
};

static void put_aside(struct scene *scene, const struct libmcp_reply *reply)
{
	snprintf(scene->text, sizeof(scene->text), "%.*s", reply ? (int)reply->len : 0, reply ? reply->body : "");
}

static void done(struct libmcp *mcp, int error, const struct libmcp_reply *reply, void *context)
{
	struct scene *scene = context;

	(void)mcp;
	scene->done++;
	scene->error = error;
	put_aside(scene, reply);
}

static void notified(struct libmcp *mcp, uint64_t parent, const char *body, size_t len, void *context)
{
	struct scene *scene = context;
	struct libmcp_message message;
	char wanted[40];

	(void)mcp;
	snprintf(wanted, sizeof(wanted), "notifications/%d", scene->notes);
	if (libmcp_read(body, len, &message) || !parent || scene->done ||
	    !libmcp_text_is(message.method, wanted))
		scene->in_order = false;
	scene->notes++;
}

static struct libmcp_request request_of(struct scene *scene, unsigned int tool, const char *body)
{
	return (struct libmcp_request){
		.body = body, .len = strlen(body), .handle = scene->handle.fd, .tool = tool, .reserve = 4096,
		.timeout_ms = SOON, .context = scene,
	};
}

/* The body of a call of @name; the argument is put into it as JSON that was escaped. */
static const char *body_of(const char *name, const char *text)
{
	static char bodies[4][BODY_MAX];
	static unsigned int next;
	char *body = bodies[next++ % 4];	/* several are under way */

	snprintf(body, BODY_MAX, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":"
		 "{\"name\":\"%s\",\"arguments\":{\"text\":\"%s\"}}}", name, text);
	return body;
}

static int call_request(struct scene *scene, const struct libmcp_request *request)
{
	struct libmcp_reply reply;
	int error = libmcp_call(scene->mcp, request, &reply);

	put_aside(scene, error ? NULL : &reply);
	return error ? error : libmcp_release(scene->mcp, &reply);
}

static int call_tool(struct scene *scene, unsigned int tool, const char *text)
{
	struct libmcp_request request = request_of(scene, tool, body_of(tool_names[tool], text));

	return call_request(scene, &request);
}

static bool has(const struct scene *scene, const char *text)
{
	if (strstr(scene->text, text))
		return true;
	printf("# %s: got %s\n", scene->path, scene->text);
	return false;
}

/* Calls a tool; the answer has this text in it. */
static bool says(struct scene *scene, unsigned int tool, const char *text, const char *wanted)
{
	int error = call_tool(scene, tool, text);

	if (error)
		printf("# %s: %s\n", scene->path, libmcp_error_name(error));
	return !error && has(scene, wanted);
}

/* Handles messages until @what is true or patience is at its end. */
static bool until(struct scene *scene, const int *what)
{
	for (int i = 0; i < 100 && !*what; i++) {
		int error = libmcp_run(scene->mcp, SOON / 100);

		if (error < 0)
			bail_out("libmcp_run", error);
	}
	return *what;
}

static void scene_need(struct scene *scene, enum libmcp_path server, enum libmcp_path client)
{
	const struct libmcp_options options = { .path = client, .arena_flags = MCP_ARENA_TAKES_FDS };
	int error;

	*scene = (struct scene){ .path = path_names[client], .in_order = true };
	peer_start(&scene->peer, server);
	error = libmcp_connect(&scene->mcp, &options);
	if (!error)
		error = libmcp_open(scene->mcp, scene->peer.name, ALL_RIGHTS, NULL, 0, &scene->handle);
	if (error)
		bail_out("a scene", error);
}

static void scene_end(struct scene *scene)
{
	close(scene->handle.fd);
	libmcp_close(scene->mcp);
	peer_stop(&scene->peer);
}

static void reset(struct scene *scene)
{
	scene->done = 0;
	scene->error = 1;
	scene->notes = 0;
	scene->questions = 0;
	scene->in_order = true;
}

/* A port of our own, so that an envelope may say what the library never would. */
struct raw_port {
	int fd;
	const char *arena;
};

static void raw_open(struct raw_port *port)
{
	struct mcp_arena arena = { .size = sizeof(arena), .bytes = 256 << 10 };

	port->fd = open("/dev/mcp", O_RDWR | O_CLOEXEC);
	if (port->fd < 0 || ioctl(port->fd, MCP_IOC_ARENA, &arena))
		bail_out("a port", errno);
	port->arena = mmap(NULL, arena.bytes, PROT_READ, MAP_SHARED, port->fd, 0);
	if (port->arena == MAP_FAILED)
		bail_out("its arena", errno);
}

static int raw_call(struct scene *scene, const struct raw_port *port, const struct mcp_envelope *wanted,
		    const void *body, size_t len)
{
	struct mcp_frame frame = { .envelope = *wanted, .handle = scene->handle.fd, .body = len ? (uintptr_t)body : 0 };
	const struct mcp_envelope *got;

	frame.envelope.magic = MCP_MAGIC;
	frame.envelope.version = MCP_ENVELOPE_VERSION;
	frame.envelope.kind = MCP_REQUEST;
	frame.envelope.len = (__u32)len;
	frame.envelope.reserve = 1024;
	if (ioctl(port->fd, MCP_IOC_CALL, &frame)) {
		int error = -errno;

		printf("# %s: a call by hand: %s\n", scene->path, strerror(-error));
		return error;
	}
	got = (const void *)(port->arena + frame.slot);
	snprintf(scene->text, sizeof(scene->text), "%.*s", (int)got->len, (const char *)got + MCP_BODY_OFFSET);
	return ioctl(port->fd, MCP_IOC_RELEASE, (unsigned long)frame.slot) ? -errno : 0;
}

/* ---- Calls ---------------------------------------------------------------------- */

static void test_calls(struct scene *scene)
{
	static const char list[] = "{\"jsonrpc\":\"2.0\",\"id\":\"a\\u0062\",\"method\":\"tools/list\",\"params\":{\"_meta\":"
				   "{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}";
	static const char notification[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/roots/list_changed\"}";
	static const char unknown[] = "{\"jsonrpc\":\"2.0\",\"id\":1.5e0,\"method\":\"no/such\"}";
	struct libmcp_request request = request_of(scene, 0, list);
	struct libmcp_reply reply;

	check(says(scene, ECHO, "h\\u00e9 \\\"x\\\"", "\"id\":7,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"h\xc3\xa9 "
		   "\\\"x\\\"\"}],\"isError\":false}"), "%s: a tool answers", scene->path);
	check(!call_request(scene, &request) && has(scene, "\"name\":\"echo\"") && has(scene, "\"name\":\"silent\"") &&
	      has(scene, "\"ttlMs\":0"), "%s: tools/list", scene->path);
	request = request_of(scene, 0, notification);
	check(!libmcp_call(scene->mcp, &request, &reply) && !reply.len && reply.slot && !reply.message.kind,
	      "%s: a notification is taken", scene->path);
	check_is(libmcp_release(scene->mcp, &reply), 0, "%s: its answer is released", scene->path);
	request = request_of(scene, 0, unknown);
	check(!libmcp_call(scene->mcp, &request, &reply) && reply.message.kind == LIBMCP_ERROR &&
	      (put_aside(scene, &reply), has(scene, "\"id\":1.5e0,\"error\":{\"code\":-32601")),
	      "%s: an unknown method", scene->path);
	libmcp_release(scene->mcp, &reply);
	check(says(scene, SILENT, "", "\"code\":-32603,\"message\":\"EBADF\""), "%s: a handler's errno", scene->path);
}

static void test_room(struct scene *scene)
{
	char text[2000];
	struct libmcp_request request;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	request = request_of(scene, ECHO, body_of("echo", text));
	request.reserve = 256;
	check(!call_request(scene, &request) && has(scene, "\"id\":7,\"error\":{\"code\":-32603,\"message\":\"result too large\""),
	      "%s: a result that does not fit", scene->path);
	request.reserve = 1;
	check_is(call_request(scene, &request), -EPROTO, "%s: nor does an error, and that is no answer", scene->path);
	/* Exactly. */
	request.reserve = 4096;
	check(!call_request(scene, &request) && has(scene, "isError"), "%s: one that fits", scene->path);
	request.reserve = (uint32_t)strlen(scene->text);
	check(!call_request(scene, &request) && has(scene, "isError"), "%s: just so", scene->path);
	request.reserve--;
	check(!call_request(scene, &request) && has(scene, "-32603"), "%s: not by one byte", scene->path);
	check(!call_tool(scene, ECHO, "after"), "%s: and it goes on", scene->path);
}

static void test_later(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, LATER, body_of("later", ""));

	check_is(libmcp_send(scene->mcp, &request, done, NULL), 0, "%s: a call that is not waited for", scene->path);
	check_is(libmcp_run(scene->mcp, 20), 0, "%s: nothing comes", scene->path);
	check(says(scene, WAKE, "", "woken"), "%s: another call overtakes it", scene->path);
	check(until(scene, &scene->done) && !scene->error && has(scene, "at last"), "%s: its answer comes", scene->path);
	check(says(scene, WAKE, "", "nobody"), "%s: once", scene->path);
}

static void test_many(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, ECHO, body_of("echo", "many"));
	struct pollfd wait = { .fd = libmcp_fd(scene->mcp), .events = POLLIN };
	int failed = 0, error;

	for (int i = 0; i < 100; i++) {
		request.reserve = 512;
		failed += !!libmcp_send(scene->mcp, &request, done, NULL);
	}
	check_is(failed, 0, "%s: a hundred calls at a time", scene->path);
	/* As a program with a loop of its own does. */
	while (scene->done < 100) {
		while ((error = libmcp_run(scene->mcp, 0)) > 0)
			;
		if (error || (scene->done < 100 && poll(&wait, 1, SOON) != 1))
			break;
	}
	check_is(scene->done, 100, "%s: all are answered, and poll tells", scene->path);
}

/* ---- Within a call ---------------------------------------------------------------- */

static void test_notify(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, NOTE, body_of("note", ""));
	const struct mcp_envelope count = { .tool = COUNT };
	struct raw_port port;
	char wanted[40];

	request.notify = notified;
	request.credit = 255;
	check(!call_request(scene, &request) && has(scene, "sent 5 all") && scene->notes == 5 && scene->in_order,
	      "%s: five notifications, in order, before the answer", scene->path);
	reset(scene);
	request.credit = 2;
	check_is(libmcp_send(scene->mcp, &request, done, NULL), 0, "%s: a call with credit for two", scene->path);
	/* The server takes one call after the other: it is through with ours when it answers this one. */
	raw_open(&port);
	check(!raw_call(scene, &port, &count, body_of("count", ""), strlen(body_of("count", ""))), "%s: another port's call",
	      scene->path);
	close(port.fd);
	check(until(scene, &scene->done) && has(scene, "sent 2 EAGAIN") && scene->notes == 2 && scene->in_order,
	      "%s: two, and EAGAIN", scene->path);
	reset(scene);
	check(!call_request(scene, &request) && scene->in_order, "%s: credit returns", scene->path);
	snprintf(wanted, sizeof(wanted), "sent %d ", scene->notes);
	check(scene->notes >= 2 && has(scene, wanted), "%s: what was sent has come", scene->path);
	request.credit = 0;
	check(!call_request(scene, &request) && has(scene, "sent 0 EAGAIN"), "%s: no credit, none", scene->path);
}

static int answers(struct libmcp_call *call)
{
	static const char where[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test/where\"}";
	struct scene *scene = call->context;
	const struct libmcp_request request = {
		.body = where, .len = sizeof(where) - 1, .handle = -1, .parent = call->cookie, .reserve = 512,
	};
	struct libmcp_reply reply;

	scene->questions++;
	if (!libmcp_text_is(call->message.method, "elicitation/create"))
		return -EINVAL;
	if (!scene->nested)
		return libmcp_result(call, "{\"action\":\"accept\"}", 19);
	if (libmcp_call(call->mcp, &request, &reply))
		return -EIO;
	scene->nested = strstr(reply.body, "\"nested\":true");
	libmcp_release(call->mcp, &reply);
	return libmcp_result(call, "{\"action\":\"accept\"}", 19);
}

static int answers_later(struct libmcp_call *call)
{
	struct scene *scene = call->context;

	scene->question = *call;
	scene->questions++;
	return LIBMCP_LATER;
}

static void test_nested(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, ASK, body_of("ask", ""));

	check(!call_request(scene, &request) && has(scene, "EPROTO"), "%s: a client without a handler refuses", scene->path);
	request.request = answers;
	check(!call_request(scene, &request) && has(scene, "\\\"result\\\":{\\\"action\\\":\\\"accept\\\"}"),
	      "%s: the server asks the client", scene->path);
	scene->nested = true;
	check(!call_request(scene, &request) && has(scene, "accept") && scene->nested,
	      "%s: which asks the server meanwhile", scene->path);
	check_is(scene->questions, 2, "%s: two questions", scene->path);
	reset(scene);
	scene->nested = false;
	request.request = answers_later;
	check(!libmcp_send(scene->mcp, &request, done, NULL) && until(scene, &scene->questions),
	      "%s: a question is kept", scene->path);
	check(!libmcp_error(&scene->question, -1, "no"), "%s: and refused later", scene->path);
	check(until(scene, &scene->done) && has(scene, "\\\"code\\\":-1"), "%s: the server is told", scene->path);
}

/* ---- Ends ------------------------------------------------------------------------- */

static void test_cancel(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, SLOW, body_of("slow", ""));
	char wanted[40];
	uint64_t cookie;

	request.timeout_ms = 0;
	request.credit = 1;
	request.notify = notified;
	check(!libmcp_send(scene->mcp, &request, done, &cookie) && until(scene, &scene->notes),
	      "%s: a call is under way", scene->path);
	check_is(libmcp_cancel(scene->mcp, cookie), 0, "%s: it is cancelled", scene->path);
	check(until(scene, &scene->done) && scene->error == -ECANCELED, "%s: and over", scene->path);
	check_is(libmcp_cancel(scene->mcp, cookie), -ENOENT, "%s: once", scene->path);
	snprintf(wanted, sizeof(wanted), " 1 %d", ECANCELED);
	check(says(scene, COUNT, "", wanted), "%s: the server was told", scene->path);
	reset(scene);
	/* A server that is too slow to see it is not told. */
	for (request.timeout_ms = 100; request.timeout_ms < 60000 && !scene->notes; request.timeout_ms *= 4)
		check_is(call_request(scene, &request), -ETIMEDOUT, "%s: a deadline", scene->path);
	snprintf(wanted, sizeof(wanted), " 2 %d", ETIMEDOUT);
	check(says(scene, COUNT, "", wanted), "%s: the server was told of it too", scene->path);
	reset(scene);
	request = request_of(scene, LATER, body_of("later", ""));
	check(!libmcp_send(scene->mcp, &request, done, &cookie) && says(scene, COUNT, "", " 2 "), "%s: one more", scene->path);
	check(!libmcp_cancel(scene->mcp, cookie) && says(scene, WAKE, "", "nobody") && until(scene, &scene->done) &&
	      scene->error == -ECANCELED, "%s: a call that was kept is cancelled", scene->path);
}

static void test_revoke(struct scene *scene)
{
	struct mcp_pin pin = { .tool = ECHO, .flags = MCP_PIN_DIGEST };
	struct mcp_grant grant = { .rights = MCP_RIGHT_READ | MCP_RIGHT_WRITE, .npins = 1, .label = "narrow" };
	struct libmcp_handle whole = scene->handle, narrow, other;
	struct libmcp_request request;
	struct timespec now;

	libmcp_digest(echo_definition, strlen(echo_definition), pin.digest);
	grant.pins = (uintptr_t)&pin;
	check_is(libmcp_grant(scene->mcp, &whole, &grant, &narrow), 0, "%s: a grant of what was read", scene->path);
	scene->handle = narrow;
	check(says(scene, ECHO, "x", "result"), "%s: it leads to its tool", scene->path);
	check_is(call_tool(scene, COUNT, ""), -EACCES, "%s: and to no other", scene->path);
	check_is(libmcp_grant(scene->mcp, &narrow, &grant, &other), -EACCES, "%s: it grants nothing", scene->path);
	check_is(libmcp_revoke(scene->mcp, &whole, narrow.sender), 0, "%s: it is revoked", scene->path);
	check_is(call_tool(scene, ECHO, ""), -EKEYREVOKED, "%s: and over", scene->path);
	close(narrow.fd);
	pin.digest[0] ^= 1;
	check_is(libmcp_grant(scene->mcp, &whole, &grant, &narrow), -ESTALE, "%s: another definition", scene->path);
	check_is(libmcp_open(scene->mcp, scene->peer.name, MCP_RIGHT_READ, &pin, 1, &narrow), -ESTALE,
		 "%s: also by name", scene->path);

	grant = (struct mcp_grant){ .rights = MCP_RIGHT_WRITE };
	check_is(libmcp_grant(scene->mcp, &whole, &grant, &narrow), 0, "%s: a second grant", scene->path);
	scene->handle = narrow;
	request = request_of(scene, SLOW, body_of("slow", ""));
	request.credit = 1;
	request.notify = notified;
	check(!libmcp_send(scene->mcp, &request, done, NULL) && until(scene, &scene->notes), "%s: a call on it", scene->path);
	check_is(libmcp_revoke(scene->mcp, &whole, narrow.sender), 0, "%s: it is revoked during the call", scene->path);
	check(until(scene, &scene->done) && scene->error == -EKEYREVOKED, "%s: which is over", scene->path);
	close(narrow.fd);

	clock_gettime(CLOCK_MONOTONIC, &now);
	grant.expiry = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + 300000000;
	check_is(libmcp_grant(scene->mcp, &whole, &grant, &narrow), 0, "%s: a grant for 0.3 s", scene->path);
	usleep(350000);
	scene->handle = narrow;
	check_is(call_tool(scene, COUNT, ""), -EKEYEXPIRED, "%s: is over after it", scene->path);
	close(narrow.fd);
	scene->handle = whole;
	check(says(scene, ECHO, "x", "result"), "%s: the first goes on", scene->path);
}

static int open_files(pid_t pid)
{
	char name[32];
	int count = 0;
	DIR *files;

	snprintf(name, sizeof(name), "/proc/%d/fd", (int)pid);
	files = opendir(name);
	while (files && readdir(files))
		count++;
	if (files)
		closedir(files);
	return count;
}

static void test_fds(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, FDS, body_of("fds", ""));
	struct libmcp_reply reply;
	int file = memfd_create("there", MFD_CLOEXEC), before, error;
	char text[8] = { 0 };

	if (file < 0 || write(file, "inside", 6) != 6)
		bail_out("memfd", errno);
	request.fds = &file;
	request.nfds = 1;
	error = libmcp_call(scene->mcp, &request, &reply);
	if (check(!error && reply.nfds == 1 && reply.fds[0] >= 0 && strstr(reply.body, "\"len\":6"),
		  "%s: a descriptor goes and one comes back", scene->path)) {
		check(reply.fds[0] != file && pread(reply.fds[0], text, sizeof(text), 0) == 6 && !strcmp(text, "inside"),
		      "%s: with what was in it", scene->path);
		check(fcntl(reply.fds[0], F_GETFD) == FD_CLOEXEC, "%s: close-on-exec", scene->path);
		close(reply.fds[0]);
		libmcp_release(scene->mcp, &reply);
	}
	check(says(scene, FDS, "", "no descriptor"), "%s: none, none", scene->path);
	close(file);
	request.fds = &file;
	check_is(call_request(scene, &request), -EBADF, "%s: one that is closed", scene->path);
	/* What nobody asked for does not stay open. */
	file = memfd_create("there", MFD_CLOEXEC);
	request = request_of(scene, 0, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\"}");
	request.fds = &file;
	request.nfds = 1;
	before = open_files(scene->peer.pid);
	check(!call_request(scene, &request) && has(scene, "-32020"), "%s: with a call that is refused", scene->path);
	request = request_of(scene, ECHO, body_of("fds", ""));
	request.fds = &file;
	request.nfds = 1;
	check(!call_request(scene, &request) && has(scene, "-32020"), "%s: with one for another tool", scene->path);
	check(before > 0 && open_files(scene->peer.pid) == before, "%s: and the server has not one file more",
	      scene->path);
	close(file);
}

static void test_death(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, SLOW, body_of("slow", ""));
	struct libmcp_handle handle;

	check_is(libmcp_send(scene->mcp, &request, done, NULL), 0, "%s: a call before the end", scene->path);
	check_is(call_tool(scene, DIE, ""), -EPIPE, "%s: the server dies in a call", scene->path);
	check(until(scene, &scene->done) && scene->error == -EPIPE, "%s: the other ends too", scene->path);
	check_is(call_tool(scene, ECHO, ""), -EPIPE, "%s: nobody is there", scene->path);
	check_is(libmcp_open(scene->mcp, scene->peer.name, MCP_RIGHT_READ, NULL, 0, &handle), -ENOENT,
		 "%s: nor under its name", scene->path);
}

/* ---- Authority: what a sender says of itself is worth nothing ------------------------ */

struct lie {
	struct mcp_envelope envelope;
	const char *body, *wanted, *what;
};

#define CALLS(name)	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"" name "\"}}"
#define ASKS(method)	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\"}"
#define OF(revision)	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"test/where\",\"params\":{\"_meta\":" \
			"{\"io.modelcontextprotocol/protocolVersion\":\"" revision "\"}}}"
#define REFUSED		"\"id\":7,\"error\":{\"code\":-32020"

static void test_mismatch(struct scene *scene)
{
	static const struct lie lies[] = {
		{ { .tool = ECHO }, CALLS("wake"), "names tool 1 (echo), body names wake\"", "another tool" },
		{ { .tool = ECHO }, CALLS("wake"), REFUSED, "with the request's id" },
		{ { .tool = ECHO }, CALLS("echo\\u0000"), "body names another", "a name that cannot be shown" },
		{ { .tool = ECHO }, CALLS("ech"), REFUSED, "the beginning of its name" },
		{ { .tool = ECHO }, CALLS("Echo"), REFUSED, "its name in other letters" },
		{ { .tool = ECHO }, ASKS("tools/call"), REFUSED, "no name" },
		{ { .tool = ECHO }, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":1}}",
		  REFUSED, "a name that is no string" },
		{ { .tool = ECHO }, ASKS("tools/list"), REFUSED, "a tool for what calls none" },
		{ { 0 }, CALLS("wake"), REFUSED, "no tool for a call" },
		{ { 0 }, CALLS("no such tool"), REFUSED, "no tool for a call of none" },
		{ { .tool = ECHO, .method = MCP_METHOD_PING }, CALLS("echo"), REFUSED, "another method" },
		{ { .method = MCP_METHOD_TOOLS_CALL }, ASKS("test/where"), REFUSED, "a method for an unknown one" },
		{ { .method = MCP_METHOD_NOTIFICATION }, ASKS("ping"), REFUSED, "a notification that is none" },
		{ { .method = 999 }, ASKS("ping"), REFUSED, "a number of no method" },
		{ { .proto = MCP_PROTO_2025_11_25 }, OF("2026-07-28"), REFUSED, "another revision" },
		{ { .proto = MCP_PROTO_2025_11_25 }, OF("2099-01-01"), REFUSED, "an unknown revision in the body" },
		{ { .tool = ECHO }, "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"wake\"}}",
		  "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32020", "without an id where there is none" },
		/* The control: what agrees is let through. */
		{ { .tool = ECHO }, CALLS("\\u0065cho"), "isError", "(agrees) a name that is written in another way" },
		{ { .tool = ECHO, .method = MCP_METHOD_TOOLS_CALL }, CALLS("echo"), "isError", "(agrees) with its method" },
		{ { .method = MCP_METHOD_NOTIFICATION }, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}", "",
		  "(agrees) a notification" },
		{ { .proto = MCP_PROTO_2026_07_28 }, OF("2026-07-28"), "\"pid\"", "(agrees) a revision" },
		{ { .proto = MCP_PROTO_2025_06_18 }, ASKS("test/where"), "\"pid\"", "(agrees) a body that names none" },
		{ { 0 }, OF("2099-01-01"), "\"pid\"", "(agrees) nothing is claimed" },
	};
	struct raw_port port;
	int called = 0;
	char wanted[20];

	raw_open(&port);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		const struct lie *lie = &lies[i];
		int error = raw_call(scene, &port, &lie->envelope, lie->body, strlen(lie->body));

		check(!error && has(scene, lie->wanted), "%s: envelope and body: %s", scene->path, lie->what);
		called += !!strstr(lie->wanted, "isError");
	}
	snprintf(wanted, sizeof(wanted), "\"%d 0 0\"", called);
	check(says(scene, COUNT, "", wanted), "%s: no tool was called by a lie", scene->path);
	close(port.fd);
}

/* Nobody checks the tool of a nested request: it must lead to none. */
static int calls_nested(struct libmcp_call *call)
{
	struct scene *scene = call->context;
	const struct libmcp_request request = {
		.body = CALLS("wake"), .len = strlen(CALLS("wake")), .handle = -1, .parent = call->cookie,
		.tool = (unsigned int)scene->questions, .reserve = 512,
	};
	struct libmcp_reply reply;

	if (libmcp_call(call->mcp, &request, &reply))
		return -EIO;
	scene->nested = strstr(reply.body, "-32020");
	libmcp_release(call->mcp, &reply);
	return libmcp_result(call, "{}", 2);
}

static void test_nested_tool(struct scene *scene)
{
	struct libmcp_request request = request_of(scene, ASK, body_of("ask", ""));

	request.request = calls_nested;
	for (int tool = 0; tool <= WAKE; tool += WAKE) {
		scene->nested = false;
		scene->questions = tool;
		check(!call_request(scene, &request) && scene->nested, "%s: tool %d in a nested request", scene->path, tool);
	}
	check(says(scene, COUNT, "", "\"2 0 0\""), "%s: was not called", scene->path);
}

static void test_hostile(struct scene *scene)
{
	static const char *const parse[] = {
		"", "{", "nul", "\"", "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"} x", "\xef\xbb\xbf{}", "{\"a\":\"\x80\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\\ud800\"}",
	};
	static const char *const invalid[] = {
		"[]", "7", "{}", "[" ASKS("ping") "]", "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"name\":\"wake\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"n\\u0061me\":\"wake\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
	};
	const struct mcp_envelope nothing = { 0 }, tool = { .tool = ECHO };
	static char deep[100000];
	struct raw_port port;

	raw_open(&port);
	for (size_t i = 0; i < ARRAY_SIZE(parse); i++)
		check(!raw_call(scene, &port, i % 2 ? &tool : &nothing, parse[i], strlen(parse[i])) &&
		      has(scene, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700"), "%s: not JSON, %zu", scene->path, i);
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++)
		check(!raw_call(scene, &port, &tool, invalid[i], strlen(invalid[i])) &&
		      has(scene, "\"error\":{\"code\":-32600"), "%s: no message, %zu", scene->path, i);
	memset(deep, '[', sizeof(deep));
	check(!raw_call(scene, &port, &nothing, deep, sizeof(deep)) && has(scene, "-32700"),
	      "%s: a hundred thousand levels", scene->path);
	check(says(scene, COUNT, "", "\"0 0 0\""), "%s: no tool was called", scene->path);
	close(port.fd);
}

/* A server that answers something else is a broken one. */
static void test_broken_peer(struct scene *scene)
{
	static const char *const bodies[] = {
		"", "x", "{}", "[]", "{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":8,\\\"result\\\":{}}",
		"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":\\\"7\\\",\\\"result\\\":{}}",
		"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"result\\\":{}}", "{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":7,\\\"method\\\":\\\"x\\\"}",
		"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":7,\\\"result\\\":{},\\\"error\\\":{}}",
		"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":7,\\\"id\\\":7,\\\"result\\\":{}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		check_is(call_tool(scene, RAW, bodies[i]), -EPROTO, "%s: no answer, %zu", scene->path, i);
	check(says(scene, RAW, "{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":7.0,\\\"result\\\":{}}", "7.0"),
	      "%s: an id that is written in another way", scene->path);
	check(says(scene, RAW, "{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":null,\\\"error\\\":{}}", "null"),
	      "%s: an error of one who could not read it", scene->path);
}

static void test_update(struct scene *scene)
{
	check(says(scene, CHANGE, "", "changed"), "%s: the server changes a tool", scene->path);
	check_is(call_tool(scene, ECHO, ""), -ESTALE, "%s: which has to be agreed to anew", scene->path);
	check(says(scene, WAKE, "", "nobody"), "%s: the others are what they were", scene->path);
	close(scene->handle.fd);
	check(!libmcp_open(scene->mcp, scene->peer.name, ALL_RIGHTS, NULL, 0, &scene->handle) &&
	      says(scene, ECHO, "x", "\"x\""), "%s: a new handle leads to it", scene->path);
}

static void on_signal(int signal)
{
	(void)signal;
}

static void test_signal(struct scene *scene)
{
	const struct itimerval soon = { .it_value.tv_usec = 50000 };
	struct libmcp_request request = request_of(scene, SLOW, body_of("slow", ""));
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	check_is(libmcp_run(scene->mcp, -1), -EINTR, "%s: a signal ends libmcp_run", scene->path);
	request.timeout_ms = 200;
	setitimer(ITIMER_REAL, &soon, NULL);
	check_is(call_request(scene, &request), -ETIMEDOUT, "%s: and no call", scene->path);
	check(says(scene, ECHO, "x", "\"x\""), "%s: it goes on", scene->path);
	tap_alarm();
}

typedef void test(struct scene *scene);

static test *const tests[] = {
	test_calls, test_room, test_later, test_many, test_notify, test_nested, test_cancel, test_revoke, test_fds,
	test_death, test_mismatch, test_nested_tool, test_hostile, test_broken_peer, test_update, test_signal,
};

/* ---- Without a scene -------------------------------------------------------------------- */

static int never(struct libmcp_call *call)
{
	(void)call;
	return 0;
}

static void set_disabled(const char *value)
{
	int fd = open("/proc/sys/kernel/io_uring_disabled", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, 1) != 1)
		bail_out("io_uring_disabled", errno);
	close(fd);
}

static void test_connect(void)
{
	struct libmcp_options options = { .path = LIBMCP_AUTO, .device = "/dev/none" };
	struct libmcp *mcp;

	check_is(libmcp_connect(&mcp, &options), -ENOENT, "no device");
	options.device = "/dev/null";
	check_is(libmcp_connect(&mcp, &options), -ENOTTY, "another device");
	options.device = NULL;
	options.path = LIBMCP_RW + 1;
	check_is(libmcp_connect(&mcp, &options), -EINVAL, "an unknown path");
	options.path = LIBMCP_AUTO;
	options.arena = 100;
	check_is(libmcp_connect(&mcp, &options), -EINVAL, "an arena that is none");
	options.arena = 0;
	check(!libmcp_connect(&mcp, NULL) && libmcp_path(mcp) == LIBMCP_URING, "io_uring where it may be used");
	libmcp_close(mcp);
	set_disabled("2");
	check(!libmcp_connect(&mcp, &options) && libmcp_path(mcp) == LIBMCP_IOCTL, "ioctl where it may not");
	libmcp_close(mcp);
	options.path = LIBMCP_URING;
	check_is(libmcp_connect(&mcp, &options), -EOPNOTSUPP, "an error where only it will do");
	set_disabled("0");
	libmcp_close(NULL);
}

static void test_arguments(void)
{
	struct libmcp_tool tools[] = {
		{ .id = 1, .call = never, .definition = "{\"name\":\"a\"}" },
		{ .id = 2, .call = never, .definition = "{\"name\":\"b\"}" },
	};
	struct libmcp_service service = { .name = "test.libmcp.arguments", .tools = tools, .ntools = 2 };
	struct libmcp_request request = { .body = "{", .len = 1, .handle = 0 };
	struct libmcp_handle handle;
	struct libmcp_reply reply;
	struct libmcp *mcp;

	if (libmcp_connect(&mcp, NULL))
		bail_out("a connection", 0);
	tools[1].definition = "{\"name\":\"b\"";
	check_is(libmcp_serve(mcp, &service), -EBADMSG, "a definition that is not JSON");
	tools[1].definition = "{\"title\":\"b\"}";
	check_is(libmcp_serve(mcp, &service), -EINVAL, "one without a name");
	tools[1].definition = "{\"name\":\"\"}";
	check_is(libmcp_serve(mcp, &service), -EINVAL, "one with an empty name");
	tools[1].definition = "{\"name\":\"\\u0061\"}";
	check_is(libmcp_serve(mcp, &service), -EEXIST, "a name twice");
	tools[1].definition = "{\"name\":\"b\"}";
	tools[1].id = 1;
	check_is(libmcp_serve(mcp, &service), -EINVAL, "an id twice");
	tools[1].id = 2;
	tools[1].call = NULL;
	check_is(libmcp_serve(mcp, &service), -EINVAL, "a tool without a handler");
	tools[1].call = never;
	service.name = "";
	check_is(libmcp_serve(mcp, &service), -EINVAL, "no name");
	check_is(libmcp_update(mcp, tools, 2), -ENOTCONN, "an update of nothing");
	service.name = "test.libmcp.arguments";
	check_is(libmcp_serve(mcp, &service), 0, "a service");
	check_is(libmcp_serve(mcp, &service), -EBUSY, "once");
	tools[0].id = 0;
	check_is(libmcp_update(mcp, tools, 2), -EINVAL, "an update with a bad id");

	check_is(libmcp_open(mcp, "test.libmcp.nobody", MCP_RIGHT_READ, NULL, 0, &handle), -ENOENT, "nobody");
	check_is(libmcp_call(mcp, &request, &reply), -EBADMSG, "a request that is not JSON");
	request.body = "{}";
	request.len = 2;
	check_is(libmcp_call(mcp, &request, &reply), -EINVAL, "one that is no message");
	request.body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
	request.len = strlen(request.body);
	check_is(libmcp_call(mcp, &request, &reply), -EINVAL, "an answer");
	request.body = ASKS("ping");
	request.len = strlen(request.body);
	check_is(libmcp_call(mcp, &request, &reply), -EBADF, "a descriptor that is no handle");
	check_is(libmcp_send(mcp, &request, done, NULL), -EBADF, "nor for a call that is not waited for");
	check_is(libmcp_send(mcp, &request, NULL, NULL), -EINVAL, "that has nobody to tell");
	request.handle = -1;
	check_is(libmcp_call(mcp, &request, &reply), -EINVAL, "neither handle nor parent");
	request.parent = 12345;
	check_is(libmcp_call(mcp, &request, &reply), -ENOENT, "a parent that is none");
	request.handle = 0;
	check_is(libmcp_call(mcp, &request, &reply), -EINVAL, "both");
	request.parent = 0;
	request.tool = MCP_TOOL_ID_MAX + 1;
	check_is(libmcp_call(mcp, &request, &reply), -EINVAL, "a tool beyond the last");
	request.tool = 0;
	request.nfds = MCP_MAX_FDS + 1;
	check_is(libmcp_call(mcp, &request, &reply), -EINVAL, "too many descriptors");
	request.nfds = 0;
	request.reserve = MCP_MAX_BODY + 1;
	check_is(libmcp_call(mcp, &request, &reply), -EMSGSIZE, "too much kept");
	check_is(libmcp_notify(mcp, 12345, "{}", 2), -ENOENT, "a notification of nothing");
	check_is(libmcp_cancel(mcp, 12345), -ENOENT, "nothing to cancel");
	check_is(libmcp_run(mcp, 0), 0, "and nothing to do");
	libmcp_close(mcp);
}

int main(int argc, char **argv)
{
	unsigned int only_path = argc > 1 ? (unsigned int)atoi(argv[1]) : 0;
	size_t only_test = argc > 2 ? (size_t)atoi(argv[2]) : ARRAY_SIZE(tests);
	struct scene scene;

	if (access("/dev/mcp", F_OK))
		skip_all("/dev/mcp does not exist");
	tap_begin();
	test_connect();
	test_arguments();
	for (enum libmcp_path path = LIBMCP_IOCTL; path <= LIBMCP_RW; path++) {
		for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
			if ((only_path && path != only_path) || (argc > 2 && i != only_test))
				continue;
			/* The server's path is the client's, or the next. */
			scene_need(&scene, i % 2 ? path : path % LIBMCP_RW + 1, path);
			tests[i](&scene);
			scene_end(&scene);
			/* And both of them with itself, where most of it meets. */
			if (i % 2)
				continue;
			scene_need(&scene, path, path);
			tests[i](&scene);
			scene_end(&scene);
		}
	}
	return tap_end();
}
