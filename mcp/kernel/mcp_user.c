// SPDX-License-Identifier: GPL-2.0
/*
 * What one user has in flight, whatever the number of open files and handles.
 *
 * Concern: one account for each user id.
 * Context: process.
 * Locking: users_lock guards the list and is a leaf. The counters are atomic.
 * Lifetime: counted; an account ends with the last port or handle of its user.
 */
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/uidgid.h>

#include "mcp_internal.h"

static LIST_HEAD(users);
static DEFINE_SPINLOCK(users_lock);

static struct mcp_user *find_account(kuid_t uid)
{
	struct mcp_user *user;

	list_for_each_entry(user, &users, node)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/**
 * mcp_user_get() - the account of a user, made if need be
 * @uid: the user
 *
 * Return: the account with a reference, or ERR_PTR(-ENOMEM).
 */
struct mcp_user *mcp_user_get(kuid_t uid)
{
	struct mcp_user *user, *made;

	made = kzalloc(sizeof(*made), GFP_KERNEL_ACCOUNT);
	if (!made)
		return ERR_PTR(-ENOMEM);
	made->uid = uid;
	refcount_set(&made->refs, 1);
	mcp_quota_init(&made->quota, MCP_USER_REQUESTS, MCP_USER_UNITS);

	spin_lock(&users_lock);
	user = find_account(uid);
	if (user)
		refcount_inc(&user->refs);
	else
		list_add(&made->node, &users);
	spin_unlock(&users_lock);
	if (!user)
		return made;
	kfree(made);
	return user;
}

/**
 * mcp_user_hold() - one more reference
 * @user: an account that the caller has a reference of
 */
void mcp_user_hold(struct mcp_user *user)
{
	refcount_inc(&user->refs);
}

/**
 * mcp_user_put() - give a reference back
 * @user: it may be freed by this
 */
void mcp_user_put(struct mcp_user *user)
{
	bool last;

	spin_lock(&users_lock);
	last = refcount_dec_and_test(&user->refs);
	if (last)
		list_del(&user->node);
	spin_unlock(&users_lock);
	if (last)
		kfree(user);
}
