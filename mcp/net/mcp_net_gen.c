// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	mcp/net/mcp_net.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "mcp_net_gen.h"

#include <uapi/linux/mcp_net.h>

/* Integer value ranges */
static const struct netlink_range_validation mcp_net_a_bind_frames_range = {
	.min	= 16ULL,
	.max	= MCP_NET_MAX_FRAMES,
};

/* MCP_NET_CMD_BIND - do */
static const struct nla_policy mcp_net_bind_nl_policy[MCP_NET_A_BIND_SECONDS + 1] = {
	[MCP_NET_A_BIND_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[MCP_NET_A_BIND_HANDLE] = { .type = NLA_S32, },
	[MCP_NET_A_BIND_KEY] = { .type = NLA_S32, },
	[MCP_NET_A_BIND_PEER] = NLA_POLICY_EXACT_LEN(6),
	[MCP_NET_A_BIND_FRAMES] = NLA_POLICY_FULL_RANGE(NLA_U32, &mcp_net_a_bind_frames_range),
	[MCP_NET_A_BIND_SECONDS] = NLA_POLICY_RANGE(NLA_U32, 1, MCP_NET_MAX_SECONDS),
};

/* Ops table for mcp_net */
const struct genl_split_ops mcp_net_nl_ops[3] = {
	{
		.cmd		= MCP_NET_CMD_BIND,
		.doit		= mcp_net_nl_bind_doit,
		.policy		= mcp_net_bind_nl_policy,
		.maxattr	= MCP_NET_A_BIND_SECONDS,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= MCP_NET_CMD_UNBIND,
		.doit	= mcp_net_nl_unbind_doit,
		.flags	= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= MCP_NET_CMD_GET,
		.doit	= mcp_net_nl_get_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
};
