// SPDX-License-Identifier: GPL-2.0
/*
 * net_serve NAME: an endpoint for a peer outside the machine, which mcp-net lets
 * in. Says "ready", and answers each request with its body in reverse, until it
 * gets one whose body is "stop".
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mcp_test.h"

/* Returns whether to go on. */
static bool answer(const struct port *server, unsigned char *body)
{
	struct mcp_frame frame, response;
	size_t len;

	if (read(server->fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("read");
	len = frame.envelope.len;
	for (size_t i = 0; i < len; i++)
		body[i] = server->arena[frame.slot + MCP_BODY_OFFSET + len - 1 - i];
	if (frame.envelope.kind != MCP_REQUEST) {
		printf("# kind %d\n", frame.envelope.kind);
		return true;
	}
	response = frame_response(frame.envelope.cookie, body, len);
	if (write(server->fd, &response, sizeof(response)) != sizeof(response))
		bail_out("write");
	return len != 4 || memcmp(body, "pots", 4);
}

int main(int argc, char **argv)
{
	static unsigned char body[4096];
	__u8 name[MCP_NAME_SIZE] = { 0 };
	struct port server;

	if (argc != 2 || strlen(argv[1]) > MCP_NAME_MAX)
		bail_out("usage: net_serve NAME");
	setvbuf(stdout, NULL, _IOLBF, 0);
	memcpy(name, argv[1], strlen(argv[1]));
	port_need(&server, 64 << 10);
	serve_need(&server, name);
	puts("ready");
	while (answer(&server, body))
		;
	/* The last answer is on its way when the binding ends. */
	sleep_ms(200);
	return 0;
}
