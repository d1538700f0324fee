// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: a server for the tests, made with the library as any other.
 * Context: a process of its own. Locking: none. Lifetime: until it is killed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"
#include "tap.h"

#define TEXT_MAX	8192

struct state {
	unsigned int calls, cancelled;
	int error;
	bool waiting;
	struct libmcp_call later;
};

const char echo_definition[] =
	"{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"},\"annotations\":{\"readOnlyHint\":true}}";
static const char changed_definition[] = "{\"name\":\"echo\",\"inputSchema\":{},\"annotations\":{\"readOnlyHint\":true}}";

static int text_of(struct libmcp_call *call, char text[TEXT_MAX])
{
	struct libmcp_text value;

	text[0] = 0;
	if (libmcp_member(call->message.arguments, "text", &value))
		return 0;
	return libmcp_string(value, text, TEXT_MAX);
}

static struct state *counted(struct libmcp_call *call)
{
	struct state *state = call->context;

	state->calls++;
	return state;
}

static int answer(struct libmcp_call *call, const char *text)
{
	return libmcp_result_text(call, text, strlen(text), false);
}

static int echo(struct libmcp_call *call)
{
	static char text[TEXT_MAX];

	counted(call);
	text_of(call, text);
	return answer(call, text);
}

static int count(struct libmcp_call *call)
{
	const struct state *state = call->context;
	char text[80];

	snprintf(text, sizeof(text), "%u %u %d", state->calls, state->cancelled, state->error);
	return answer(call, text);
}

static int note(struct libmcp_call *call)
{
	char text[80];
	int sent = 0, error = 0;

	counted(call);
	for (int i = 0; i < 5 && !error; i++) {
		int len = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/%d\"}", i);

		error = libmcp_notify(call->mcp, call->cookie, text, (size_t)len);
		sent += !error;
	}
	snprintf(text, sizeof(text), "sent %d %s", sent, error ? libmcp_error_name(error) : "all");
	return answer(call, text);
}

static int other(struct libmcp_call *call);

static int ask(struct libmcp_call *call)
{
	static const char question[] = "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"elicitation/create\",\"params\":{}}";
	const struct libmcp_request request = {
		.body = question, .len = sizeof(question) - 1, .handle = -1, .parent = call->cookie, .reserve = 1024,
		.request = other,
	};
	struct libmcp_reply reply;
	char text[400];
	int error;

	counted(call);
	error = libmcp_call(call->mcp, &request, &reply);
	if (error)
		return answer(call, libmcp_error_name(error));
	snprintf(text, sizeof(text), "%.*s", (int)reply.len, reply.body);
	libmcp_release(call->mcp, &reply);
	return answer(call, text);
}

