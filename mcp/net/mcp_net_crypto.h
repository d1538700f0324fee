/* SPDX-License-Identifier: GPL-2.0 */
/* What is made with a key. No I/O. */
#ifndef _MCP_NET_CRYPTO_H
#define _MCP_NET_CRYPTO_H

#include "mcp_net_frame.h"

#define MCP_NET_TO_SERVER	0
#define MCP_NET_TO_CLIENT	1

void mcp_net_mac_hello1(u8 mac[MCP_NET_MAC], const u8 key[MCP_NET_KEY],
			const struct mcp_net_hello_frame *hello1);
void mcp_net_mac_hello2(u8 mac[MCP_NET_MAC], const u8 key[MCP_NET_KEY],
			const struct mcp_net_hello_frame *hello2,
			const struct mcp_net_hello_frame *hello1);
void mcp_net_derive(u8 made[MCP_NET_KEY], const u8 key[MCP_NET_KEY], u8 direction,
		    const struct mcp_net_hello_frame *hello1,
		    const struct mcp_net_hello_frame *hello2);
void mcp_net_seal(u8 *text, u32 bytes, const u8 eth[MCP_NET_ETH],
		  const struct mcp_net_header *header, u8 direction, const u8 key[MCP_NET_KEY]);
bool mcp_net_unseal(u8 *text, u32 bytes, const u8 eth[MCP_NET_ETH],
		    const struct mcp_net_header *header, u8 direction, const u8 key[MCP_NET_KEY]);

#endif /* _MCP_NET_CRYPTO_H */
