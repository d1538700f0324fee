// SPDX-License-Identifier: GPL-2.0
/*
 * How handles are made and taken: OPEN, GRANT, REVOKE.
 *
 * Concern: who gets which rights and tools; never more than who gives has.
 * Context: process; may sleep.
 * Locking: mcp_registry_lock, over the decision and its record. A handle that
 *          could not be completed is put once it is dropped.
 * Lifetime: mcp_handle.c tells that of a handle.
 */
#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "mcp_internal.h"

/* ---- Making one ---- */

/* The tools that a caller names. NULL: all of them. */
static unsigned long *read_pins(u64 address, u32 count, u32 row_size, struct mcp_pin **rows)
{
	unsigned long *tools;
	struct mcp_pin *pins;
	u32 i;

	*rows = NULL;
	if (!mcp_rows_fit(address, count, row_size, sizeof(*pins)))
		return ERR_PTR(-EINVAL);
	if (!count)
		return NULL;
	pins = vmemdup_array_user(u64_to_user_ptr(address), count, sizeof(*pins));
	if (IS_ERR(pins))
		return ERR_CAST(pins);
	tools = bitmap_zalloc(MCP_TOOL_ID_MAX + 1, GFP_KERNEL_ACCOUNT);
	if (!tools) {
		kvfree(pins);
		return ERR_PTR(-ENOMEM);
	}
	for (i = 0; i < count; i++) {
		u32 id = pins[i].tool;

		if (!id || id > MCP_TOOL_ID_MAX || pins[i].flags & ~MCP_PIN_DIGEST ||
		    (!(pins[i].flags & MCP_PIN_DIGEST) &&
		     memchr_inv(pins[i].digest, 0, sizeof(pins[i].digest)))) {
			bitmap_free(tools);
			kvfree(pins);
			return ERR_PTR(-EINVAL);
		}
		__set_bit(id, tools);
	}
	*rows = pins;
	return tools;
}

/* Is each tool there, as the caller knows it, and within the parent's? */
static int check_pins(const struct mcp_handle *handle, const struct mcp_pin *pins, u32 count)
{
	const struct mcp_handle *parent = handle->parent;
	const struct mcp_tool_table *table;
	int error;
	u32 i;

	table = rcu_dereference_protected(handle->endpoint->tools,
					  lockdep_is_held(&mcp_registry_lock));
	for (i = 0; i < count; i++) {
		const struct mcp_tool_row *row = mcp_endpoint_tool(table, pins[i].tool);

		if (!row)
			return -EACCES;
		if (parent && parent->tools && !test_bit(pins[i].tool, parent->tools))
			return -EACCES;
		error = mcp_check_pinned(handle->pinned, row->born, row->changed, false);
		if (error)
			return error;
		if (pins[i].flags & MCP_PIN_DIGEST &&
		    memcmp(pins[i].digest, row->tool.digest, sizeof(row->tool.digest)))
			return -ESTALE;
	}
	return 0;
}

static struct mcp_handle *new_handle(struct mcp_port *port, struct mcp_endpoint *endpoint,
				     struct mcp_handle *parent)
{
	struct mcp_handle *handle;

	if (endpoint->nhandles == MCP_ENDPOINT_HANDLES)
		return ERR_PTR(-EDQUOT);
	if (atomic_inc_return(&port->user->handles) > MCP_USER_HANDLES) {
		atomic_dec(&port->user->handles);
		return ERR_PTR(-EDQUOT);
	}
	handle = kzalloc(sizeof(*handle), GFP_KERNEL_ACCOUNT);
	if (!handle) {
		atomic_dec(&port->user->handles);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&handle->refs, 1);
	INIT_LIST_HEAD(&handle->children);
	init_waitqueue_head(&handle->poll);
	mcp_quota_init(&handle->back, MCP_MAX_INFLIGHT, ~0u);
	mcp_audit_handle_init(handle);
	mcp_user_hold(port->user);
	handle->user = port->user;
	refcount_inc(&endpoint->refs);
	handle->endpoint = endpoint;
	handle->sender = mcp_new_sender();
	if (parent) {
		handle->parent = mcp_handle_get(parent);
		handle->depth = parent->depth + 1;
	}
	endpoint->nhandles++;
	list_add_tail(&handle->sibling, parent ? &parent->children : &endpoint->handles);
	mcp_handles_generation++;
	return handle;
}

