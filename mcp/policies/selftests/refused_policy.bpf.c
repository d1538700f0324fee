// SPDX-License-Identifier: GPL-2.0
/*
 * Programs for policy_test that the verifier must refuse, one of them at a
 * time, and one that it takes.
 */
#include "policy.bpf.h"

char text[8];

SEC("?struct_ops/allow")
int BPF_PROG(good, const struct mcp_policy_call *call)
{
	return bpf_mcp_label(call, text, sizeof(text));
}

SEC("?struct_ops.s/allow")
int BPF_PROG(sleeps, const struct mcp_policy_call *call)
{
	return 0;
}

SEC("?struct_ops/allow")
int BPF_PROG(writes, const struct mcp_policy_call *call)
{
	((struct mcp_policy_call *)call)->uid = 0;
	return 0;
}

/* Another call than the one that it is asked about. */
SEC("?struct_ops/allow")
int BPF_PROG(forges, const struct mcp_policy_call *call)
{
	char other[sizeof(struct mcp_policy_call)] = {};

	return bpf_mcp_label((void *)other, text, sizeof(text));
}

/* More than there is room for. */
SEC("?struct_ops/allow")
int BPF_PROG(overruns, const struct mcp_policy_call *call)
{
	return bpf_mcp_label(call, text, sizeof(text) + 1);
}

SEC("?.struct_ops.link")
struct mcp_policy good_policy = { .allow = (void *)good, .name = "good" };

SEC("?.struct_ops.link")
struct mcp_policy sleeps_policy = { .allow = (void *)sleeps, .name = "sleeps" };

SEC("?.struct_ops.link")
struct mcp_policy writes_policy = { .allow = (void *)writes, .name = "writes" };

SEC("?.struct_ops.link")
struct mcp_policy forges_policy = { .allow = (void *)forges, .name = "forges" };

SEC("?.struct_ops.link")
struct mcp_policy overruns_policy = { .allow = (void *)overruns, .name = "overruns" };

char _license[] SEC("license") = "GPL";
