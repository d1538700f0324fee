// SPDX-License-Identifier: GPL-2.0
/*
 * Policies for policy_test: one that writes down what it is asked and answers
 * what it is told to, two that take turns, and some that must be refused.
 */
#include "policy.bpf.h"
#include "test_policy.h"

struct answers answers;
struct asked opened, allowed, completed;

static void write_down(const struct mcp_policy_call *call, struct asked *asked)
{
	asked->sender = call->sender;
	asked->cookie = call->cookie;
	asked->parent = call->parent;
	asked->deadline = call->deadline;
	asked->latency = call->latency;
	asked->flags = call->flags;
	asked->rights = call->rights;
	asked->tool = call->tool;
	asked->length = call->length;
	asked->answer = call->answer;
	asked->status = call->status;
	asked->uid = call->uid;
	asked->gid = call->gid;
	asked->pid = call->pid;
	asked->method = call->method;
	asked->proto = call->proto;
	asked->nfds = call->nfds;
	asked->depth = call->depth;
	asked->lengths[0] = bpf_mcp_endpoint_name(call, asked->endpoint, sizeof(asked->endpoint));
	asked->lengths[1] = bpf_mcp_tool_name(call, asked->name, sizeof(asked->name));
	asked->lengths[2] = bpf_mcp_label(call, asked->label, sizeof(asked->label));
	asked->lengths[3] = bpf_mcp_endpoint_name(call, asked->cut, sizeof(asked->cut));
	asked->times++;
}

SEC("struct_ops/open")
int BPF_PROG(open, const struct mcp_policy_call *call)
{
	write_down(call, &opened);
	return call->flags & MCP_POLICY_GRANT ? answers.grant : answers.open;
}

SEC("struct_ops/allow")
int BPF_PROG(allow, const struct mcp_policy_call *call)
{
	write_down(call, &allowed);
	return call->flags & MCP_POLICY_NESTED ? answers.nested : answers.allow;
}

SEC("struct_ops/complete")
void BPF_PROG(complete, const struct mcp_policy_call *call)
{
	write_down(call, &completed);
}

SEC(".struct_ops.link")
struct mcp_policy recorder = {
	.open = (void *)open,
	.allow = (void *)allow,
	.complete = (void *)complete,
	.name = "test.recorder",
};

/* ---- Two that take turns ---- */

SEC("struct_ops/allow_first")
int BPF_PROG(allow_first, const struct mcp_policy_call *call)
{
	return -FIRST_ERRNO;
}

SEC("struct_ops/allow_second")
int BPF_PROG(allow_second, const struct mcp_policy_call *call)
{
	return -SECOND_ERRNO;
}

SEC(".struct_ops.link")
struct mcp_policy first = { .allow = (void *)allow_first, .name = "test.first" };

SEC(".struct_ops.link")
struct mcp_policy second = { .allow = (void *)allow_second, .name = "test.second" };

/* ---- That cannot be attached ---- */

SEC(".struct_ops.link")
struct mcp_policy without_allow = { .open = (void *)open, .name = "test.without" };

SEC(".struct_ops.link")
struct mcp_policy without_name = { .allow = (void *)allow };

SEC(".struct_ops.link")
struct mcp_policy bad_name = { .allow = (void *)allow, .name = "a b" };

SEC(".struct_ops.link")
struct mcp_policy long_name = { .allow = (void *)allow, .name = "sixteen.letters." };

SEC(".struct_ops")
struct mcp_policy without_link = { .allow = (void *)allow, .name = "test.link" };

char _license[] SEC("license") = "GPL";
