// SPDX-License-Identifier: GPL-2.0
/*
 * A socket for each request, so that an answer is the answer to it. Attributes
 * of the kernel's answer are read only where their length is right.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "family.h"

/* All that bind sends and get receives: 13 counters of 12 bytes are the most of it. */
#define ROOM 2048

struct buffer {
	union {
		struct nlmsghdr head;
		unsigned char bytes[ROOM];
	};
};

/* ---- Messages ------------------------------------------------------------ */

static void append(struct buffer *buffer, const void *data, size_t bytes)
{
	size_t at = NLMSG_ALIGN(buffer->head.nlmsg_len);

	memcpy(buffer->bytes + at, data, bytes);
	buffer->head.nlmsg_len = at + bytes;
}

static void attribute(struct buffer *buffer, int type, const void *data, size_t bytes)
{
	struct nlattr head = { .nla_len = NLA_HDRLEN + bytes, .nla_type = type };

	append(buffer, &head, sizeof(head));
	append(buffer, data, bytes);
}

static void begin(struct buffer *buffer, int family, int command, int version, int flags)
{
	struct genlmsghdr generic = { .cmd = command, .version = version };

	memset(buffer, 0, sizeof(*buffer));
	buffer->head = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = family,
					  .nlmsg_flags = NLM_F_REQUEST | flags };
	append(buffer, &generic, sizeof(generic));
}

/* Sends, and receives the answer into the same place. */
static int exchange(struct buffer *buffer)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), error = 0;
	const struct nlmsgerr *said = NLMSG_DATA(&buffer->head);
	ssize_t got;

	if (fd < 0)
		return -errno;
	if (send(fd, buffer->bytes, buffer->head.nlmsg_len, 0) < 0)
		error = -errno;
	got = error ? 0 : recv(fd, buffer->bytes, sizeof(buffer->bytes), MSG_TRUNC);
	if (got < 0)
		error = -errno;
	close(fd);
	if (error)
		return error;
	if (!NLMSG_OK(&buffer->head, got) || got > ROOM)
		return -EPROTO;
	if (buffer->head.nlmsg_type != NLMSG_ERROR)
		return 0;
	return buffer->head.nlmsg_len < NLMSG_LENGTH(sizeof(*said)) ? -EPROTO : said->error;
}

/* ---- Answers ------------------------------------------------------------- */

static const struct nlattr *find(const unsigned char *at, const unsigned char *end, int type)
{
	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attr = (const void *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static const struct nlattr *find_in(const struct buffer *buffer, int type)
{
	return find(buffer->bytes + NLMSG_HDRLEN + GENL_HDRLEN,
		    buffer->bytes + buffer->head.nlmsg_len, type);
}

/* Returns whether it was there, and as long as that. */
static bool copy(const struct nlattr *attr, void *to, size_t bytes)
{
	if (!attr || attr->nla_len != NLA_HDRLEN + bytes)
		return false;
	memcpy(to, (const unsigned char *)attr + NLA_HDRLEN, bytes);
	return true;
}

/* ---- The family ---------------------------------------------------------- */

static int family_id(void)
{
	struct buffer buffer;
	uint16_t id;
	int error;

	begin(&buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 0);
	attribute(&buffer, CTRL_ATTR_FAMILY_NAME, MCP_NET_FAMILY_NAME, sizeof(MCP_NET_FAMILY_NAME));
	error = exchange(&buffer);
	if (error)
		return error == -ENOENT ? -ENOPKG : error;
	return copy(find_in(&buffer, CTRL_ATTR_FAMILY_ID), &id, sizeof(id)) ? id : -EPROTO;
}

static int start(struct buffer *buffer, int command, int flags)
{
	int id = family_id();

	if (id < 0)
		return id;
	begin(buffer, id, command, MCP_NET_FAMILY_VERSION, flags);
	return 0;
}

bool family_is_there(void)
{
	return family_id() >= 0;
}

int family_bind(const struct family_bind *bind)
{
	struct buffer buffer;
	int error = start(&buffer, MCP_NET_CMD_BIND, NLM_F_ACK);

	if (error)
		return error;
	attribute(&buffer, MCP_NET_A_BIND_IFINDEX, &bind->ifindex, sizeof(bind->ifindex));
	attribute(&buffer, MCP_NET_A_BIND_HANDLE, &bind->handle, sizeof(bind->handle));
	attribute(&buffer, MCP_NET_A_BIND_KEY, &bind->key, sizeof(bind->key));
	if (bind->has_peer)
		attribute(&buffer, MCP_NET_A_BIND_PEER, bind->peer, sizeof(bind->peer));
	if (bind->frames)
		attribute(&buffer, MCP_NET_A_BIND_FRAMES, &bind->frames, sizeof(bind->frames));
	if (bind->seconds)
		attribute(&buffer, MCP_NET_A_BIND_SECONDS, &bind->seconds, sizeof(bind->seconds));
	return exchange(&buffer);
}

int family_unbind(void)
{
	struct buffer buffer;
	int error = start(&buffer, MCP_NET_CMD_UNBIND, NLM_F_ACK);

	return error ? error : exchange(&buffer);
}

int family_get(struct family_state *state)
{
	const struct nlattr *counts;
	struct buffer buffer;
	int error = start(&buffer, MCP_NET_CMD_GET, 0);

	if (!error)
		error = exchange(&buffer);
	if (error)
		return error;
	*state = (struct family_state){ 0 };
	counts = find_in(&buffer, MCP_NET_A_BIND_COUNTS);
	state->has_peer = copy(find_in(&buffer, MCP_NET_A_BIND_PEER), state->peer, 6);
	if (!copy(find_in(&buffer, MCP_NET_A_BIND_IFINDEX), &state->ifindex, 4) ||
	    !copy(find_in(&buffer, MCP_NET_A_BIND_SESSION), &state->session, 4) ||
	    !copy(find_in(&buffer, MCP_NET_A_BIND_MAX_BODY), &state->max_body, 4) ||
	    !copy(find_in(&buffer, MCP_NET_A_BIND_FRAMES), &state->frames, 4) ||
	    !copy(find_in(&buffer, MCP_NET_A_BIND_SECONDS), &state->seconds, 4) ||
	    !copy(find_in(&buffer, MCP_NET_A_BIND_SENDER), &state->sender, 8) || !counts)
		return -EPROTO;
	for (int i = MCP_NET_A_COUNTS_RX; i <= MCP_NET_A_COUNTS_LOST; i++)
		if (!copy(find((const unsigned char *)counts + NLA_HDRLEN,
			       (const unsigned char *)counts + counts->nla_len, i),
			  state->counts + i, 8))
			return -EPROTO;
	return 0;
}
