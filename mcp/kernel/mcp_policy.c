// SPDX-License-Identifier: GPL-2.0
/*
 * Policies: a filter that another module attaches, and the questions to it.
 *
 * Concern: one policy at a time; who may open, what may be sent, what became
 *          of it. Every request passes mcp_policy_allow(), whichever path it
 *          came on and whether or not it is nested.
 * Context: process; a policy is called under rcu_read_lock().
 * Locking: @attach_lock over a change of @attached, which is read under RCU. A
 *          change waits for whoever is still in the old policy.
 * Lifetime: a policy stays in memory until it was detached or replaced.
 *
 * As long as none is attached and none is required, @mcp_policy_key is false:
 * then all of this is one no-operation in each call.
 */
#include <linux/cred.h>
#include <linux/export.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>

#include "mcp_internal.h"

DEFINE_STATIC_KEY_FALSE(mcp_policy_key);

static DEFINE_MUTEX(attach_lock);
static const struct mcp_policy __rcu *attached;

/* ---- Attaching ---- */

/**
 * mcp_policy_watch() - from now on the questions are asked
 *
 * A policy is required somewhere, for good. The registry's lock is held.
 */
void mcp_policy_watch(void)
{
	static bool watched;

	if (!watched)
		static_branch_inc(&mcp_policy_key);
	watched = true;
}

/**
 * mcp_policy_check() - can it be attached?
 * @policy: not attached
 *
 * Return: 0; -EINVAL without allow(), or for a name that is none.
 */
int mcp_policy_check(const struct mcp_policy *policy)
{
	int length = mcp_name_check((const u8 *)policy->name, sizeof(policy->name),
				    sizeof(policy->name) - 1);

	return policy->allow && length > 0 ? 0 : -EINVAL;
}
EXPORT_SYMBOL_GPL(mcp_policy_check);

static const struct mcp_policy *now_attached(void)
{
	return rcu_dereference_protected(attached, lockdep_is_held(&attach_lock));
}

/**
 * mcp_policy_attach() - from now on it is asked
 * @policy: mcp_policy_check() was content with it; stays in memory
 *
 * Return: 0; -EEXIST if there is one; -ENOSPC if audit is on and the record
 * could not be made.
 */
int mcp_policy_attach(const struct mcp_policy *policy)
{
	int error = -EEXIST;

	mutex_lock(&attach_lock);
	if (!now_attached())
		error = mcp_audit_policy("attach", policy);
	if (!error) {
		rcu_assign_pointer(attached, policy);
		static_branch_inc(&mcp_policy_key);
	}
	mutex_unlock(&attach_lock);
	return error;
}
EXPORT_SYMBOL_GPL(mcp_policy_attach);

/**
 * mcp_policy_replace() - another one in its place, and never none
 * @old: is no longer in use when this returns 0
 * @policy: as for mcp_policy_attach()
 *
 * Return: 0; -ENOENT if @old is not attached; -ENOSPC as mcp_policy_attach().
 */
int mcp_policy_replace(const struct mcp_policy *old, const struct mcp_policy *policy)
{
	int error = -ENOENT;

	mutex_lock(&attach_lock);
	if (now_attached() == old)
		error = mcp_audit_policy("replace", policy);
	if (!error)
		rcu_assign_pointer(attached, policy);
	mutex_unlock(&attach_lock);
	if (!error)
		synchronize_rcu();
	return error;
}
EXPORT_SYMBOL_GPL(mcp_policy_replace);

/**
 * mcp_policy_detach() - it is no longer asked
 * @policy: is no longer in use when this returns; nothing happens if it is
 *	    not attached
 */
void mcp_policy_detach(const struct mcp_policy *policy)
{
	bool ours;

	mutex_lock(&attach_lock);
	ours = now_attached() == policy;
	if (ours) {
		/* A record that is lost keeps no policy attached. */
		mcp_audit_policy("detach", policy);
		RCU_INIT_POINTER(attached, NULL);
		static_branch_dec(&mcp_policy_key);
	}
	mutex_unlock(&attach_lock);
	if (ours)
		synchronize_rcu();
}
EXPORT_SYMBOL_GPL(mcp_policy_detach);

/* ---- Asking ---- */

/*
 * What a caller gets to see of a policy's answer. All that would mean something
 * else to whoever passes it on is a refusal: what is not an errno, errnos that
 * only the kernel knows (io_uring's "queued", the restarts of system calls),
 * and the two that mean "do that again".
 */
static int verdict(int answer)
{
	if (!answer)
		return 0;
	if (answer > 0 || answer < -MCP_POLICY_MAX_ERRNO || answer == -EAGAIN || answer == -EINTR)
		return -EACCES;
	return answer;
}

static void describe_asker(struct mcp_policy_call *call, const struct mcp_port *port)
{
	call->uid = from_kuid(&init_user_ns, port->cred->euid);
	call->gid = from_kgid(&init_user_ns, port->cred->egid);
}

static void describe_endpoint(struct mcp_policy_call *call, const struct mcp_endpoint *endpoint)
{
	call->endpoint = endpoint->name;
	if (endpoint->flags & MCP_SERVE_BOOT)
		call->flags |= MCP_POLICY_BOOT;
}