/* A descriptor for it, which is not in the table yet. */
static int make_descriptor(struct mcp_handle *handle, struct file **file)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	*file = anon_inode_getfile("[mcp-handle]", &mcp_handle_fops, handle, O_RDWR);
	if (!IS_ERR(*file))
		return fd;
	put_unused_fd(fd);
	return PTR_ERR(*file);
}

/* Rights that owner, group and mode give to a credential. */
static u32 rights_of(const struct mcp_endpoint *endpoint, const struct cred *cred)
{
	return mcp_rights_of_mode(endpoint->mode, uid_eq(cred->euid, endpoint->uid),
				  mcp_in_group(cred, endpoint->gid));
}

/**
 * mcp_openable() - which rights could a port get?
 * @port: who asks
 * @endpoint: the registry's lock is held
 *
 * Return: MCP_RIGHT_* that OPEN would give, each asked for alone; 0 if it gives none.
 */
u32 mcp_openable(struct mcp_port *port, struct mcp_endpoint *endpoint)
{
	u32 rights = rights_of(endpoint, port->cred), right;

	for (right = 1; right <= rights; right <<= 1)
		if (rights & right && mcp_policy_open(port, endpoint, right))
			rights &= ~right;
	return rights;
}

static int admit_open(struct mcp_port *port, struct mcp_endpoint *endpoint,
		      const struct mcp_open *open)
{
	const struct mcp_tool_table *table;

	if (open->rights & ~rights_of(endpoint, port->cred))
		return -EACCES;
	table = rcu_dereference_protected(endpoint->tools, lockdep_is_held(&mcp_registry_lock));
	if (open->generation && open->generation != table->generation)
		return -ESTALE;
	return mcp_policy_open(port, endpoint, open->rights);
}

/*
 * The registry's lock is held. The handle, if there is one, is the caller's to
 * put once it is dropped.
 */
static int open_handle(struct mcp_port *port, const struct mcp_open *open, unsigned long *tools,
		       const struct mcp_pin *pins, struct mcp_handle **made)
{
	struct mcp_endpoint *endpoint = mcp_endpoint_find(open->name);
	struct mcp_handle *handle;
	int error;

	if (!endpoint)
		return -ENOENT;
	error = admit_open(port, endpoint, open);
	if (error) {
		mcp_audit_decision("open", endpoint, NULL, open->rights, error);
		return error;
	}
	handle = new_handle(port, endpoint, NULL);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	*made = handle;
	handle->tools = tools;
	handle->rights = open->rights;
	handle->pinned = endpoint->serial;
	mcp_quota_init(&handle->quota, MCP_MAX_INFLIGHT, ~0u);
	error = check_pins(handle, pins, open->npins);
	return mcp_audit_decision("open", endpoint, handle, open->rights, error) ?: error;
}

/* What an attempt that failed leaves: a handle that has the tools, or the tools. */
static int give_up(struct mcp_handle *handle, unsigned long *tools, int error)
{
	if (handle)
		mcp_handle_put(handle);
	else
		bitmap_free(tools);
	return error;
}

