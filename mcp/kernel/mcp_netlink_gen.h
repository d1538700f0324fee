/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	mcp/netlink/mcp.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_MCP_GEN_H
#define _LINUX_MCP_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/mcp_netlink.h>
#include <linux/mcp.h>

int mcp_nl_dump_start(struct netlink_callback *cb);
int mcp_nl_tool_start(struct netlink_callback *cb);
int mcp_nl_dump_done(struct netlink_callback *cb);

int mcp_nl_endpoint_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb);
int mcp_nl_tool_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int mcp_nl_handle_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int mcp_nl_limits_get_doit(struct sk_buff *skb, struct genl_info *info);
int mcp_nl_statistics_get_doit(struct sk_buff *skb, struct genl_info *info);
int mcp_nl_audit_get_doit(struct sk_buff *skb, struct genl_info *info);
int mcp_nl_audit_set_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	MCP_NLGRP_EVENTS,
};

extern struct genl_family mcp_nl_family;

#endif /* _LINUX_MCP_GEN_H */
