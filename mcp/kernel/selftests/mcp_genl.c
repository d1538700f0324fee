// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: generic netlink without a library.
 * Context: user space; one thread a socket.
 * Locking: none.
 * Lifetime: what an answer's attributes point to lives until the next answer.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mcp_genl.h"
#include "mcp_test.h"

#define HEADERS (NLMSG_HDRLEN + GENL_HDRLEN)

void genl_begin(struct genl *genl, unsigned int command, unsigned int flags)
{
	struct nlmsghdr header = { .nlmsg_type = genl->family, .nlmsg_flags = NLM_F_REQUEST | flags,
				   .nlmsg_seq = ++genl->sequence };
	struct genlmsghdr family = { .cmd = command, .version = 1 };

	memset(genl->request, 0, sizeof(genl->request));
	memcpy(genl->request, &header, sizeof(header));
	memcpy(genl->request + NLMSG_HDRLEN, &family, sizeof(family));
	genl->used = HEADERS;
}

void genl_put(struct genl *genl, unsigned int type, const void *value, size_t bytes)
{
	struct nlattr attribute = { .nla_type = type, .nla_len = NLA_HDRLEN + bytes };

	if (genl->used + NLA_HDRLEN + NLA_ALIGN(bytes) > sizeof(genl->request))
		bail_out("a request that is too long");
	memcpy(genl->request + genl->used, &attribute, sizeof(attribute));
	memcpy(genl->request + genl->used + NLA_HDRLEN, value, bytes);
	genl->used += NLA_HDRLEN + NLA_ALIGN(bytes);
}

void genl_put_u32(struct genl *genl, unsigned int type, __u32 value)
{
	genl_put(genl, type, &value, sizeof(value));
}

int genl_send(struct genl *genl)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	__u32 length = genl->used;
	ssize_t sent;

	memcpy(genl->request, &length, sizeof(length));	/* nlmsg_len comes first */
	sent = sendto(genl->fd, genl->request, genl->used, 0, (void *)&kernel, sizeof(kernel));
	return sent < 0 ? -errno : 0;
}

long genl_receive(struct genl *genl, int milliseconds)
{
	struct pollfd wait = { .fd = genl->fd, .events = POLLIN };
	ssize_t got;

	if (poll(&wait, 1, milliseconds) != 1)
		return -ETIMEDOUT;
	got = recv(genl->fd, genl->answer, sizeof(genl->answer), 0);
	return got < 0 ? -errno : got;
}

/* What an NLMSG_ERROR or NLMSG_DONE says. */
static int error_of(const struct nlmsghdr *message)
{
	int error;

	memcpy(&error, (const char *)message + NLMSG_HDRLEN, sizeof(error));
	return error;
}

long genl_ask(struct genl *genl)
{
	const struct nlmsghdr *message = (const void *)genl->answer;
	long got;
	int error = genl_send(genl);

	if (error)
		return error;
	got = genl_receive(genl, SOON);
	if (got < 0)
		return got;
	return message->nlmsg_type == NLMSG_ERROR ? error_of(message) : got;
}

long genl_dump_step(struct genl *genl, genl_entry *entry, void *argument, bool *interrupted,
		    bool *done)
{
	const struct nlmsghdr *message = (const void *)genl->answer;
	long got = genl_receive(genl, SOON), count = 0;
	unsigned int left;

	if (got < 0)
		return got;
	for (left = got; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_flags & NLM_F_DUMP_INTR && interrupted)
			*interrupted = true;
		if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
			*done = true;
			return error_of(message) < 0 ? error_of(message) : count;
		}
		if (entry)
			entry(message, argument);
		count++;
	}
	return count;
}

long genl_dump(struct genl *genl, genl_entry *entry, void *argument, bool *interrupted)
{
	long sum = 0, step;
	bool done = false;
	int error = genl_send(genl);

	if (error)
		return error;
	while (!done) {
		step = genl_dump_step(genl, entry, argument, interrupted, &done);
		if (step < 0)
			return step;
		sum += step;
	}
	return sum;
}

static const struct nlattr *find(const char *at, const char *end, const struct nlattr *after,
				 unsigned int type)
{
	for (; at + NLA_HDRLEN <= end; at += NLA_ALIGN(((const struct nlattr *)at)->nla_len)) {
		const struct nlattr *attribute = (const void *)at;

		if (attribute->nla_len < NLA_HDRLEN)
			return NULL;
		if ((!after || attribute > after) && (attribute->nla_type & NLA_TYPE_MASK) == type)
			return attribute;
	}
	return NULL;
}

const struct nlattr *genl_next(const struct nlmsghdr *message, const struct nlattr *after,
			       unsigned int type)
{
	const char *start = (const char *)message;

	return find(start + HEADERS, start + message->nlmsg_len, after, type);
}

const struct nlattr *genl_attr(const struct nlmsghdr *message, unsigned int type)
{
	return genl_next(message, NULL, type);
}

const struct nlattr *genl_nested(const struct nlattr *nest, unsigned int type)
{
	const char *start = (const char *)nest;

	return find(start + NLA_HDRLEN, start + nest->nla_len, NULL, type);
}

__u64 genl_value(const struct nlattr *attribute)
{
	__u64 value = 0;

	if (!attribute || attribute->nla_len > NLA_HDRLEN + sizeof(value))
		return ~0ull;
	/* Little-endian, as all that these programs run on. */
	memcpy(&value, (const char *)attribute + NLA_HDRLEN, attribute->nla_len - NLA_HDRLEN);
	return value;
}

__u64 genl_number(const struct nlmsghdr *message, unsigned int type)
{
	return genl_value(genl_attr(message, type));
}

const char *genl_string(const struct nlmsghdr *message, unsigned int type)
{
	const struct nlattr *attribute = genl_attr(message, type);

	return attribute ? (const char *)attribute + NLA_HDRLEN : "";
}

/* The family's number, and that of its group, as the controller tells them. */
static int find_family(struct genl *genl)
{
	const struct nlmsghdr *message = (const void *)genl->answer;
	const struct nlattr *groups, *group;
	long got;

	genl->family = GENL_ID_CTRL;
	genl_begin(genl, CTRL_CMD_GETFAMILY, 0);
	genl_put(genl, CTRL_ATTR_FAMILY_NAME, MCP_FAMILY_NAME, sizeof(MCP_FAMILY_NAME));
	got = genl_ask(genl);
	if (got < 0)
		return got;
	groups = genl_attr(message, CTRL_ATTR_MCAST_GROUPS);
	group = groups ? genl_nested(groups, 1) : NULL;
	if (!group)
		return -EPROTO;
	genl->events = genl_value(genl_nested(group, CTRL_ATTR_MCAST_GRP_ID));
	genl->family = genl_number(message, CTRL_ATTR_FAMILY_ID);
	return 0;
}

int genl_open(struct genl *genl)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int error;

	memset(genl, 0, sizeof(*genl));
	genl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (genl->fd < 0)
		return -errno;
	error = bind(genl->fd, (void *)&self, sizeof(self)) ? -errno : find_family(genl);
	if (error)
		genl_close(genl);
	return error;
}

void genl_close(struct genl *genl)
{
	close(genl->fd);
	genl->fd = -1;
}
