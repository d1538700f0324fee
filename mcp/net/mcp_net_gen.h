/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	mcp/net/mcp_net.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_MCP_NET_GEN_H
#define _LINUX_MCP_NET_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/mcp_net.h>

/* Ops table for mcp_net */
extern const struct genl_split_ops mcp_net_nl_ops[3];

int mcp_net_nl_bind_doit(struct sk_buff *skb, struct genl_info *info);
int mcp_net_nl_unbind_doit(struct sk_buff *skb, struct genl_info *info);
int mcp_net_nl_get_doit(struct sk_buff *skb, struct genl_info *info);

#endif /* _LINUX_MCP_NET_GEN_H */
