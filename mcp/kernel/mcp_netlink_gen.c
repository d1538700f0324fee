// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	mcp/netlink/mcp.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "mcp_netlink_gen.h"

#include <uapi/linux/mcp_netlink.h>
#include <linux/mcp.h>

/* MCP_NL_CMD_ENDPOINT_GET - dump */
static const struct nla_policy mcp_endpoint_get_nl_policy[MCP_A_ENDPOINT_PORT + 1] = {
	[MCP_A_ENDPOINT_PORT] = NLA_POLICY_MIN(NLA_S32, 0),
};

/* MCP_NL_CMD_TOOL_GET - dump */
static const struct nla_policy mcp_tool_get_nl_policy[MCP_A_TOOL_ENDPOINT + 1] = {
	[MCP_A_TOOL_PORT] = NLA_POLICY_MIN(NLA_S32, 0),
	[MCP_A_TOOL_ENDPOINT] = { .type = NLA_NUL_STRING, .len = MCP_NAME_MAX, },
};

/* MCP_NL_CMD_HANDLE_GET - dump */
static const struct nla_policy mcp_handle_get_nl_policy[MCP_A_HANDLE_PORT + 1] = {
	[MCP_A_HANDLE_PORT] = NLA_POLICY_MIN(NLA_S32, 0),
};

/* MCP_NL_CMD_LIMITS_GET - do */
static const struct nla_policy mcp_limits_get_nl_policy[MCP_A_LIMITS_PORT + 1] = {
	[MCP_A_LIMITS_PORT] = NLA_POLICY_MIN(NLA_S32, 0),
};

/* MCP_NL_CMD_STATISTICS_GET - do */
static const struct nla_policy mcp_statistics_get_nl_policy[MCP_A_STATISTICS_PORT + 1] = {
	[MCP_A_STATISTICS_PORT] = NLA_POLICY_MIN(NLA_S32, 0),
};

/* MCP_NL_CMD_AUDIT_SET - do */
static const struct nla_policy mcp_audit_set_nl_policy[MCP_A_AUDIT_CALLS + 1] = {
	[MCP_A_AUDIT_CALLS] = NLA_POLICY_MAX(NLA_U8, 1),
};

/* Ops table for mcp */
static const struct genl_split_ops mcp_nl_ops[] = {
	{
		.cmd		= MCP_NL_CMD_ENDPOINT_GET,
		.start		= mcp_nl_dump_start,
		.dumpit		= mcp_nl_endpoint_get_dumpit,
		.done		= mcp_nl_dump_done,
		.policy		= mcp_endpoint_get_nl_policy,
		.maxattr	= MCP_A_ENDPOINT_PORT,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= MCP_NL_CMD_TOOL_GET,
		.start		= mcp_nl_tool_start,
		.dumpit		= mcp_nl_tool_get_dumpit,
		.done		= mcp_nl_dump_done,
		.policy		= mcp_tool_get_nl_policy,
		.maxattr	= MCP_A_TOOL_ENDPOINT,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= MCP_NL_CMD_HANDLE_GET,
		.start		= mcp_nl_dump_start,
		.dumpit		= mcp_nl_handle_get_dumpit,
		.done		= mcp_nl_dump_done,
		.policy		= mcp_handle_get_nl_policy,
		.maxattr	= MCP_A_HANDLE_PORT,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= MCP_NL_CMD_LIMITS_GET,
		.doit		= mcp_nl_limits_get_doit,
		.policy		= mcp_limits_get_nl_policy,
		.maxattr	= MCP_A_LIMITS_PORT,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= MCP_NL_CMD_STATISTICS_GET,
		.doit		= mcp_nl_statistics_get_doit,
		.policy		= mcp_statistics_get_nl_policy,
		.maxattr	= MCP_A_STATISTICS_PORT,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= MCP_NL_CMD_AUDIT_GET,
		.doit	= mcp_nl_audit_get_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= MCP_NL_CMD_AUDIT_SET,
		.doit		= mcp_nl_audit_set_doit,
		.policy		= mcp_audit_set_nl_policy,
		.maxattr	= MCP_A_AUDIT_CALLS,
		.flags		= GENL_CMD_CAP_DO,
	},
};

static const struct genl_multicast_group mcp_nl_mcgrps[] = {
	[MCP_NLGRP_EVENTS] = { "events", },
};

struct genl_family mcp_nl_family __ro_after_init = {
	.name		= MCP_FAMILY_NAME,
	.version	= MCP_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= mcp_nl_ops,
	.n_split_ops	= ARRAY_SIZE(mcp_nl_ops),
	.mcgrps		= mcp_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(mcp_nl_mcgrps),
};
