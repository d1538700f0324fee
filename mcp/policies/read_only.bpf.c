// SPDX-License-Identifier: GPL-2.0
/*
 * Policy read_only: nobody calls a tool that changes something.
 *
 * Which tools those are is what their endpoint says (MCP_TOOL_READ_ONLY).
 * Requests that name no tool go through: an endpoint must not act on the tool
 * that such a request names in its body.
 */
#include "policy.bpf.h"

SEC("struct_ops/allow")
int BPF_PROG(allow, const struct mcp_policy_call *call)
{
	if (!call->tool || call->flags & (MCP_POLICY_READ_ONLY | MCP_POLICY_BACKWARD))
		return 0;
	return -EACCES;
}

SEC(".struct_ops.link")
struct mcp_policy read_only = {
	.allow = (void *)allow,
	.name = "read_only",
};

char _license[] SEC("license") = "GPL";
