// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoints: names that are served, and their tables of tools.
 *
 * Concern: SERVE, UPDATE, the registry of names.
 * Context: process; may sleep.
 * Locking: mcp_registry_lock guards names, trees of handles and the writing of
 *          tables; it is taken after a port's @setup and before all else.
 *          Tables and endpoint->port are read under RCU.
 * Lifetime: an endpoint is counted: its port has a reference, each handle one.
 *           It leaves the registry when its port is closed.
 */
#include <linux/capability.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "mcp_internal.h"
#include "mcp_netlink.h"

/* How long a name that was given up can be had by nobody but its last owner. */
#define HOLD_NS (30ull * NSEC_PER_SEC)
/* As many names are held; who gives up more loses the oldest of his own. */
#define HOLD_MAX 256

/* A name that was served. */
struct held_name {
	struct list_head node;
	char name[MCP_NAME_SIZE];
	kuid_t uid;
	u64 until;
};

/* Guards names, trees of handles, and the replacing of tables. */
DEFINE_MUTEX(mcp_registry_lock);
LIST_HEAD(mcp_endpoints);
u64 mcp_registry_generation;
static LIST_HEAD(held);
static unsigned int held_count;

static void registry_changed(enum mcp_change change)
{
	lockdep_assert_held(&mcp_registry_lock);
	WRITE_ONCE(mcp_registry_generation, mcp_registry_generation + 1);
	mcp_netlink_changed(change, mcp_registry_generation);
}

/**
 * mcp_endpoint_find() - by name
 * @name: with a NUL
 *
 * Return: the endpoint, which stays as long as the registry's lock is held;
 * or NULL.
 */
struct mcp_endpoint *mcp_endpoint_find(const char *name)
{
	struct mcp_endpoint *endpoint;

	lockdep_assert_held(&mcp_registry_lock);
	list_for_each_entry(endpoint, &mcp_endpoints, node)
		if (!strcmp(endpoint->name, name))
			return endpoint;
	return NULL;
}

/**
 * mcp_endpoint_put() - give a reference back
 * @endpoint: it may be freed by this
 */
void mcp_endpoint_put(struct mcp_endpoint *endpoint)
{
	if (!refcount_dec_and_test(&endpoint->refs))
		return;
	kvfree(rcu_dereference_raw(endpoint->tools));
	kvfree(endpoint->gone);
	kfree(endpoint->hold);
	kfree(endpoint);
}

/**
 * mcp_endpoint_port() - who serves it
 * @endpoint: any
 *
 * Return: a reference, or NULL if nobody does any more.
 */
struct mcp_port *mcp_endpoint_port(struct mcp_endpoint *endpoint)
{
	struct mcp_port *port;

	rcu_read_lock();
	port = rcu_dereference(endpoint->port);
	if (port && !refcount_inc_not_zero(&port->refs))
		port = NULL;
	rcu_read_unlock();
	return port;
}

/**
 * mcp_endpoint_tool() - a row of a table
 * @table: under RCU or the registry's lock
 * @id: any number
 *
 * Return: the row, or NULL.
 */
const struct mcp_tool_row *mcp_endpoint_tool(const struct mcp_tool_table *table, u32 id)
{
	return id < table->size ? table->row[id] : NULL;
}

static int check_tool(const struct mcp_tool *tool)
{
	if (!tool->id || tool->id > MCP_TOOL_ID_MAX || tool->flags & ~MCP_TOOL_READ_ONLY)
		return -EINVAL;
	return mcp_name_check(tool->name, sizeof(tool->name), MCP_NAME_MAX) > 0 ? 0 : -EINVAL;
}

static u32 largest_id(const struct mcp_tool *tools, u32 count)
{
	u32 largest = 0, i;

	for (i = 0; i < count; i++)
		largest = max(largest, tools[i].id);
	return largest;
}

/*
 * A table from the caller's rows: pointers by id, then the rows themselves, in
 * one piece.
 */
static struct mcp_tool_table *make_table(u64 address, u32 count, u32 row_size)
{
	struct mcp_tool_table *table = NULL;
	struct mcp_tool_row *row;
	struct mcp_tool *tools;
	u32 i, size;
	int error = 0;

