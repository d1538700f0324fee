// SPDX-License-Identifier: GPL-2.0 OR MIT
/* An MCP server with two tools: one reads the load of the machine, one keeps a note. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libmcp.h"

#define TEXT_MAX	256

struct note {
	char text[TEXT_MAX];
};

/* READ_ONLY by its annotation: a handle with MCP_RIGHT_READ may call it. */
static int get_load(struct libmcp_call *call)
{
	char text[TEXT_MAX];
	int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (fd >= 0)
		close(fd);
	if (len <= 0)
		return libmcp_result_text(call, "no load", 7, true);
	return libmcp_result_text(call, text, (size_t)len - 1, false);
}

static int set_note(struct libmcp_call *call)
{
	struct note *note = call->context;
	struct note previous = *note;
	struct libmcp_text text;

	if (libmcp_member(call->message.arguments, "text", &text) ||
	    libmcp_string(text, note->text, sizeof(note->text)) < 0) {
		*note = previous;
		return libmcp_error(call, -32602, "text: a string below 256 bytes");
	}
	return libmcp_result_text(call, previous.text, strlen(previous.text), false);
}

/* What is neither tools/call nor tools/list. */
static int other(struct libmcp_call *call)
{
	static const char discovered[] =
		"{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}},"
		"\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"}";

	if (libmcp_text_is(call->message.method, "server/discover"))
		return libmcp_result(call, discovered, sizeof(discovered) - 1);
	return libmcp_error(call, -32601, "method not found");
}

int main(void)
{
	struct note note = { "nothing" };
	const struct libmcp_tool tools[] = {
		{ .id = 1, .call = get_load, .definition =
		  "{\"name\":\"get_load\",\"description\":\"Load averages of the machine\","
		  "\"inputSchema\":{\"type\":\"object\"},\"annotations\":{\"readOnlyHint\":true}}" },
		{ .id = 2, .call = set_note, .context = &note, .definition =
		  "{\"name\":\"set_note\",\"description\":\"Keep a note; the one before is returned\","
		  "\"inputSchema\":{\"type\":\"object\",\"required\":[\"text\"],"
		  "\"properties\":{\"text\":{\"type\":\"string\",\"maxLength\":255}}}}" },
	};
	const struct libmcp_service service = {
		.name = "example.desk", .mode = 0760, .tools = tools, .ntools = 2, .request = other,
	};
	struct libmcp *mcp;
	int error = libmcp_connect(&mcp, NULL);

	if (!error)
		error = libmcp_serve(mcp, &service);
	if (error) {
		fprintf(stderr, "example.desk: %s\n", libmcp_error_name(error));
		return 1;
	}
	puts("example.desk is served");
	fflush(stdout);
	while ((error = libmcp_run(mcp, -1)) >= 0)
		;
	fprintf(stderr, "example.desk: %s\n", libmcp_error_name(error));
	libmcp_close(mcp);
	return 1;
}
