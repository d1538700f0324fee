/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: the generic netlink family mcp-net, in the network namespace that the
 * caller is in. Functions give 0 or -errno; -ENOPKG when mcp_net.ko is not there.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/mcp_net.h>

struct family_bind {
	uint32_t ifindex;
	int32_t handle, key;
	bool has_peer;
	uint8_t peer[6];
	uint32_t frames, seconds;	/* 0: the most */
};

struct family_state {
	uint32_t ifindex, session, max_body, frames, seconds;
	uint64_t sender, counts[MCP_NET_A_COUNTS_MAX + 1];
	bool has_peer;
	uint8_t peer[6];
};

bool family_is_there(void);
int family_bind(const struct family_bind *bind);
int family_unbind(void);
int family_get(struct family_state *state);

#endif /* FAMILY_H */
