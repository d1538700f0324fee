// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: limits, statistics, the switch of audit records
 * for each call, and notice of changes. The dumps are in mcp_netlink_dump.c;
 * the specification, of which mcp_netlink_gen.c is made, in mcp/netlink.
 *
 * Concern: answers, and who may have them: a request names a port and is
 *          answered on that port's authority, so that nothing is told here
 *          that the port could not find out.
 * Context: process; may sleep.
 * Locking: none of its own. mcp_netlink_changed() runs under the registry's
 *          lock, so that generations arrive in their order.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <net/genetlink.h>

#include "mcp_internal.h"
#include "mcp_netlink.h"
#include "mcp_netlink_gen.h"
#include "mcp_netlink_port.h"

/* Every request has its port in the same place. */
static_assert(MCP_A_ENDPOINT_PORT == MCP_NL_PORT);
static_assert(MCP_A_TOOL_PORT == MCP_NL_PORT);
static_assert(MCP_A_HANDLE_PORT == MCP_NL_PORT);
static_assert(MCP_A_LIMITS_PORT == MCP_NL_PORT);
static_assert(MCP_A_STATISTICS_PORT == MCP_NL_PORT);

/**
 * mcp_nl_port() - the port that a request names
 * @info: the request; its sender is the current task
 * @admin: whether the port was opened with CAP_SYS_ADMIN; may be NULL
 *
 * Return: a reference; -EINVAL if it names none, -EBADF for a descriptor that
 * is none or something else.
 */
struct mcp_port *mcp_nl_port(const struct genl_info *info, bool *admin)
{
	struct mcp_port *port;
	struct file *file;

	if (GENL_REQ_ATTR_CHECK(info, MCP_NL_PORT))
		return ERR_PTR(-EINVAL);
	file = fget(nla_get_s32(info->attrs[MCP_NL_PORT]));
	port = file ? mcp_port_of(file) : NULL;
	if (port) {
		mcp_port_get(port);
		if (admin)
			*admin = file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN);
	} else {
		NL_SET_BAD_ATTR(info->extack, info->attrs[MCP_NL_PORT]);
		port = ERR_PTR(-EBADF);
	}
	if (file)
		fput(file);
	return port;
}

/* A reply to be filled. */
static struct sk_buff *begin(struct genl_info *info, void **header)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!reply)
		return NULL;
	*header = genlmsg_iput(reply, info);
	if (*header)
		return reply;
	nlmsg_free(reply);
	return NULL;
}

static int finish(struct sk_buff *reply, void *header, struct genl_info *info, bool full)
{
	if (full) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

/* The limits that are the same for everybody. */
static bool put_limits(struct sk_buff *reply)
{
	static const struct {
		u16 attribute;
		u32 value;
	} limits[] = {
		{ MCP_A_LIMITS_ABI_VERSION, MCP_ABI_VERSION },
		{ MCP_A_LIMITS_NAME, MCP_NAME_MAX },
		{ MCP_A_LIMITS_LABEL, MCP_LABEL_SIZE },
		{ MCP_A_LIMITS_BODY, MCP_MAX_BODY },
		{ MCP_A_LIMITS_FDS, MCP_MAX_FDS },
		{ MCP_A_LIMITS_TOOL_ID, MCP_TOOL_ID_MAX },
		{ MCP_A_LIMITS_DEPTH, MCP_MAX_DEPTH },
		{ MCP_A_LIMITS_NESTING, MCP_MAX_NESTING },
		{ MCP_A_LIMITS_INFLIGHT, MCP_MAX_INFLIGHT },
		{ MCP_A_LIMITS_ARENA_MIN, MCP_ARENA_MIN },
		{ MCP_A_LIMITS_ARENA_MAX, MCP_ARENA_MAX },
		{ MCP_A_LIMITS_MAX_USER_HANDLES, MCP_USER_HANDLES },
		{ MCP_A_LIMITS_MAX_ENDPOINT_HANDLES, MCP_ENDPOINT_HANDLES },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++)
		if (nla_put_u32(reply, limits[i].attribute, limits[i].value))
			return false;
	return true;
}

static bool put_account(struct sk_buff *reply, const struct mcp_user *user)
{
	const struct mcp_quota *quota = &user->quota;

	return !nla_put_u32(reply, MCP_A_LIMITS_UID, from_kuid(&init_user_ns, user->uid)) &&
	       !nla_put_u32(reply, MCP_A_LIMITS_USER_INFLIGHT, mcp_quota_requests(quota)) &&
	       !nla_put_u32(reply, MCP_A_LIMITS_MAX_USER_INFLIGHT, quota->max_requests) &&
	       !nla_put_uint(reply, MCP_A_LIMITS_USER_BYTES, mcp_quota_units(quota) * MCP_UNIT) &&
	       !nla_put_uint(reply, MCP_A_LIMITS_MAX_USER_BYTES,
			     (u64)quota->max_units * MCP_UNIT) &&
	       !nla_put_u32(reply, MCP_A_LIMITS_USER_HANDLES, atomic_read(&user->handles));
}

int mcp_nl_limits_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct mcp_port *port = mcp_nl_port(info, NULL);
	struct sk_buff *reply;
	void *header;
	int error = -ENOMEM;

	if (IS_ERR(port))
		return PTR_ERR(port);
	reply = begin(info, &header);
	if (reply)
		error = finish(reply, header, info,
			       !put_limits(reply) || !put_account(reply, port->user));
	mcp_port_put(port);
	return error;
}

