// SPDX-License-Identifier: GPL-2.0
/*
 * One question over generic netlink: statistics of the family mcp. The counter
 * stands where mcp.ko copies a body, so a second copy would be seen; what goes
 * over pipes and sockets is not counted by anybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/genetlink.h>
#include <linux/mcp_netlink.h>
#include <linux/netlink.h>

#include "bench.h"
#include "copied.h"

/* A question with one attribute, or an answer. */
struct message {
	struct nlmsghdr header;
	struct genlmsghdr family;
	char attributes[8192];
};

#define HEADERS (NLMSG_HDRLEN + GENL_HDRLEN)

static void ask(int fd, struct message *message, int family, int command, int attribute,
		const void *value, size_t bytes)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlattr head = { .nla_type = attribute, .nla_len = NLA_HDRLEN + bytes };
	ssize_t got;

	memset(message, 0, sizeof(*message));
	message->header.nlmsg_len = HEADERS + NLA_HDRLEN + NLA_ALIGN(bytes);
	message->header.nlmsg_type = family;
	message->header.nlmsg_flags = NLM_F_REQUEST;
	message->family.cmd = command;
	message->family.version = 1;
	memcpy(message->attributes, &head, sizeof(head));
	memcpy(message->attributes + NLA_HDRLEN, value, bytes);
	if (sendto(fd, message, message->header.nlmsg_len, 0, (void *)&kernel,
		   sizeof(kernel)) < 0)
		die("netlink: %s", strerror(errno));
	got = recv(fd, message, sizeof(*message), 0);
	if (got < (ssize_t)HEADERS || message->header.nlmsg_type == NLMSG_ERROR)
		die("netlink: no answer to request %d", command);
}

/* A number of 2, 4 or 8 bytes. */
static __u64 number(const struct message *message, int attribute)
{
	const char *at = message->attributes;
	const char *end = (const char *)message + message->header.nlmsg_len;

	while (at + NLA_HDRLEN <= end) {
		struct nlattr head;
		__u64 value = 0;

		memcpy(&head, at, sizeof(head));
		if (head.nla_len < NLA_HDRLEN)
			break;
		if (head.nla_type == attribute && head.nla_len <= NLA_HDRLEN + sizeof(value)) {
			memcpy(&value, at + NLA_HDRLEN, head.nla_len - NLA_HDRLEN);
			return value;
		}
		at += NLA_ALIGN(head.nla_len);
	}
	die("netlink: an answer without attribute %d", attribute);
}

__u64 copied_bytes(void)
{
	struct message message;
	int port = open("/dev/mcp", O_RDWR | O_CLOEXEC);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	__u64 copied;

	if (port < 0 || fd < 0)
		die("/dev/mcp or netlink: %s", strerror(errno));
	ask(fd, &message, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME,
	    MCP_FAMILY_NAME, sizeof(MCP_FAMILY_NAME));
	ask(fd, &message, (int)number(&message, CTRL_ATTR_FAMILY_ID), MCP_NL_CMD_STATISTICS_GET,
	    MCP_A_STATISTICS_PORT, &port, sizeof(port));
	copied = number(&message, MCP_A_STATISTICS_COPIED);
	close(fd);
	close(port);
	return copied;
}