	if (!mcp_rows_fit(address, count, row_size, sizeof(*tools)))
		return ERR_PTR(-EINVAL);
	tools = kvmalloc_array(count ?: 1, sizeof(*tools), GFP_KERNEL_ACCOUNT);
	if (!tools)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(tools, u64_to_user_ptr(address), count * sizeof(*tools)))
		error = -EFAULT;
	for (i = 0; i < count && !error; i++)
		error = check_tool(tools + i);
	if (error)
		goto out;
	size = largest_id(tools, count) + 1;
	table = kvzalloc(struct_size(table, row, size) + count * sizeof(*row), GFP_KERNEL_ACCOUNT);
	if (!table) {
		error = -ENOMEM;
		goto out;
	}
	table->size = size;
	table->count = count;
	row = (struct mcp_tool_row *)(table->row + size);
	for (i = 0; i < count && !error; i++, row++) {
		row->tool = tools[i];
		if (table->row[tools[i].id])
			error = -EINVAL;
		table->row[tools[i].id] = row;
	}
out:
	kvfree(tools);
	if (!error)
		return table;
	kvfree(table);
	return ERR_PTR(error);
}

/* When a tool that is not in the table was first there: 0 for never. */
static u64 born_before(const struct mcp_endpoint *endpoint, u32 id)
{
	return endpoint->gone ? endpoint->gone[id] : 0;
}

/* A tool that is taken out may come back: then it is one that has changed. */
static int remember_gone(struct mcp_endpoint *endpoint, const struct mcp_tool_table *old,
			 const struct mcp_tool_table *table)
{
	u32 id;

	for (id = 1; id < old->size; id++) {
		if (!old->row[id] || mcp_endpoint_tool(table, id))
			continue;
		if (!endpoint->gone)
			endpoint->gone = kvcalloc(MCP_TOOL_ID_MAX + 1, sizeof(*endpoint->gone),
						  GFP_KERNEL_ACCOUNT);
		if (!endpoint->gone)
			return -ENOMEM;
		endpoint->gone[id] = old->row[id]->born;
	}
	return 0;
}

/* Give each row its serial numbers. Returns whether anything is different. */
static bool compare_tables(struct mcp_endpoint *endpoint, const struct mcp_tool_table *old,
			   struct mcp_tool_table *table)
{
	u64 serial = endpoint->serial + 1;
	bool different = !old || old->count != table->count;
	u32 id;

	for (id = 1; id < table->size; id++) {
		const struct mcp_tool_row *before = old ? mcp_endpoint_tool(old, id) : NULL;
		struct mcp_tool_row *row = table->row[id];

		if (!row)
			continue;
		row->born = before ? before->born : born_before(endpoint, id) ?: serial;
		row->changed = serial;
		if (before && !memcmp(&before->tool, &row->tool, sizeof(row->tool)))
			row->changed = before->changed;
		else
			different = true;
	}
	return different;
}

/*
 * Replace the table, unless it is the same; @table is the endpoint's, or freed,
 * or still the caller's if this fails: -ENOMEM.
 */
static int set_table(struct mcp_endpoint *endpoint, struct mcp_tool_table *table, u64 *generation)
{
	struct mcp_tool_table *old;

	old = rcu_dereference_protected(endpoint->tools, lockdep_is_held(&mcp_registry_lock));
	if (!compare_tables(endpoint, old, table)) {
		kvfree(table);
		*generation = old->generation;
		return 0;
	}
	if (old && remember_gone(endpoint, old, table))
		return -ENOMEM;
	endpoint->serial++;
	table->generation = old ? old->generation + 1 : 1;
	rcu_assign_pointer(endpoint->tools, table);
	if (old) {
		kvfree_rcu(old, rcu);
		registry_changed(MCP_CHANGE_TOOLS);
	}
	*generation = table->generation;
	return 0;
}

static void forget_held(struct held_name *name)
{
	list_del(&name->node);
	held_count--;
	kfree(name);
}

/* May this user have the name? What is held too long is forgotten here. */
static bool name_is_held(const char *name, kuid_t uid)
{
	u64 now = ktime_get_boottime_ns();
	struct held_name *entry, *next;

	list_for_each_entry_safe(entry, next, &held, node) {
		if (entry->until <= now)
			forget_held(entry);
		else if (!strcmp(entry->name, name) && !uid_eq(entry->uid, uid))
			return true;
	}
	return false;
}

static unsigned int held_by(kuid_t uid)
{
	struct held_name *entry;
	unsigned int count = 0;

	list_for_each_entry(entry, &held, node)
		count += uid_eq(entry->uid, uid);
	return count;
}

/*
 * The oldest goes of whoever has the most, so that nobody can drive another's
 * names out, nor leave others no more than one.
 */
