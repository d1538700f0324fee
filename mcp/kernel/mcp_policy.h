/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy: what it is asked, what it may answer, how it is attached.
 *
 * Concern: what mcp.ko, mcp_bpf.ko and the programs of eBPF that it lets in
 *          agree on. Programs read these structures by name (CO-RE), so a
 *          member may be added anywhere, and none changes its meaning.
 *          docs/policy.md is the manual.
 */
#ifndef _MCP_POLICY_H
#define _MCP_POLICY_H

#include <linux/types.h>

#define MCP_POLICY_NAME_SIZE	16

/* The largest errno that a policy may answer: the last that programs know. */
#define MCP_POLICY_MAX_ERRNO	133 /* EHWPOISON */

/* enum mcp_policy_flags - @flags of struct mcp_policy_call */
enum mcp_policy_flags {
	MCP_POLICY_GRANT	= 1, /* open: a handle is derived from another */
	MCP_POLICY_NESTED	= 2, /* a request within an exchange */
	MCP_POLICY_BACKWARD	= 4, /* the endpoint asks who called it */
	MCP_POLICY_BOOT		= 8, /* the endpoint has MCP_SERVE_BOOT */
	MCP_POLICY_READ_ONLY	= 16, /* the tool has MCP_TOOL_READ_ONLY */
};

/**
 * struct mcp_policy_call - what a policy is asked about
 * @sender: id of the handle that the request is sent on, or that a grant
 *	    derives from; 0 for an open
 * @cookie: the exchange; 0 for open
 * @parent: the exchange that it is nested in, or 0
 * @deadline: CLOCK_MONOTONIC ns, the earlier of the caller's and the handle's
 *	      expiry; 0 for none. Of a grant: the expiry that is asked for
 * @latency: complete: ns since it was allowed
 * @flags: enum mcp_policy_flags
 * @rights: open: those that are asked for; else those of the handle
 * @tool: id, or 0; open: 0
 * @length: bytes of the request's body
 * @answer: complete: bytes of the answer's body
 * @status: complete: 0, or the errno that it ended with
 * @uid: effective user of whoever opened the file that asks
 * @gid: likewise its group
 * @pid: the process that asks
 * @method: the hint of the request's envelope; not at complete
 * @proto: likewise
 * @nfds: descriptors with the request; not at complete
 * @depth: of nesting, or of a grant
 * @endpoint: its name; for bpf_mcp_endpoint_name()
 * @name: of the tool, or NULL; for bpf_mcp_tool_name()
 * @label: of the handle; for bpf_mcp_label()
 */
struct mcp_policy_call {
	u64 sender;
	u64 cookie;
	u64 parent;
	u64 deadline;
	u64 latency;
	u32 flags;
	u32 rights;
	u32 tool;
	u32 length;
	u32 answer;
	u32 status;
	u32 uid;
	u32 gid;
	u32 pid;
	u16 method;
	u16 proto;
	u8 nfds;
	u8 depth;
	const char *endpoint;
	const char *name;
	const char *label;
};

/**
 * struct mcp_policy - a filter of all that is sent
 * @open: may this handle be made? NULL: yes
 * @allow: may this request be sent?
 * @complete: a request that was allowed has ended; may be NULL
 * @name: 1 to 15 of [A-Za-z0-9_./-], filled with zeros
 *
 * All three are called under rcu_read_lock() and must not sleep. @open and
 * @allow answer 0 or a negative errno; see mcp_policy_verdict().
 */
struct mcp_policy {
	int (*open)(const struct mcp_policy_call *call);
	int (*allow)(const struct mcp_policy_call *call);
	void (*complete)(const struct mcp_policy_call *call);
	char name[MCP_POLICY_NAME_SIZE];
};

int mcp_policy_check(const struct mcp_policy *policy);
int mcp_policy_attach(const struct mcp_policy *policy);
int mcp_policy_replace(const struct mcp_policy *old, const struct mcp_policy *policy);
void mcp_policy_detach(const struct mcp_policy *policy);

/* Of mcp_bpf.ko, for programs. */
int bpf_mcp_endpoint_name(const struct mcp_policy_call *call, char *name, u32 name__sz);
int bpf_mcp_tool_name(const struct mcp_policy_call *call, char *name, u32 name__sz);
int bpf_mcp_label(const struct mcp_policy_call *call, char *label, u32 label__sz);

#endif /* _MCP_POLICY_H */
