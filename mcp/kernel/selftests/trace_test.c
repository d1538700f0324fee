// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the tracepoints: each exchange is seen when it is sent, delivered and
 * complete, over each path, with its endpoint, its tool and how long it took;
 * and each message that was not sent is seen, with the reason.
 *
 * Usage: trace_test            on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mcp_side.h"

#define TRACING "/sys/kernel/tracing/"

static char trace[1 << 16];

static bool tell(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

/* All that was traced since the last call. */
static void collect(void)
{
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got;

	if (fd < 0)
		bail_out("the trace");
	while ((got = read(fd, trace + length, sizeof(trace) - 1 - length)) > 0)
		length += (size_t)got;
	trace[length] = 0;
	close(fd);
	tell(TRACING "trace", "");
}

/* The line that has all of @first, @second and @third, or NULL. */
static const char *line_with(const char *first, const char *second, const char *third)
{
	static char line[1024];

	for (const char *at = trace; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
		if (strstr(line, first) && strstr(line, second) && strstr(line, third))
			return line;
	}
	return NULL;
}

static void test_exchange(enum path path)
{
	char cookie[40], endpoint[80], text[80];
	struct message request, response;
	struct mcp_frame frame;
	unsigned long long took;
	const char *line, *at;
	struct pair pair;

	pair_need(&pair, path, path == BY_URING_CALL ? BY_URING : path);
	collect();
	frame = frame_request(pair.handle, TOOL_READ, "seven b", 7);
	side_send(&pair.client, &frame, NULL);
	check(side_next(&pair.server, &request, SOON), "%s: a request", path_names[path]);
	sleep_ms(20);
	frame = frame_response(request.envelope.cookie, "nine byte", 9);
	side_send(&pair.server, &frame, NULL);
	check(side_next(&pair.client, &response, SOON), "%s: its response", path_names[path]);
	collect();

	snprintf(cookie, sizeof(cookie), "cookie=%llu ", (unsigned long long)request.envelope.cookie);
	snprintf(endpoint, sizeof(endpoint), "endpoint=%s ", pair.name);
	snprintf(text, sizeof(text), "tool=%u length=7 status=0", TOOL_READ);
	check(line_with("mcp_send: REQUEST ", cookie, endpoint) && line_with("REQUEST ", cookie, text),
	      "%s: the request is sent, to its endpoint and tool", path_names[path]);
	snprintf(text, sizeof(text), "slot=%u", request.slot);
	check(line_with("mcp_deliver: REQUEST ", cookie, text), "%s: it is delivered, to its slot",
	      path_names[path]);
	check(line_with("mcp_send: RESPONSE ", cookie, "length=9 "), "%s: the response is sent",
	      path_names[path]);
	check(line_with("mcp_deliver: RESPONSE ", cookie, "slot="), "%s: it is delivered",
	      path_names[path]);
	line = line_with("mcp_complete: ", cookie, "status=0 answer=9 ");
	at = line ? strstr(line, "latency_ns=") : NULL;
	check(at && sscanf(at, "latency_ns=%llu", &took) == 1 && took >= 20000000 &&
	      took < 60000000000ull, "%s: it is complete after the 20 ms and more that it took",
	      path_names[path]);
	pair_close(&pair);
}

/* What ends without an answer, and what was never sent. */
static void test_failures(void)
{
	struct mcp_frame frame;
	struct message request;
	char cookie[40];
	__u64 sent = 0;
	struct pair pair;

	pair_need(&pair, BY_RW, BY_RW);
	collect();
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	side_send(&pair.client, &frame, &sent);
	check(side_next(&pair.server, &request, SOON), "a request that will not be answered");
	frame = (struct mcp_frame){
		.envelope = { .magic = MCP_MAGIC, .version = MCP_ENVELOPE_VERSION,
			      .kind = MCP_CANCEL, .cookie = sent },
		.handle = -1,
	};
	check_errno(side_send(&pair.client, &frame, NULL), 0, "is cancelled");
	collect();
	snprintf(cookie, sizeof(cookie), "cookie=%llu ", (unsigned long long)sent);
	check(line_with("mcp_send: CANCEL ", cookie, "status="), "the server is told");
	check(line_with("mcp_complete: ", cookie, "status=125 answer=0"), "it is complete: ECANCELED");

	frame = frame_request(pair.handle, 999, "x", 1);
	check(side_send(&pair.client, &frame, NULL) < 0, "a tool that nobody has");
	collect();
	check(line_with("mcp_drop: ", "error=-", ""), "what is not sent is dropped");
	check(!line_with("mcp_send: ", "", ""), "and not sent");
	pair_close(&pair);
}

int main(void)
{
	test_begin();
	if (access(TRACING "trace", F_OK) && mount("tracefs", TRACING, "tracefs", 0, NULL))
		skip_all("this kernel has no tracefs");
	if (!tell(TRACING "events/mcp/enable", "1"))
		skip_all("mcp.ko was built without tracepoints");
	for (enum path path = 0; path < PATHS; path++)
		test_exchange(path);
	test_failures();
	check(tell(TRACING "events/mcp/enable", "0"), "tracing ends");
	return test_end();
}