static void make_room(void)
{
	struct held_name *entry, *victim = NULL;
	unsigned int most = 0;

	list_for_each_entry(entry, &held, node) {
		unsigned int count;

		if (victim && uid_eq(entry->uid, victim->uid))
			continue;
		count = held_by(entry->uid);
		if (count > most) {
			most = count;
			victim = entry;
		}
	}
	forget_held(victim);
}

static void hold_name(struct mcp_endpoint *endpoint, kuid_t uid)
{
	struct held_name *entry, *next;

	u64 now = ktime_get_boottime_ns();

	/* A name is held once, from its last end, and not for longer than its time. */
	list_for_each_entry_safe(entry, next, &held, node)
		if (entry->until <= now || !strcmp(entry->name, endpoint->name))
			forget_held(entry);
	if (held_count == HOLD_MAX)
		make_room();
	entry = endpoint->hold;
	endpoint->hold = NULL;
	strscpy(entry->name, endpoint->name);
	entry->uid = uid;
	entry->until = now + HOLD_NS;
	list_add_tail(&entry->node, &held);
	held_count++;
}

/**
 * mcp_in_group() - is a credential in a group?
 * @cred: need not be the current task's, so in_egroup_p() will not do
 * @gid: the group
 *
 * Return: true if it is the effective group or one of the others.
 */
bool mcp_in_group(const struct cred *cred, kgid_t gid)
{
	int i;

	if (gid_eq(cred->egid, gid))
		return true;
	for (i = 0; i < cred->group_info->ngroups; i++)
		if (gid_eq(cred->group_info->gid[i], gid))
			return true;
	return false;
}

static bool is_system_name(const char *name)
{
	return !strncmp(name, "sys.", 4);
}

static int check_serve(struct mcp_port *port, struct file *file, const struct mcp_serve *serve)
{
	const struct cred *cred = port->cred;
	kgid_t gid = make_kgid(&init_user_ns, serve->gid);
	int length = mcp_name_check(serve->name, sizeof(serve->name), MCP_NAME_MAX);
	bool admin = file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN);
	bool chown = file_ns_capable(file, &init_user_ns, CAP_CHOWN);

	if (length <= 0 || serve->mode & ~0777 || serve->max_inflight > MCP_USER_REQUESTS)
		return -EINVAL;
	if (serve->flags & ~(MCP_SERVE_BOOT | MCP_SERVE_REQUIRE_POLICY))
		return -EINVAL;
	if ((serve->flags || is_system_name(serve->name)) && !admin)
		return -EPERM;
	if (serve->uid != ~0u && serve->uid != from_kuid(&init_user_ns, cred->euid) && !chown)
		return -EPERM;
	if (serve->gid != ~0u && !mcp_in_group(cred, gid) && !chown)
		return -EPERM;
	return 0;
}

static struct mcp_endpoint *new_endpoint(struct mcp_port *port, const struct mcp_serve *serve)
{
	struct mcp_endpoint *endpoint = kzalloc(sizeof(*endpoint), GFP_KERNEL_ACCOUNT);

	if (!endpoint)
		return NULL;
	/* The end of a file cannot fail for want of memory. */
	endpoint->hold = kmalloc(sizeof(*endpoint->hold), GFP_KERNEL_ACCOUNT);
	if (!endpoint->hold) {
		kfree(endpoint);
		return NULL;
	}
	refcount_set(&endpoint->refs, 1);
	INIT_LIST_HEAD(&endpoint->handles);
	mcp_quota_init(&endpoint->quota, serve->max_inflight ?: MCP_USER_REQUESTS, ~0u);
	endpoint->sender = mcp_new_sender();
	endpoint->uid = serve->uid == ~0u ? port->cred->euid : make_kuid(&init_user_ns, serve->uid);
	endpoint->gid = serve->gid == ~0u ? port->cred->egid : make_kgid(&init_user_ns, serve->gid);
	endpoint->mode = serve->mode;
	endpoint->flags = serve->flags;
	memcpy(endpoint->name, serve->name, sizeof(endpoint->name));
	return endpoint;
}

/* Both locks are held. */
static int register_endpoint(struct mcp_port *port, struct mcp_endpoint *endpoint,
			     struct mcp_tool_table *table)
{
	u64 generation;