static int ask_open(struct mcp_policy_call *call, const struct mcp_port *port,
		    const struct mcp_endpoint *endpoint)
{
	const struct mcp_policy *policy;
	int error = 0;

	describe_asker(call, port);
	describe_endpoint(call, endpoint);
	call->pid = task_tgid_nr(current);
	rcu_read_lock();
	policy = rcu_dereference(attached);
	if (!policy)
		error = mcp_require_check(endpoint);
	else if (policy->open)
		error = verdict(policy->open(call));
	rcu_read_unlock();
	return error;
}

/**
 * __mcp_policy_open() - may this port have a handle with these rights?
 * @port: who asks
 * @endpoint: where to
 * @rights: which owner, group and mode would give
 *
 * Return: 0 or a negative errno.
 */
int __mcp_policy_open(const struct mcp_port *port, const struct mcp_endpoint *endpoint, u32 rights)
{
	struct mcp_policy_call call = { .rights = rights, .label = "" };

	return ask_open(&call, port, endpoint);
}

/**
 * __mcp_policy_grant() - may this port derive a handle?
 * @port: who asks
 * @parent: from which
 * @grant: what is asked for, no more than @parent has
 *
 * Return: 0 or a negative errno.
 */
int __mcp_policy_grant(const struct mcp_port *port, const struct mcp_handle *parent,
		       const struct mcp_grant *grant)
{
	char label[MCP_LABEL_SIZE + 1] = "";
	struct mcp_policy_call call = {
		.sender = parent->sender,
		.deadline = grant->expiry ?: parent->expiry,
		.flags = MCP_POLICY_GRANT,
		.rights = grant->rights,
		.depth = parent->depth + 1,
		.label = label,
	};

	memcpy(label, grant->label, sizeof(grant->label));
	return ask_open(&call, port, parent->endpoint);
}

static void describe_exchange(struct mcp_policy_call *call, const struct mcp_exchange *exchange)
{
	describe_asker(call, exchange->caller);
	describe_endpoint(call, exchange->handle->endpoint);
	call->sender = exchange->handle->sender;
	call->cookie = exchange->cookie;
	call->parent = exchange->parent ? exchange->parent->cookie : 0;
	call->deadline = exchange->deadline;
	call->rights = exchange->handle->rights;
	call->pid = exchange->stamp.pid;
	call->depth = exchange->depth;
	call->label = exchange->handle->label;
	if (exchange->parent)
		call->flags |= MCP_POLICY_NESTED;
	if (exchange->backward)
		call->flags |= MCP_POLICY_BACKWARD;
}

/* Under RCU. The tool's name and flags; those of a tool that is gone stay empty. */
static const struct mcp_tool_row *describe_tool(struct mcp_policy_call *call,
						const struct mcp_handle *handle)
{
	const struct mcp_tool_table *table = rcu_dereference(handle->endpoint->tools);
	const struct mcp_tool_row *row = mcp_endpoint_tool(table, call->tool);

	if (!row)
		return NULL;
	call->name = (const char *)row->tool.name;
	if (row->tool.flags & MCP_TOOL_READ_ONLY)
		call->flags |= MCP_POLICY_READ_ONLY;
	return row;
}

/**
 * __mcp_policy_allow() - may this request be sent?
 * @exchange: aimed at its server; nobody else has seen it
 * @envelope: checked, and so are rights and tool
 *
 * Return: 0 or a negative errno: -EACCES if a policy is required and none is
 * attached; -ESTALE for a tool that has changed since its rights were checked,
 * so that a policy decides on what they were checked for; or what a policy
 * answers.
 */
int __mcp_policy_allow(struct mcp_exchange *exchange, const struct mcp_envelope *envelope)
{
	const struct mcp_handle *handle = exchange->handle;
	const struct mcp_tool_row *row = NULL;
	const struct mcp_policy *policy;
	struct mcp_policy_call call = {
		.tool = envelope->tool,
		.length = envelope->len,
		.method = envelope->method,
		.proto = envelope->proto,
		.nfds = envelope->nfds,
	};
	int error;

	rcu_read_lock();
	policy = rcu_dereference(attached);
	if (!policy) {
		error = mcp_require_check(handle->endpoint);
		goto out;
	}
	describe_exchange(&call, exchange);
	/* A tool that the endpoint names when it asks back is none of its own. */
	if (call.tool && !exchange->backward)
		row = describe_tool(&call, handle);
	error = -ESTALE;
	if (call.tool && !exchange->backward && (!row || row->changed > handle->pinned))
		goto out;
	error = verdict(policy->allow(&call));
	if (error)
		goto out;
	exchange->tool = call.tool;
	exchange->length = call.length;
	exchange->allowed = ktime_get_ns();
out:
	rcu_read_unlock();
	return error;
}

/**
 * __mcp_policy_complete() - a request has ended; tell the policy, if one allowed it
 * @exchange: whoever ended it calls, once, and holds no lock
 * @status: 0, or why it has no answer: a positive errno
 * @answer: bytes of the answer's body
 */
void __mcp_policy_complete(const struct mcp_exchange *exchange, int status, u32 answer)
{
	const struct mcp_policy *policy;
	struct mcp_policy_call call = { .status = status, .answer = answer };

	if (!exchange->allowed)
		return;
	rcu_read_lock();
	policy = rcu_dereference(attached);
	if (policy && policy->complete) {
		describe_exchange(&call, exchange);
		call.tool = exchange->tool;
		call.length = exchange->length;
		call.latency = ktime_get_ns() - exchange->allowed;
		if (call.tool && !exchange->backward)
			describe_tool(&call, exchange->handle);
		policy->complete(&call);
	}
	rcu_read_unlock();
}
