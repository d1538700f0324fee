/* SPDX-License-Identifier: GPL-2.0 */
/* What the program in the kernel and its loader share. */
#ifndef MCP_XDP_H
#define MCP_XDP_H

#include <linux/types.h>

/* A device that frames may come to, by its ifindex in the map @bound. */
struct mcp_xdp_bound {
	__u8 peer[6];	/* the only sender, if not any */
	__u8 any_peer;
	__u8 reserved;
};

/* Rows of the map @counts. */
enum mcp_xdp_count {
	MCP_XDP_PASSED,		/* frames that may be the peer's */
	MCP_XDP_MALFORMED,	/* not what docs/network.md calls a frame */
	MCP_XDP_UNBOUND,	/* to a device that is not in @bound */
	MCP_XDP_STRANGE,	/* from another sender, or to a group */
	MCP_XDP_COUNTS,
};

#define MCP_XDP_DEVICES 16

#endif /* MCP_XDP_H */
