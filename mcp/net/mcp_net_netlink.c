// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink: bind, unbind, get.
 *
 * Concern: attributes into a wish, a binding into attributes. The family and
 *          its policy are made from mcp_net.yaml.
 * Context: the task that sends: its descriptors, its keys, its namespace.
 * Locking: RTNL around a look at the binding.
 */
#include <linux/capability.h>
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>

#include "mcp_net_gen.h"
#include "mcp_net_internal.h"

static_assert(MCP_NET_MAX_SECONDS * HZ < MAX_JIFFY_OFFSET);

static u32 u32_or(struct nlattr *attribute, u32 otherwise)
{
	return attribute ? nla_get_u32(attribute) : otherwise;
}

int mcp_net_nl_bind_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct mcp_net_wish wish = {
		.frames = u32_or(attrs[MCP_NET_A_BIND_FRAMES], MCP_NET_MAX_FRAMES),
		.seconds = u32_or(attrs[MCP_NET_A_BIND_SECONDS], MCP_NET_MAX_SECONDS),
	};

	if (GENL_REQ_ATTR_CHECK(info, MCP_NET_A_BIND_IFINDEX) ||
	    GENL_REQ_ATTR_CHECK(info, MCP_NET_A_BIND_HANDLE) ||
	    GENL_REQ_ATTR_CHECK(info, MCP_NET_A_BIND_KEY))
		return -EINVAL;
	wish.ifindex = nla_get_u32(attrs[MCP_NET_A_BIND_IFINDEX]);
	wish.handle = nla_get_s32(attrs[MCP_NET_A_BIND_HANDLE]);
	wish.key = nla_get_s32(attrs[MCP_NET_A_BIND_KEY]);
	if (attrs[MCP_NET_A_BIND_PEER]) {
		wish.peer = nla_data(attrs[MCP_NET_A_BIND_PEER]);
		if (!is_valid_ether_addr(wish.peer)) {
			NL_SET_BAD_ATTR(info->extack, attrs[MCP_NET_A_BIND_PEER]);
			return -EINVAL;
		}
	}
	return mcp_net_bind(genl_info_net(info), &wish);
}

int mcp_net_nl_unbind_doit(struct sk_buff *skb, struct genl_info *info)
{
	return mcp_net_unbind(genl_info_net(info));
}

static int put_counts(struct sk_buff *skb, struct mcp_net_binding *binding)
{
	struct nlattr *nest = nla_nest_start(skb, MCP_NET_A_BIND_COUNTS);
	unsigned int i;

	/* The two are one list. */
	static_assert((int)MCP_NET_RX + 1 == (int)MCP_NET_A_COUNTS_RX &&
		      (int)MCP_NET_LOST + 1 == (int)MCP_NET_A_COUNTS_LOST &&
		      (int)MCP_NET_COUNTS == (int)MCP_NET_A_COUNTS_LOST);
	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < MCP_NET_COUNTS; i++)
		if (nla_put_u64_64bit(skb, i + 1, atomic64_read(&binding->counts[i]),
				      MCP_NET_A_COUNTS_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_binding(struct sk_buff *skb, struct mcp_net_binding *binding)
{
	if (nla_put_u32(skb, MCP_NET_A_BIND_IFINDEX, binding->dev->ifindex) ||
	    nla_put_u32(skb, MCP_NET_A_BIND_FRAMES, binding->max_frames) ||
	    nla_put_u32(skb, MCP_NET_A_BIND_SECONDS, binding->max_seconds) ||
	    nla_put_u64_64bit(skb, MCP_NET_A_BIND_SENDER, mcp_kport_sender(binding->kport),
			      MCP_NET_A_BIND_PAD) ||
	    nla_put_u32(skb, MCP_NET_A_BIND_SESSION, READ_ONCE(binding->live_id)) ||
	    nla_put_u32(skb, MCP_NET_A_BIND_MAX_BODY, mcp_net_max_body(binding)))
		return -EMSGSIZE;
	if (!binding->any_peer &&
	    nla_put(skb, MCP_NET_A_BIND_PEER, ETH_ALEN, binding->peer))
		return -EMSGSIZE;
	return put_counts(skb, binding);
}

int mcp_net_nl_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct mcp_net_binding *binding;
	struct sk_buff *reply;
	int error = -ENOENT;
	void *header;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	header = genlmsg_iput(reply, info);
	rtnl_lock();
	binding = mcp_net_binding_of(genl_info_net(info));
	if (binding)
		error = header ? put_binding(reply, binding) : -EMSGSIZE;
	rtnl_unlock();
	if (error) {
		nlmsg_free(reply);
		return error;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

static struct genl_family family __ro_after_init = {
	.name		= MCP_NET_FAMILY_NAME,
	.version	= MCP_NET_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= mcp_net_nl_ops,
	.n_split_ops	= ARRAY_SIZE(mcp_net_nl_ops),
};

int __init mcp_net_netlink_init(void)
{
	return genl_register_family(&family);
}

void mcp_net_netlink_exit(void)
{
	genl_unregister_family(&family);
}
