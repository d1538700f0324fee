// SPDX-License-Identifier: GPL-2.0
/*
 * Policy allow_list: who may call what is written down; all else is refused.
 *
 * A rule is a user or a label, an endpoint, and a tool. What an endpoint asks
 * back goes with the call that was allowed. What its caller asks within it does
 * not: it reaches the same endpoint, so it takes a rule as any request does.
 */
#include "policy.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RULES_MAX);
	__type(key, struct rule);
	__type(value, __u8);
} rules SEC(".maps");

/* What no rule asks for is not looked up: the verifier takes the code out. */
const volatile bool by_uid, by_label, every_tool, every_endpoint;

static bool is_listed(const struct rule *rule)
{
	struct rule wide = { .uid = rule->uid, .tool = EVERY };

	if (bpf_map_lookup_elem(&rules, rule))
		return true;
	__builtin_memcpy(wide.label, rule->label, sizeof(wide.label));
	if (every_tool) {
		__builtin_memcpy(wide.endpoint, rule->endpoint, sizeof(wide.endpoint));
		if (bpf_map_lookup_elem(&rules, &wide))
			return true;
		__builtin_memset(wide.endpoint, 0, sizeof(wide.endpoint));
	}
	wide.endpoint[0] = EVERY[0];
	return every_endpoint && bpf_map_lookup_elem(&rules, &wide);
}

SEC("struct_ops/allow")
int BPF_PROG(allow, const struct mcp_policy_call *call)
{
	struct rule rule = { .uid = call->uid };

	if (call->flags & MCP_POLICY_BACKWARD)
		return 0;
	bpf_mcp_endpoint_name(call, rule.endpoint, sizeof(rule.endpoint));
	bpf_mcp_tool_name(call, rule.tool, sizeof(rule.tool));
	if (by_uid && is_listed(&rule))
		return 0;
	if (!by_label || bpf_mcp_label(call, rule.label, sizeof(rule.label)) <= 0)
		return -EACCES;
	rule.uid = NO_UID;
	return is_listed(&rule) ? 0 : -EACCES;
}

SEC(".struct_ops.link")
struct mcp_policy allow_list = {
	.allow = (void *)allow,
	.name = "allow_list",
};

char _license[] SEC("license") = "GPL";