	if (port->endpoint)
		return -EBUSY;
	if (!port->area)
		return -ENOBUFS;
	if (mcp_endpoint_find(endpoint->name))
		return -EEXIST;
	if (name_is_held(endpoint->name, port->cred->euid))
		return -EADDRINUSE;
	if (mcp_audit_decision("serve", endpoint, NULL, 0, 0))
		return -ENOSPC;
	if (endpoint->flags & MCP_SERVE_REQUIRE_POLICY)
		mcp_policy_watch();
	/* The first table takes no memory. */
	set_table(endpoint, table, &generation);
	rcu_assign_pointer(endpoint->port, port);
	port->endpoint = endpoint;
	list_add_tail(&endpoint->node, &mcp_endpoints);
	registry_changed(MCP_CHANGE_ADDED);
	return 0;
}

/**
 * mcp_ioctl_serve() - answer MCP_IOC_SERVE
 * @port: becomes an endpoint
 * @file: of the port; its credential decides
 * @user: the caller's structure
 *
 * Return: 0, or an error of docs/uapi.md.
 */
long mcp_ioctl_serve(struct mcp_port *port, struct file *file, struct mcp_serve __user *user)
{
	struct mcp_endpoint *endpoint = NULL;
	struct mcp_tool_table *table;
	struct mcp_serve serve;
	int error;

	error = mcp_copy_in(&serve, sizeof(serve), user);
	if (!error)
		error = check_serve(port, file, &serve);
	if (error == -EPERM)
		mcp_audit_name("serve", serve.name, error);
	if (error)
		return error;
	table = make_table(serve.tools, serve.ntools, serve.tool_size);
	if (IS_ERR(table))
		return PTR_ERR(table);
	endpoint = new_endpoint(port, &serve);
	if (!endpoint) {
		kvfree(table);
		return -ENOMEM;
	}
	serve.size = sizeof(serve);
	serve.generation = 1;
	serve.sender = endpoint->sender;
	/* The answer first: what is served cannot be taken back unseen. */
	error = copy_to_user(user, &serve, sizeof(serve)) ? -EFAULT : 0;
	if (!error) {
		mutex_lock(&port->setup);
		mutex_lock(&mcp_registry_lock);
		error = register_endpoint(port, endpoint, table);
		mutex_unlock(&mcp_registry_lock);
		mutex_unlock(&port->setup);
	}
	if (error) {
		kvfree(table);
		kfree(endpoint->hold);
		kfree(endpoint);
	}
	return error;
}

/**
 * mcp_ioctl_update() - answer MCP_IOC_UPDATE
 * @port: an endpoint
 * @user: the caller's structure
 *
 * Return: 0; -ENOTCONN if the port serves nothing; else as for SERVE.
 */
long mcp_ioctl_update(struct mcp_port *port, struct mcp_update __user *user)
{
	struct mcp_tool_table *table;
	struct mcp_update update;
	int error;

	error = mcp_copy_in(&update, sizeof(update), user);
	if (error)
		return error;
	if (update.flags)
		return -EINVAL;
	update.size = sizeof(update);
	table = make_table(update.tools, update.ntools, update.tool_size);
	if (IS_ERR(table))
		return PTR_ERR(table);
	mutex_lock(&port->setup);
	if (port->endpoint) {
		mutex_lock(&mcp_registry_lock);
		error = set_table(port->endpoint, table, &update.generation);
		mutex_unlock(&mcp_registry_lock);
	} else {
		error = -ENOTCONN;
	}
	mutex_unlock(&port->setup);
	if (error)
		kvfree(table);
	if (!error && copy_to_user(user, &update, sizeof(update)))
		error = -EFAULT;
	return error;
}

/**
 * mcp_endpoint_close() - nobody serves it any more
 * @endpoint: of a port that is being closed; the port's reference is given back
 */
void mcp_endpoint_close(struct mcp_endpoint *endpoint)
{
	struct mcp_handle *handle;
	struct mcp_port *port;

	mutex_lock(&mcp_registry_lock);
	port = rcu_dereference_protected(endpoint->port, lockdep_is_held(&mcp_registry_lock));
	RCU_INIT_POINTER(endpoint->port, NULL);
	list_del(&endpoint->node);
	list_for_each_entry(handle, &endpoint->handles, sibling)
		mcp_handle_kill(handle, EPIPE);
	hold_name(endpoint, port->cred->euid);
	registry_changed(MCP_CHANGE_REMOVED);
	mutex_unlock(&mcp_registry_lock);
	mcp_endpoint_put(endpoint);
}

/* The module goes: nobody holds a port, so all that is left are held names. */
void mcp_endpoint_exit(void)
{
	struct held_name *entry, *next;

	list_for_each_entry_safe(entry, next, &held, node)
		forget_held(entry);
}
