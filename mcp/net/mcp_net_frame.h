/* SPDX-License-Identifier: GPL-2.0 */
/* The bytes of a frame: docs/network.md. No I/O. */
#ifndef _MCP_NET_FRAME_H
#define _MCP_NET_FRAME_H

#include <linux/types.h>

#define MCP_NET_ETHERTYPE	0xfaf0
#define MCP_NET_VERSION		1
#define MCP_NET_ETH		14u	/* bytes of an Ethernet header */
#define MCP_NET_KEY		32u
#define MCP_NET_TAG		16u
#define MCP_NET_MAC		16u
#define MCP_NET_RANDOM		32u

enum mcp_net_type {
	MCP_NET_HELLO1	= 1,	/* the peer asks */
	MCP_NET_HELLO2	= 2,	/* we answer */
	MCP_NET_CONFIRM	= 3,	/* either side has the keys */
	MCP_NET_DATA	= 4,
};

/* Behind the Ethernet header of each frame. */
struct mcp_net_header {
	u8 version;
	u8 type;
	__le16 reserved;
	__le32 session;
	__le64 counter;
};

/* HELLO1 and HELLO2: @id is the session to continue, or the one that is new. */
struct mcp_net_hello {
	u8 random[MCP_NET_RANDOM];
	__le32 id;
	__le32 reserved;
	u8 mac[MCP_NET_MAC];
};

/* In a CONFIRM. */
struct mcp_net_limits {
	__le32 body;
	__le32 inflight;
	__le32 frames;
	__le32 seconds;
};

/* In a DATA, before the body. */
struct mcp_net_message {
	u8 kind;
	u8 credit;
	__le16 flags;
	__le32 tool;
	__le16 method;
	__le16 proto;
	__le32 status;
	__le64 cookie;
	__le64 parent;
	__le32 timeout;
	__le32 reserve;
};

#define MCP_NET_HELLO_SIZE	(sizeof(struct mcp_net_header) + sizeof(struct mcp_net_hello))
#define MCP_NET_CONFIRM_SIZE	(sizeof(struct mcp_net_header) + sizeof(struct mcp_net_limits) + \
				 MCP_NET_TAG)
#define MCP_NET_OVERHEAD	(sizeof(struct mcp_net_header) + sizeof(struct mcp_net_message) + \
				 MCP_NET_TAG)

/* What a MAC and the keys are made of: a HELLO as it travels. */
struct mcp_net_hello_frame {
	u8 eth[MCP_NET_ETH];
	struct mcp_net_header header;
	struct mcp_net_hello hello;
} __packed;

bool mcp_net_frame_good(const struct mcp_net_header *header, u32 bytes, u32 mtu);
void mcp_net_header_fill(struct mcp_net_header *header, u8 type, u32 session, u64 counter);

struct mcp_envelope;

int mcp_net_message_read(struct mcp_envelope *envelope, const struct mcp_net_message *message,
			 u32 body, u64 now);
void mcp_net_message_write(struct mcp_net_message *message, const struct mcp_envelope *envelope,
			   u64 now);

#endif /* _MCP_NET_FRAME_H */
