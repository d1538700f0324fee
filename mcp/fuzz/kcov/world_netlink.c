// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: requests to the family mcp, good and changed.
 * Context: as world.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world.h"

#define ATTRIBUTES_AT	(NLMSG_HDRLEN + GENL_HDRLEN)
#define MOST_STEPS	64

static void attributes(struct world *world, const struct op *op)
{
	struct genl *genl = &world->genl;
	__s32 port = op->x & 3 ? world->ports[world_port(world, op)].fd : (__s32)op->y;
	char name[MCP_NAME_SIZE] = "";

	if (op->y & 1)
		genl_put(genl, MCP_A_ENDPOINT_PORT, &port, op->y % 32 == 5 ? 3 : 4);
	if (op->y & 2) {
		snprintf(name, sizeof(name), "kcov.%d.0", (int)getpid());
		genl_put(genl, MCP_A_TOOL_ENDPOINT, name, op->y & 4 ? strlen(name) + 1 : 49);
	}
	if ((op->y >> 8) % 8 == 1) {
		unsigned char value = (op->y >> 11) % 3;

		genl_put(genl, (op->y >> 13) % 20, &value, 1);
	}
	if (op->change & 0x100)
		change_bytes(genl->request + NLMSG_HDRLEN, genl->used - NLMSG_HDRLEN, op->change);
}

void world_netlink(struct world *world, const struct op *op)
{
	static const unsigned char asks[] = { MCP_NL_CMD_LIMITS_GET, MCP_NL_CMD_STATISTICS_GET,
					      MCP_NL_CMD_AUDIT_GET, MCP_NL_CMD_AUDIT_SET };
	static const unsigned char dumps[] = { MCP_NL_CMD_ENDPOINT_GET, MCP_NL_CMD_TOOL_GET,
					       MCP_NL_CMD_HANDLE_GET };
	struct genl *genl = &world->genl;
	bool done = op->code == OP_ASK;
	unsigned char calls = op->y & 1;
	long got;

	/* What an earlier request was answered late, or twice. */
	while (recv(genl->fd, genl->answer, sizeof(genl->answer), MSG_DONTWAIT) > 0)
		;
	if (done) {
		genl_begin(genl, asks[(op->x >> 2) % 4], NLM_F_ACK);
		if ((op->x >> 2) % 4 == 3)
			genl_put(genl, MCP_A_AUDIT_CALLS, &calls, 1);
	} else {
		genl_begin(genl, dumps[(op->x >> 2) % 3], NLM_F_DUMP);
	}
	attributes(world, op);
	got = genl_send(genl);
	if (!got)
		got = genl_receive(genl, 1000);
	for (int i = 0; !done && i < MOST_STEPS && got > 0; i++) {
		const struct nlmsghdr *first = (const void *)genl->answer;

		world_count(world, ENTRY_NETLINK, 0);
		if (first->nlmsg_type == NLMSG_ERROR || first->nlmsg_type == NLMSG_DONE)
			return;
		/* Something is made or closed between two parts of a list. */
		got = genl_receive(genl, 1000);
	}
	if (got > 0) {
		const struct nlmsghdr *first = (const void *)genl->answer;
		__s32 error = 0;

		if (first->nlmsg_type == NLMSG_ERROR)
			memcpy(&error, genl->answer + NLMSG_HDRLEN, sizeof(error));
		got = error;
	}
	world_count(world, ENTRY_NETLINK, got);
}
