/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rest of mcp.ko tells the generic netlink family: it is there, it
 * goes, the registry has changed.
 */
#ifndef _MCP_NETLINK_H
#define _MCP_NETLINK_H

#include <linux/mcp_netlink.h>

int mcp_netlink_init(void);
void mcp_netlink_exit(void);
void mcp_netlink_changed(enum mcp_change change, u64 generation);

#endif /* _MCP_NETLINK_H */