static int slow(struct libmcp_call *call)
{
	static const char started[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/started\"}";

	counted(call);
	libmcp_notify(call->mcp, call->cookie, started, sizeof(started) - 1);
	return LIBMCP_LATER;
}

static int later(struct libmcp_call *call)
{
	struct state *state = counted(call);

	state->later = *call;
	state->waiting = true;
	return LIBMCP_LATER;
}

static int wake(struct libmcp_call *call)
{
	struct state *state = counted(call);

	if (!state->waiting)
		return answer(call, "nobody");
	state->waiting = false;
	answer(&state->later, "at last");
	return answer(call, "woken");
}

static int die(struct libmcp_call *call)
{
	(void)call;
	raise(SIGKILL);
	return 0;
}

static int fds(struct libmcp_call *call)
{
	char text[100], body[200];
	ssize_t len = call->nfds ? pread(call->fds[0], text, sizeof(text), 0) : -1;
	int back = memfd_create("back", MFD_CLOEXEC), error;

	counted(call);
	for (unsigned int i = 0; i < call->nfds; i++)
		close(call->fds[i]);
	if (len < 0 || back < 0 || write(back, text, (size_t)len) != len) {
		close(back);
		return answer(call, "no descriptor");
	}
	snprintf(body, sizeof(body), "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"len\":%zd}}",
		 (int)call->message.id.len, call->message.id.text, len);
	error = libmcp_answer(call, body, strlen(body), &back, 1);
	close(back);
	return error;
}

static int raw(struct libmcp_call *call)
{
	char text[TEXT_MAX];
	int len = text_of(call, text);

	counted(call);
	return libmcp_answer(call, text, (size_t)len, NULL, 0);
}

static int silent(struct libmcp_call *call)
{
	counted(call);
	return -EBADF;
}

static int change(struct libmcp_call *call);

static const struct libmcp_tool tools[] = {
	{ .id = ECHO, .call = echo, .definition = echo_definition },
	{ .id = COUNT, .call = count, .definition = "{\"name\":\"count\"}" },
	{ .id = NOTE, .call = note, .definition = "{\"name\":\"note\"}" },
	{ .id = ASK, .call = ask, .definition = "{\"name\":\"ask\"}" },
	{ .id = SLOW, .call = slow, .definition = "{\"name\":\"slow\"}" },
	{ .id = LATER, .call = later, .definition = "{\"name\":\"later\"}" },
	{ .id = WAKE, .call = wake, .definition = "{\"name\":\"wake\"}" },
	{ .id = DIE, .call = die, .definition = "{\"name\":\"die\"}" },
	{ .id = FDS, .call = fds, .definition = "{\"name\":\"fds\"}" },
	{ .id = RAW, .call = raw, .definition = "{\"name\":\"raw\"}" },
	{ .id = CHANGE, .call = change, .definition = "{\"name\":\"change\"}" },
	{ .id = SILENT, .call = silent, .definition = "{\"name\":\"silent\"}" },
};

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define TOOLS		ARRAY_SIZE(tools)

static void own_tools(struct libmcp_tool table[TOOLS], struct state *state)
{
	memcpy(table, tools, sizeof(tools));
	for (size_t i = 0; i < TOOLS; i++)
		table[i].context = state;
}

static int change(struct libmcp_call *call)
{
	struct libmcp_tool table[TOOLS];
	int error;

	own_tools(table, counted(call));
	table[0].definition = changed_definition;
	error = libmcp_update(call->mcp, table, TOOLS);
	return error ? error : answer(call, "changed");
}

/* What is no tool: "test/where" tells where it came from. */
static int other(struct libmcp_call *call)
{
	struct mcp_peer peer;
	char text[100];

	if (!libmcp_text_is(call->message.method, "test/where"))
		return call->message.kind == LIBMCP_NOTIFICATION ? libmcp_taken(call) :
		       libmcp_error(call, -32601, "method not found");
	if (libmcp_peer(call, &peer))
		return -EIO;
	snprintf(text, sizeof(text), "{\"pid\":%u,\"nested\":%s}", peer.pid, call->parent ? "true" : "false");
	return libmcp_result(call, text, strlen(text));
}

static void cancelled(struct libmcp *mcp, uint64_t cookie, int error, void *context)
{
	struct state *state = context;

	(void)mcp;
	state->cancelled++;
	state->error = -error;
	if (state->later.cookie == cookie)
		state->waiting = false;
}

static void serve(const struct peer *peer, enum libmcp_path path, int ready)
{
	const struct libmcp_options options = { .path = path, .arena_flags = MCP_ARENA_TAKES_FDS };
	struct state state = { 0 };
	struct libmcp_tool table[TOOLS];
	const struct libmcp_service service = {
		.name = peer->name, .tools = table, .ntools = TOOLS, .request = other,
		.cancelled = cancelled, .context = &state,
	};
	struct libmcp *mcp;
	int error = libmcp_connect(&mcp, &options);

	own_tools(table, &state);
	if (!error)
		error = libmcp_serve(mcp, &service);
	if (error)
		bail_out("the peer", error);
	(void)!write(ready, "", 1);
	while ((error = libmcp_run(mcp, -1)) >= 0)
		;
	bail_out("the peer's messages", error);
}

void peer_start(struct peer *peer, enum libmcp_path path)
{
	static int number;
	int ends[2];
	char byte;

	/* A name of its own: that of one that was killed is free only when the kernel has cleaned up. */
	memset(peer->name, 0, sizeof(peer->name));
	snprintf(peer->name, sizeof(peer->name), "test.libmcp.%d.%d", (int)getpid(), ++number);
	if (pipe(ends))
		bail_out("a pipe", errno);
	peer->pid = fork();
	if (peer->pid < 0)
		bail_out("fork", errno);
	if (!peer->pid) {
		close(ends[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(peer, path, ends[1]);
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		bail_out("the peer does not serve", 0);
	close(ends[0]);
}

void peer_stop(struct peer *peer)
{
	kill(peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
}
