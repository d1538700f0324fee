// SPDX-License-Identifier: GPL-2.0
/*
 * net_serve DEVICE KEY: an endpoint for a peer outside the machine. Binds the
 * device with a key of 64 hexadecimal digits to a handle for a tool, says
 * "ready", and answers each request with its body in reverse, until it gets one
 * whose body is "stop".
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/keyctl.h>

#include "net_link.h"

static long add_key(const char *digits)
{
	unsigned char key[32];

	for (size_t i = 0; i < sizeof(key); i++)
		if (sscanf(digits + 2 * i, "%2hhx", key + i) != 1)
			bail_out("the key");
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		bail_out("no session keyring");
	return syscall(SYS_add_key, "user", "mcp:host", key, sizeof(key), KEY_SPEC_SESSION_KEYRING);
}

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
	struct net_bind bind = { 0 };
	struct port client, server;
	__u8 name[MCP_NAME_SIZE];

	if (argc != 3 || strlen(argv[2]) != 64)
		bail_out("usage: net_serve DEVICE KEY");
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* A new keyring is a new credential, and a port is written to with the one that opened it. */
	bind.key = add_key(argv[2]);
	test_name(name, "host");
	port_need(&server, 64 << 10);
	port_need(&client, 64 << 10);
	serve_need(&server, name);
	bind.ifindex = if_nametoindex(argv[1]);
	bind.handle = open_handle(&client, name, MCP_RIGHT_READ, NULL);
	bind.frames = 1000;
	if (net_bind(&bind))
		bail_out("bind");
	puts("ready");
	while (answer(&server, body))
		;
	/* The last answer is on its way when the binding ends. */
	sleep_ms(200);
	return net_unbind() ? 1 : 0;
}
