// SPDX-License-Identifier: GPL-2.0 OR MIT
/* A client of example.desk: lists its tools, calls both, and is refused a third thing. */
#include <stdio.h>
#include <string.h>

#include "libmcp.h"

static const char list[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
static const char load[] =
	"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"get_load\"}}";
static const char note[] =
	"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\","
	"\"params\":{\"name\":\"set_note\",\"arguments\":{\"text\":\"buy \\u2615\"}}}";

static int call(struct libmcp *mcp, int handle, unsigned int tool, const char *body)
{
	const struct libmcp_request request = {
		.body = body, .len = strlen(body), .handle = handle, .tool = tool, .timeout_ms = 5000,
	};
	struct libmcp_reply reply;
	int error = libmcp_call(mcp, &request, &reply);

	if (error) {
		printf("transport: %s\n", libmcp_error_name(error));
		return error;
	}
	printf("%.*s\n", (int)reply.len, reply.body);
	return libmcp_release(mcp, &reply);
}

int main(void)
{
	struct libmcp_handle handle, reader;
	struct mcp_grant grant = { .rights = MCP_RIGHT_READ, .label = "reader" };
	struct libmcp *mcp;
	int error = libmcp_connect(&mcp, NULL);

	if (!error)
		error = libmcp_open(mcp, "example.desk", MCP_RIGHT_QUERY | MCP_RIGHT_READ | MCP_RIGHT_WRITE |
				    MCP_RIGHT_GRANT, NULL, 0, &handle);
	if (!error)
		error = call(mcp, handle.fd, 0, list);
	if (!error)
		error = call(mcp, handle.fd, 2, note);
	if (!error)
		error = call(mcp, handle.fd, 2, note);
	/* A handle that may only read, for somebody else. */
	if (!error)
		error = libmcp_grant(mcp, &handle, &grant, &reader);
	if (!error)
		error = call(mcp, reader.fd, 1, load);
	if (error) {
		fprintf(stderr, "example.desk: %s\n", libmcp_error_name(error));
		return 1;
	}
	/* The kernel refuses it by the envelope, and the server would by the body. */
	call(mcp, reader.fd, 2, note);
	call(mcp, reader.fd, 1, note);
	libmcp_close(mcp);
	return 0;
}
