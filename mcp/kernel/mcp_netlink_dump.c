// SPDX-License-Identifier: GPL-2.0
/*
 * Dumps of endpoints, tools and handles.
 *
 * Concern: lists that need not fit into one message, and that may change while
 *          they are read: then netlink's NLM_F_DUMP_INTR says so.
 * Context: process; may sleep. A dump begins in the task that asks, and goes on
 *          in whichever task reads from the socket: what that one may do does
 *          not matter.
 * Locking: the registry's lock, once for each piece; tables of tools are read
 *          under RCU.
 * Lifetime: a dump has a reference of its port, and of the endpoint whose tools
 *           it lists, until it is done or its socket is closed. Netlink holds
 *           the module meanwhile.
 */
#include <net/genetlink.h>

#include "mcp_internal.h"
#include "mcp_netlink_gen.h"
#include "mcp_netlink_port.h"

/**
 * struct dump - what is kept between two pieces
 * @port: on whose authority
 * @endpoint: of tool-get, else NULL
 * @next: how many entries are told, or the next id of a tool
 * @all: not just what belongs to the port's user
 */
struct dump {
	struct mcp_port *port;
	struct mcp_endpoint *endpoint;
	u32 next;
	bool all;
};

static_assert(sizeof(struct dump) <= sizeof_field(struct netlink_callback, ctx));

static struct dump *dump_of(struct netlink_callback *cb)
{
	return (struct dump *)cb->ctx;
}

int mcp_nl_dump_start(struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct mcp_port *port = mcp_nl_port(genl_info_dump(cb), &dump->all);

	if (IS_ERR(port))
		return PTR_ERR(port);
	dump->port = port;
	return 0;
}

int mcp_nl_dump_done(struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);

	if (dump->endpoint)
		mcp_endpoint_put(dump->endpoint);
	mcp_port_put(dump->port);
	return 0;
}

/* The beginning of one entry. */
static void *begin(struct sk_buff *skb, struct netlink_callback *cb)
{
	void *header = __genlmsg_iput(skb, genl_info_dump(cb), NLM_F_MULTI);

	if (header)
		genl_dump_check_consistent(cb, header);
	return header;
}

static int finish(struct sk_buff *skb, void *header, bool full)
{
	if (full) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

/* Zero would mean that nobody counts. */
static unsigned int sequence(u64 generation)
{
	return (u32)generation ?: 1;
}

/* ---- Endpoints ---- */

static u32 count_handles(const struct list_head *handles)
{
	struct mcp_handle *handle;
	u32 count = 0;

	/* As deep as MCP_MAX_DEPTH. */
	list_for_each_entry(handle, handles, sibling)
		count += 1 + count_handles(&handle->children);
	return count;
}

static u64 count_calls(const struct list_head *handles)
{
	struct mcp_handle *handle;
	u64 calls = 0;

	list_for_each_entry(handle, handles, sibling)
		calls += READ_ONCE(handle->calls) + count_calls(&handle->children);
	return calls;
}

static bool put_owner(struct sk_buff *skb, const struct mcp_endpoint *endpoint)
{
	return !nla_put_u32(skb, MCP_A_ENDPOINT_UID, from_kuid(&init_user_ns, endpoint->uid)) &&
	       !nla_put_u32(skb, MCP_A_ENDPOINT_GID, from_kgid(&init_user_ns, endpoint->gid)) &&
	       !nla_put_u32(skb, MCP_A_ENDPOINT_MODE, endpoint->mode) &&
	       !nla_put_u32(skb, MCP_A_ENDPOINT_FLAGS, endpoint->flags);
}

static bool put_use(struct sk_buff *skb, const struct mcp_endpoint *endpoint)
{
	const struct mcp_quota *quota = &endpoint->quota;

	return !nla_put_u32(skb, MCP_A_ENDPOINT_HANDLES, count_handles(&endpoint->handles)) &&
	       !nla_put_u32(skb, MCP_A_ENDPOINT_INFLIGHT, mcp_quota_requests(quota)) &&
	       !nla_put_u32(skb, MCP_A_ENDPOINT_MAX_INFLIGHT, quota->max_requests) &&
	       !nla_put_uint(skb, MCP_A_ENDPOINT_CALLS,
			     endpoint->calls + count_calls(&endpoint->handles));
}

static int put_endpoint(struct sk_buff *skb, struct netlink_callback *cb,
			struct mcp_endpoint *endpoint)
{
	u32 rights = mcp_openable(dump_of(cb)->port, endpoint);
	const struct mcp_tool_table *table;
	void *header;

	if (!rights)
		return 0;
	header = begin(skb, cb);
	if (!header)
		return -EMSGSIZE;
	table = rcu_dereference_protected(endpoint->tools, lockdep_is_held(&mcp_registry_lock));
	return finish(skb, header,
		      nla_put_string(skb, MCP_A_ENDPOINT_NAME, endpoint->name) ||
		      nla_put_uint(skb, MCP_A_ENDPOINT_SENDER, endpoint->sender) ||
		      nla_put_uint(skb, MCP_A_ENDPOINT_GENERATION, table->generation) ||
		      nla_put_u32(skb, MCP_A_ENDPOINT_TOOLS, table->count) ||
		      nla_put_u32(skb, MCP_A_ENDPOINT_RIGHTS, rights) ||
		      !put_owner(skb, endpoint) || !put_use(skb, endpoint));
}

int mcp_nl_endpoint_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct mcp_endpoint *endpoint;
	int error = 0;
	u32 index = 0;

	mutex_lock(&mcp_registry_lock);
	cb->seq = sequence(mcp_registry_generation);
	list_for_each_entry(endpoint, &mcp_endpoints, node) {
		if (index++ < dump->next)
			continue;
		error = put_endpoint(skb, cb, endpoint);
		if (error)
			break;
		dump->next = index;
	}
	mutex_unlock(&mcp_registry_lock);
	return error;
}