static bool put_refused(struct sk_buff *reply, u32 reason)
{
	u64 count = mcp_refused_count(reason);
	struct nlattr *nest;

	if (!count)
		return true;
	nest = nla_nest_start(reply, MCP_A_STATISTICS_REFUSED);
	if (!nest || nla_put_u32(reply, MCP_A_REFUSED_ERRNO, reason) ||
	    nla_put_uint(reply, MCP_A_REFUSED_COUNT, count))
		return false;
	nla_nest_end(reply, nest);
	return true;
}

static bool put_statistics(struct sk_buff *reply)
{
	struct mcp_stats sum;
	u32 reason;

	mcp_stats_sum(&sum);
	if (nla_put_uint(reply, MCP_A_STATISTICS_GENERATION, READ_ONCE(mcp_registry_generation)) ||
	    nla_put_uint(reply, MCP_A_STATISTICS_REQUESTS, sum.messages[MCP_REQUEST]) ||
	    nla_put_uint(reply, MCP_A_STATISTICS_RESPONSES, sum.messages[MCP_RESPONSE]) ||
	    nla_put_uint(reply, MCP_A_STATISTICS_NOTIFICATIONS, sum.messages[MCP_NOTIFY]) ||
	    nla_put_uint(reply, MCP_A_STATISTICS_CANCELS, sum.messages[MCP_CANCEL]) ||
	    nla_put_uint(reply, MCP_A_STATISTICS_COPIED, sum.copied) ||
	    nla_put_uint(reply, MCP_A_STATISTICS_AUDIT_LOST, mcp_audit_lost_count()))
		return false;
	for (reason = 0; reason < MCP_REASONS; reason++)
		if (!put_refused(reply, reason))
			return false;
	return true;
}

int mcp_nl_statistics_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct mcp_port *port = mcp_nl_port(info, NULL);
	struct sk_buff *reply;
	void *header;

	if (IS_ERR(port))
		return PTR_ERR(port);
	mcp_port_put(port);
	reply = begin(info, &header);
	return reply ? finish(reply, header, info, !put_statistics(reply)) : -ENOMEM;
}

int mcp_nl_audit_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	void *header;

	reply = begin(info, &header);
	if (!reply)
		return -ENOMEM;
	return finish(reply, header, info,
		      nla_put_u8(reply, MCP_A_AUDIT_CALLS, mcp_audit_calls_on()));
}

int mcp_nl_audit_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	/* Who may say what the kernel's audit records, may say this. */
	if (!netlink_capable(skb, CAP_AUDIT_CONTROL))
		return -EPERM;
	if (GENL_REQ_ATTR_CHECK(info, MCP_A_AUDIT_CALLS))
		return -EINVAL;
	return mcp_audit_calls_set(nla_get_u8(info->attrs[MCP_A_AUDIT_CALLS]));
}

static int multicast(enum mcp_change change, u64 generation)
{
	struct genl_info info;
	struct sk_buff *event;
	void *header;

	event = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!event)
		return -ENOMEM;
	genl_info_init_ntf(&info, &mcp_nl_family, MCP_NL_CMD_CHANGED);
	header = genlmsg_iput(event, &info);
	if (!header || nla_put_u32(event, MCP_A_EVENT_CHANGE, change) ||
	    nla_put_uint(event, MCP_A_EVENT_GENERATION, generation)) {
		nlmsg_free(event);
		return -EMSGSIZE;
	}
	genlmsg_end(event, header);
	/* A listener whose buffer is full is told ENOBUFS by netlink itself. */
	genlmsg_multicast(&mcp_nl_family, event, 0, MCP_NLGRP_EVENTS, GFP_KERNEL);
	return 0;
}

/**
 * mcp_netlink_changed() - tell whoever listens
 * @change: what
 * @generation: of the registry, whose lock is held
 *
 * It says neither where nor who: any process may listen, whatever it may open.
 */
void mcp_netlink_changed(enum mcp_change change, u64 generation)
{
	if (genl_has_listeners(&mcp_nl_family, &init_net, MCP_NLGRP_EVENTS) &&
	    multicast(change, generation))
		genl_set_err(&mcp_nl_family, &init_net, 0, MCP_NLGRP_EVENTS, -ENOBUFS);
}

int __init mcp_netlink_init(void)
{
	/* The generator knows no other; there is one bus, so there is one place. */
	mcp_nl_family.netnsok = false;
	return genl_register_family(&mcp_nl_family);
}

void mcp_netlink_exit(void)
{
	genl_unregister_family(&mcp_nl_family);
}