/* The last step: give the handle to the caller, or to nobody. */
static int hand_out(struct mcp_handle *handle, __s32 *fd, void __user *user, void *answer,
		    size_t size)
{
	struct file *file;

	*fd = make_descriptor(handle, &file);
	if (*fd < 0) {
		mcp_handle_put(handle);
		return *fd;
	}
	if (copy_to_user(user, answer, size)) {
		put_unused_fd(*fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(*fd, file);
	return 0;
}

/**
 * mcp_ioctl_open() - answer MCP_IOC_OPEN
 * @port: whose credential decides
 * @user: the caller's structure
 *
 * Return: 0, or an error of docs/uapi.md.
 */
long mcp_ioctl_open(struct mcp_port *port, struct mcp_open __user *user)
{
	struct mcp_handle *handle = NULL;
	unsigned long *tools;
	struct mcp_open open;
	struct mcp_pin *pins;
	int error;

	error = mcp_copy_in(&open, sizeof(open), user);
	if (error)
		return error;
	if (open.flags || !open.rights || open.rights & ~MCP_RIGHTS ||
	    mcp_name_check(open.name, sizeof(open.name), MCP_NAME_MAX) <= 0)
		return -EINVAL;
	tools = read_pins(open.pins, open.npins, open.pin_size, &pins);
	if (IS_ERR(tools))
		return PTR_ERR(tools);
	mutex_lock(&mcp_registry_lock);
	error = open_handle(port, &open, tools, pins, &handle);
	mutex_unlock(&mcp_registry_lock);
	kvfree(pins);
	if (error)
		return give_up(handle, tools, error);
	open.size = sizeof(open);
	open.sender = handle->sender;
	return hand_out(handle, &open.fd, user, &open, sizeof(open));
}

/* The handle behind a descriptor, with a reference. */
static struct mcp_handle *get_handle(int number)
{
	struct mcp_handle *handle = NULL;
	struct fd fd = fdget(number);

	if (fd_file(fd))
		handle = mcp_handle_of(fd_file(fd));
	if (handle)
		mcp_handle_get(handle);
	fdput(fd);
	return handle;
}

/* Is what is asked for within what the parent has? Then @made is what it gives. */
static int check_grant(const struct mcp_handle *parent, const struct mcp_grant *grant,
		       struct mcp_bounds *made)
{
	const struct mcp_bounds has = {
		.expiry = parent->expiry,
		.rights = parent->rights,
		.depth = parent->depth,
		.max_requests = parent->quota.max_requests,
		.max_units = parent->quota.max_units,
	};
	int error = mcp_handle_error(parent);

	return error ? -error : mcp_bounds_narrow(&has, grant, ktime_get_ns(), made);
}

/* As open_handle(). */
static int derive_handle(struct mcp_port *port, struct mcp_handle *parent,
			 const struct mcp_grant *grant, unsigned long *tools,
			 const struct mcp_pin *pins, struct mcp_handle **made)
{
	struct mcp_bounds bounds;
	struct mcp_handle *handle;
	int error;

	error = check_grant(parent, grant, &bounds) ?: mcp_policy_grant(port, parent, grant);
	if (error) {
		mcp_audit_decision("grant", parent->endpoint, parent, grant->rights, error);
		return error;
	}
	handle = new_handle(port, parent->endpoint, parent);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	*made = handle;
	handle->tools = tools;
	if (!tools && parent->tools) {
		handle->tools = bitmap_alloc(MCP_TOOL_ID_MAX + 1, GFP_KERNEL_ACCOUNT);
		if (!handle->tools)
			return -ENOMEM;
		bitmap_copy(handle->tools, parent->tools, MCP_TOOL_ID_MAX + 1);
	}
	handle->rights = bounds.rights;
	handle->pinned = parent->pinned;
	handle->expiry = bounds.expiry;
	if (handle->expiry)
		mcp_handle_arm(handle);
	mcp_quota_init(&handle->quota, bounds.max_requests, bounds.max_units);
	memcpy(handle->label, grant->label, sizeof(grant->label));
	error = check_pins(handle, pins, grant->npins);
	return mcp_audit_decision("grant", parent->endpoint, handle, grant->rights, error) ?: error;
}

/**
 * mcp_ioctl_grant() - answer MCP_IOC_GRANT
 * @port: whose user is charged
 * @user: the caller's structure
 *
 * Return: 0, or an error of docs/uapi.md.
 */
long mcp_ioctl_grant(struct mcp_port *port, struct mcp_grant __user *user)
{
	struct mcp_handle *handle = NULL, *parent;
	struct mcp_grant grant;
	unsigned long *tools;
	struct mcp_pin *pins;
	int error;

	error = mcp_copy_in(&grant, sizeof(grant), user);
	if (error)
		return error;
	if (grant.flags || !grant.rights || grant.rights & ~MCP_RIGHTS ||
	    grant.expiry > S64_MAX ||
	    mcp_name_check(grant.label, sizeof(grant.label), sizeof(grant.label)) < 0)
		return -EINVAL;
	parent = get_handle(grant.handle);
	if (!parent)
		return -EBADF;
	tools = read_pins(grant.pins, grant.npins, grant.pin_size, &pins);
	if (IS_ERR(tools)) {
		mcp_handle_put(parent);
		return PTR_ERR(tools);
	}
	mutex_lock(&mcp_registry_lock);
	error = derive_handle(port, parent, &grant, tools, pins, &handle);
	mutex_unlock(&mcp_registry_lock);
	kvfree(pins);
	mcp_handle_put(parent);
	if (error)
		return give_up(handle, tools, error);
	grant.size = sizeof(grant);
	grant.sender = handle->sender;
	return hand_out(handle, &grant.fd, user, &grant, sizeof(grant));
}

/* ---- Taking it ---- */

/* In a tree, itself included. As deep as MCP_MAX_DEPTH. */
static struct mcp_handle *find_below(struct mcp_handle *handle, u64 sender)
{
	struct mcp_handle *child, *found;

	if (handle->sender == sender)
		return handle;
	list_for_each_entry(child, &handle->children, sibling) {
		found = find_below(child, sender);
		if (found)
			return found;
	}
	return NULL;
}

static struct mcp_handle *find_at(struct mcp_endpoint *endpoint, u64 sender)
{
	struct mcp_handle *handle, *found;

	list_for_each_entry(handle, &endpoint->handles, sibling) {
		found = find_below(handle, sender);
		if (found)
			return found;
	}
	return NULL;
}

/* The registry's lock is held. */
static int revoke(struct mcp_endpoint *endpoint, struct mcp_handle *top, u64 sender)
{
	struct mcp_handle *handle = top ? find_below(top, sender) : find_at(endpoint, sender);

	if (!handle)
		return -ENOENT;
	mcp_handle_kill(handle, EKEYREVOKED);
	/* A record that is lost takes no handle back. */
	mcp_audit_decision("revoke", endpoint, handle, handle->rights, 0);
	return 0;
}

static int revoke_below(struct mcp_revoke *revoked, struct mcp_port **server)
{
	struct mcp_handle *top = get_handle(revoked->handle);
	int error = -EACCES;

	if (!top)
		return -EBADF;
	if (top->rights & MCP_RIGHT_GRANT) {
		mutex_lock(&mcp_registry_lock);
		error = revoke(top->endpoint, top, revoked->sender);
		mutex_unlock(&mcp_registry_lock);
		*server = mcp_endpoint_port(top->endpoint);
	} else {
		mcp_audit_decision("revoke", top->endpoint, top, top->rights, error);
	}
	mcp_handle_put(top);
	return error;
}

static int revoke_here(struct mcp_revoke *revoked, struct mcp_port *port)
{
	int error = -ENOTCONN;

	mutex_lock(&port->setup);
	if (port->endpoint) {
		mutex_lock(&mcp_registry_lock);
		error = revoke(port->endpoint, NULL, revoked->sender);
		mutex_unlock(&mcp_registry_lock);
	}
	mutex_unlock(&port->setup);
	return error;
}

/**
 * mcp_ioctl_revoke() - answer MCP_IOC_REVOKE
 * @port: the caller
 * @user: the caller's structure
 *
 * When it returns, no call on these handles is in flight.
 *
 * Return: 0, or an error of docs/uapi.md.
 */
long mcp_ioctl_revoke(struct mcp_port *port, struct mcp_revoke __user *user)
{
	struct mcp_port *server = NULL;
	struct mcp_revoke revoked;
	int error;

	error = mcp_copy_in(&revoked, sizeof(revoked), user);
	if (error)
		return error;
	if (revoked.flags || revoked.reserved || !revoked.sender)
		return -EINVAL;
	if (revoked.handle == -1) {
		error = revoke_here(&revoked, port);
		server = mcp_port_get(port);
	} else {
		error = revoke_below(&revoked, &server);
	}
	if (server) {
		if (!error)
			mcp_exchange_sweep(server, true, 0);
		mcp_port_put(server);
	}
	return error;
}
