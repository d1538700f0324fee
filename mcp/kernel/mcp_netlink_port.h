/* SPDX-License-Identifier: GPL-2.0 */
/* What mcp_netlink.c and mcp_netlink_dump.c share. */
#ifndef _MCP_NETLINK_PORT_H
#define _MCP_NETLINK_PORT_H

/* The attribute of each request that names its port. */
#define MCP_NL_PORT 1

struct genl_info;
struct mcp_port;

struct mcp_port *mcp_nl_port(const struct genl_info *info, bool *admin);

#endif /* _MCP_NETLINK_PORT_H */
