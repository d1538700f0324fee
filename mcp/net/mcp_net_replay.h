/* SPDX-License-Identifier: GPL-2.0 */
/* Which counters were seen. No I/O. */
#ifndef _MCP_NET_REPLAY_H
#define _MCP_NET_REPLAY_H

#include <linux/types.h>

#define MCP_NET_WINDOW_BITS	1024u
#define MCP_NET_WINDOW_WORDS	(MCP_NET_WINDOW_BITS / 64)

/**
 * struct mcp_net_window - the counters that were taken
 * @largest: of them
 * @words: a ring: bit n % 64 of word (n / 64) % WORDS stands for counter n
 */
struct mcp_net_window {
	u64 largest;
	u64 words[MCP_NET_WINDOW_WORDS];
};

bool mcp_net_window_new(const struct mcp_net_window *window, u64 counter);
bool mcp_net_window_take(struct mcp_net_window *window, u64 counter);

#endif /* _MCP_NET_REPLAY_H */