/* ---- Tools ---- */

int mcp_nl_tool_start(struct netlink_callback *cb)
{
	const struct genl_info *info = genl_info_dump(cb);
	struct dump *dump = dump_of(cb);
	struct mcp_endpoint *endpoint;
	struct mcp_port *port;

	if (GENL_REQ_ATTR_CHECK(info, MCP_A_TOOL_ENDPOINT))
		return -EINVAL;
	port = mcp_nl_port(info, NULL);
	if (IS_ERR(port))
		return PTR_ERR(port);
	mutex_lock(&mcp_registry_lock);
	endpoint = mcp_endpoint_find(nla_data(info->attrs[MCP_A_TOOL_ENDPOINT]));
	/* What may not be opened is not there, for this port. */
	if (endpoint && mcp_openable(port, endpoint))
		refcount_inc(&endpoint->refs);
	else
		endpoint = NULL;
	mutex_unlock(&mcp_registry_lock);
	if (!endpoint) {
		mcp_port_put(port);
		NL_SET_BAD_ATTR(info->extack, info->attrs[MCP_A_TOOL_ENDPOINT]);
		return -ENOENT;
	}
	dump->port = port;
	dump->endpoint = endpoint;
	dump->next = 1;
	return 0;
}

static int put_tool(struct sk_buff *skb, struct netlink_callback *cb,
		    const struct mcp_tool *tool, u64 generation)
{
	void *header = begin(skb, cb);

	if (!header)
		return -EMSGSIZE;
	return finish(skb, header,
		      nla_put_uint(skb, MCP_A_TOOL_GENERATION, generation) ||
		      nla_put_u32(skb, MCP_A_TOOL_ID, tool->id) ||
		      nla_put_string(skb, MCP_A_TOOL_NAME, tool->name) ||
		      nla_put_u32(skb, MCP_A_TOOL_FLAGS, tool->flags) ||
		      nla_put(skb, MCP_A_TOOL_DIGEST, sizeof(tool->digest), tool->digest));
}

