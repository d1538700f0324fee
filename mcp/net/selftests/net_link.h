/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: network namespaces, a pair of devices, and the netlink family of
 * mcp_net.ko, with plain sockets. Functions give 0 or -errno.
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#include <linux/mcp_net.h>

#include "mcp_test.h"

/* A descriptor of the namespace that the caller is in. */
int space_here(void);
/* A new one; the caller stays where it is. */
int space_new(void);
void space_enter(int space);

/* @name in the current namespace, @peer in another one; both are up. */
int veth_need(const char *name, const char *peer, int space);
int veth_delete(const char *name);
/* Of a device of the current namespace. */
int mtu_set(const char *name, int mtu);

/* Attributes of a request: 0 leaves one out, but for @handle and @key. */
struct net_bind {
	__u32 ifindex;
	__s32 handle;
	__s32 key;
	const unsigned char *peer;
	size_t peer_bytes;
	__u32 frames, seconds;
	bool no_handle, no_key;
};

struct net_state {
	__u32 ifindex, session, max_body, frames, seconds;
	__u64 sender, counts[MCP_NET_A_COUNTS_MAX + 1];
	bool has_peer;
};

/* Is the family there? */
bool net_family(void);
int net_bind(const struct net_bind *bind);
int net_unbind(void);
int net_get(struct net_state *state);

#endif /* NET_LINK_H */
