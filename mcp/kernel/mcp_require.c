// SPDX-License-Identifier: GPL-2.0
/*
 * REQUIRE: where nothing may be sent that no policy has seen.
 *
 * Concern: which endpoints need a policy; mcp_policy.c asks when there is none.
 * Context: process.
 * Locking: @required only ever grows, one byte or one list entry at a time,
 *          under the registry's lock; it is read without one.
 * Lifetime: until the module goes: the bit is sticky.
 */
#include <linux/capability.h>
#include <linux/slab.h>

#include "mcp_internal.h"

#define REQUIRED_MAX 64

struct required_name {
	struct list_head node;
	char name[MCP_NAME_SIZE];
};

static LIST_HEAD(required);
static unsigned int required_count;
static bool all_required;

static bool is_required(const char *name)
{
	struct required_name *entry;

	/* Entries are never taken away while anybody can ask. */
	list_for_each_entry_rcu(entry, &required, node, true)
		if (!strcmp(entry->name, name))
			return true;
	return false;
}

/**
 * mcp_require_check() - does this endpoint do without a policy?
 * @endpoint: that somebody opens or calls, and no policy is attached
 *
 * Return: 0 or -EACCES.
 */
int mcp_require_check(const struct mcp_endpoint *endpoint)
{
	if (endpoint->flags & MCP_SERVE_BOOT)
		return 0;
	if (READ_ONCE(all_required) || endpoint->flags & MCP_SERVE_REQUIRE_POLICY)
		return -EACCES;
	if (READ_ONCE(required_count) && is_required(endpoint->name))
		return -EACCES;
	return 0;
}

static int require_name(const u8 *name)
{
	struct required_name *entry;
	int error = 0;

	mutex_lock(&mcp_registry_lock);
	if (is_required(name))
		goto out;
	error = -ENOSPC;
	if (required_count == REQUIRED_MAX)
		goto out;
	error = -ENOMEM;
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		goto out;
	error = 0;
	memcpy(entry->name, name, sizeof(entry->name));
	list_add_tail_rcu(&entry->node, &required);
	WRITE_ONCE(required_count, required_count + 1);
	mcp_policy_watch();
out:
	mutex_unlock(&mcp_registry_lock);
	return error;
}

static void require_all(void)
{
	mutex_lock(&mcp_registry_lock);
	WRITE_ONCE(all_required, true);
	mcp_policy_watch();
	mutex_unlock(&mcp_registry_lock);
}

/**
 * mcp_ioctl_require() - answer MCP_IOC_REQUIRE
 * @file: the opener's credential decides
 * @user: the caller's structure
 *
 * Return: 0; -EPERM without CAP_SYS_ADMIN; -EINVAL for a flag or a name that
 * is none; -ENOSPC for too many names; -ENOMEM; and as mcp_copy_in().
 */
long mcp_ioctl_require(struct file *file, struct mcp_require __user *user)
{
	struct mcp_require require;
	int length, error;

	error = mcp_copy_in(&require, sizeof(require), user);
	if (error)
		return error;
	length = mcp_name_check(require.name, sizeof(require.name), MCP_NAME_MAX);
	if (require.flags || length < 0)
		return -EINVAL;
	error = file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN) ? 0 : -EPERM;
	if (!error && length)
		error = require_name(require.name);
	else if (!error)
		require_all();
	/* A record that is lost does not keep the rule from being made stricter. */
	mcp_audit_name("require", require.name, error);
	return error;
}

/* The module goes, so nobody asks any more. */
void mcp_require_exit(void)
{
	struct required_name *entry, *next;

	list_for_each_entry_safe(entry, next, &required, node)
		kfree(entry);
}