int mcp_nl_tool_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct mcp_tool_table *table;
	struct dump *dump = dump_of(cb);
	int error = 0;

	rcu_read_lock();
	table = rcu_dereference(dump->endpoint->tools);
	cb->seq = sequence(table->generation);
	for (; dump->next < table->size; dump->next++) {
		const struct mcp_tool_row *row = table->row[dump->next];

		if (row)
			error = put_tool(skb, cb, &row->tool, table->generation);
		if (error)
			break;
	}
	rcu_read_unlock();
	return error;
}

/* ---- Handles ---- */

static bool put_quota(struct sk_buff *skb, const struct mcp_quota *quota)
{
	return !nla_put_u32(skb, MCP_A_HANDLE_INFLIGHT, mcp_quota_requests(quota)) &&
	       !nla_put_u32(skb, MCP_A_HANDLE_MAX_INFLIGHT, quota->max_requests) &&
	       !nla_put_uint(skb, MCP_A_HANDLE_BYTES, mcp_quota_units(quota) * MCP_UNIT) &&
	       !nla_put_uint(skb, MCP_A_HANDLE_MAX_BYTES, (u64)quota->max_units * MCP_UNIT);
}

/* What not every handle has. */
static bool put_optional(struct sk_buff *skb, const struct mcp_handle *handle)
{
	int error = mcp_handle_error(handle);

	if (handle->parent && nla_put_uint(skb, MCP_A_HANDLE_PARENT, handle->parent->sender))
		return false;
	if (handle->label[0] && nla_put_string(skb, MCP_A_HANDLE_LABEL, handle->label))
		return false;
	if (handle->expiry && nla_put_uint(skb, MCP_A_HANDLE_EXPIRY, handle->expiry))
		return false;
	return !error || !nla_put_u32(skb, MCP_A_HANDLE_ERROR, error);
}

static int put_handle(struct sk_buff *skb, struct netlink_callback *cb,
		      const struct mcp_handle *handle)
{
	void *header = begin(skb, cb);

	if (!header)
		return -EMSGSIZE;
	return finish(skb, header,
		      nla_put_uint(skb, MCP_A_HANDLE_SENDER, handle->sender) ||
		      nla_put_string(skb, MCP_A_HANDLE_ENDPOINT, handle->endpoint->name) ||
		      nla_put_u32(skb, MCP_A_HANDLE_DEPTH, handle->depth) ||
		      nla_put_u32(skb, MCP_A_HANDLE_RIGHTS, handle->rights) ||
		      nla_put_u32(skb, MCP_A_HANDLE_UID,
				  from_kuid(&init_user_ns, handle->user->uid)) ||
		      nla_put_uint(skb, MCP_A_HANDLE_CALLS, READ_ONCE(handle->calls)) ||
		      nla_put_uint(skb, MCP_A_HANDLE_BODY_BYTES, READ_ONCE(handle->body_bytes)) ||
		      !put_optional(skb, handle) || !put_quota(skb, &handle->quota));
}

/* @index counts every handle on the way, told or not. */
static int put_tree(struct sk_buff *skb, struct netlink_callback *cb,
		    const struct list_head *handles, u32 *index)
{
	struct dump *dump = dump_of(cb);
	struct mcp_handle *handle;
	int error = 0;

	/* As deep as MCP_MAX_DEPTH. */
	list_for_each_entry(handle, handles, sibling) {
		if ((*index)++ >= dump->next) {
			if (dump->all || handle->user == dump->port->user)
				error = put_handle(skb, cb, handle);
			if (error)
				return error;
			dump->next = *index;
		}
		error = put_tree(skb, cb, &handle->children, index);
		if (error)
			return error;
	}
	return 0;
}

int mcp_nl_handle_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct mcp_endpoint *endpoint;
	int error = 0;
	u32 index = 0;

	mutex_lock(&mcp_registry_lock);
	/* Both only grow, so no two states have the same sum. */
	cb->seq = sequence(mcp_registry_generation + mcp_handles_generation);
	list_for_each_entry(endpoint, &mcp_endpoints, node) {
		error = put_tree(skb, cb, &endpoint->handles, &index);
		if (error)
			break;
	}
	mutex_unlock(&mcp_registry_lock);
	return error;
}
