/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: enough of generic netlink to ask mcp.ko, and to be told: requests
 * of a few attributes, answers of one message or many.
 *
 * Functions that make a system call return what it returned, or -errno.
 */
#ifndef MCP_GENL_H
#define MCP_GENL_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/genetlink.h>
#include <linux/mcp_netlink.h>
#include <linux/netlink.h>

/* What the kernel puts into one datagram, too: small, so that a dump has many. */
#define GENL_BYTES 8192

/* A socket, and the last that came from it. */
struct genl {
	int fd;
	int family;		/* its number; for the controller GENL_ID_CTRL */
	__u32 events;		/* number of the multicast group */
	__u32 sequence;
	size_t used;		/* of @request */
	char request[1024];
	char answer[GENL_BYTES];
};

int genl_open(struct genl *genl);
void genl_close(struct genl *genl);

/* A request is begun, gets its attributes, and is sent. */
void genl_begin(struct genl *genl, unsigned int command, unsigned int flags);
void genl_put(struct genl *genl, unsigned int type, const void *value, size_t bytes);
void genl_put_u32(struct genl *genl, unsigned int type, __u32 value);
int genl_send(struct genl *genl);
/* One datagram into @answer: its length, or -errno. */
long genl_receive(struct genl *genl, int milliseconds);
/* Sends, and waits for one answer or an error; gives the answer's length. */
long genl_ask(struct genl *genl);

/*
 * Sends, and gives each message of the answer to @entry; gives their number.
 * @interrupted, if not NULL, tells whether the list changed meanwhile.
 */
typedef void genl_entry(const struct nlmsghdr *message, void *argument);
long genl_dump(struct genl *genl, genl_entry *entry, void *argument, bool *interrupted);
/* As genl_dump(), in steps: the first or next datagram; 0 at the end. */
long genl_dump_step(struct genl *genl, genl_entry *entry, void *argument, bool *interrupted,
		    bool *done);

/* An attribute of a message, or NULL. */
const struct nlattr *genl_attr(const struct nlmsghdr *message, unsigned int type);
/* A number of 1, 2, 4 or 8 bytes; ~0 if there is none. */
__u64 genl_number(const struct nlmsghdr *message, unsigned int type);
__u64 genl_value(const struct nlattr *attribute);
/* A string; "" if there is none. */
const char *genl_string(const struct nlmsghdr *message, unsigned int type);
/* The next attribute of this type after @after, or the first. */
const struct nlattr *genl_next(const struct nlmsghdr *message, const struct nlattr *after,
			       unsigned int type);
/* Within a nest. */
const struct nlattr *genl_nested(const struct nlattr *nest, unsigned int type);

#endif /* MCP_GENL_H */
