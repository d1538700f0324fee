// SPDX-License-Identifier: GPL-2.0
/*
 * Which network namespace has which binding.
 *
 * Concern: a binding is made whole or not at all, and goes with its device, its
 *          namespace, its handle or the module, whichever is first.
 * Context: process; may sleep.
 * Locking: RTNL guards the binding of each namespace, so that a device cannot
 *          go while it is bound. It is not held when the handle is let go: that may
 *          wait for a lock of mcp.ko's that is held while audit has no room.
 * Lifetime: counted: the namespace has one reference, which who detaches it
 *           inherits, and a queued reap another. Its work and its packet_type
 *           are over when it is detached, and then it has no device.
 */
#include <keys/user-type.h>
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/kcov.h>
#include <linux/key.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "mcp_net_internal.h"

/* Of each namespace. */
struct mcp_net_space {
	struct mcp_net_binding *binding;
};

static unsigned int space_id;

static struct mcp_net_space *space_of(struct net *net)
{
	return net_generic(net, space_id);
}

/**
 * mcp_net_binding_of() - the binding of a namespace
 * @net: the namespace; RTNL is held
 *
 * Return: the binding, valid as long as RTNL is held, or NULL.
 */
struct mcp_net_binding *mcp_net_binding_of(struct net *net)
{
	ASSERT_RTNL();
	return space_of(net)->binding;
}

static void put_binding(struct mcp_net_binding *binding)
{
	if (refcount_dec_and_test(&binding->refs))
		kfree_sensitive(binding);
}

/* mcp_kport_wake: under a spinlock. */
static void wake(void *data)
{
	struct mcp_net_binding *binding = data;

	queue_work(mcp_net_workers, &binding->work);
}

static void expire(struct work_struct *work)
{
	wake(container_of(to_delayed_work(work), struct mcp_net_binding, expire));
}

/* Nothing of it runs after this. */
static void stop(struct mcp_net_binding *binding)
{
	/* Neither can be queued again: not by the handle, not by itself. */
	disable_work_sync(&binding->work);
	disable_delayed_work_sync(&binding->expire);
}

/* Whatever one that was stopped has, complete or not, and the reference. */
static void let_go(struct mcp_net_binding *binding)
{
	if (binding->kport)
		mcp_kport_close(binding->kport);
	skb_queue_purge(&binding->queue);
	key_put(binding->key);
	memzero_explicit(&binding->live, sizeof(binding->live));
	memzero_explicit(binding->half, sizeof(binding->half));
	put_binding(binding);
}

/* For let_go(), once RTNL is released. */
static struct mcp_net_binding *detach(struct mcp_net_space *space)
{
	struct mcp_net_binding *binding = space->binding;

	ASSERT_RTNL();
	space->binding = NULL;
	dev_remove_pack(&binding->packet);
	stop(binding);
	netdev_put(binding->dev, &binding->tracker);
	binding->dev = NULL;
	return binding;
}

/* Its device goes, and who says so holds RTNL. */
static void bury(struct work_struct *work)
{
	let_go(container_of(work, struct mcp_net_binding, bury));
}

/* The handle is dead, which the work has found and cannot act on. */
static void reap(struct work_struct *work)
{
	struct mcp_net_binding *binding = container_of(work, struct mcp_net_binding, reap);
	struct mcp_net_binding *detached = NULL;

	rtnl_lock();
	/* Unless somebody else was first, or it never was attached. */
	if (binding->dev)
		detached = detach(space_of(dev_net(binding->dev)));
	rtnl_unlock();
	if (detached)
		let_go(detached);
	put_binding(binding);
}

/**
 * mcp_net_kill() - have it unbound by somebody who may wait for its work
 * @binding: called from its work
 */
void mcp_net_kill(struct mcp_net_binding *binding)
{
	refcount_inc(&binding->refs);
	if (!queue_work(mcp_net_workers, &binding->reap))
		put_binding(binding);
}

static struct key *get_key(int serial)
{
	key_ref_t ref = lookup_user_key(serial, 0, KEY_NEED_SEARCH);
	struct key *key;
	int error;

	if (IS_ERR(ref))
		return ERR_CAST(ref);
	key = key_ref_to_ptr(ref);
	error = key->type == &key_type_user || key->type == &key_type_logon ?
			mcp_net_key_check(key) : -EKEYREJECTED;
	if (!error)
		return key;
	key_put(key);
	return ERR_PTR(error);
}

/* All of a binding that does not need the device. */
static struct mcp_net_binding *prepare(const struct mcp_net_wish *wish)
{
	struct mcp_net_binding *binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	struct mcp_kport *kport;
	int error;

	if (!binding)
		return ERR_PTR(-ENOMEM);
	refcount_set(&binding->refs, 1);
	skb_queue_head_init(&binding->queue);
	INIT_WORK(&binding->work, mcp_net_work);
	INIT_WORK(&binding->reap, reap);
	INIT_WORK(&binding->bury, bury);
	INIT_DELAYED_WORK(&binding->expire, expire);
	binding->kcov_handle = kcov_common_handle();
	binding->hellos = MCP_NET_HELLOS;
	binding->hellos_at = jiffies;
	binding->max_frames = wish->frames;
	binding->max_seconds = wish->seconds;
	binding->any_peer = !wish->peer;
	if (wish->peer)
		ether_addr_copy(binding->peer, wish->peer);
	binding->key = get_key(wish->key);
	if (IS_ERR(binding->key)) {
		error = PTR_ERR(binding->key);
		kfree(binding);
		return ERR_PTR(error);
	}
	kport = mcp_kport_open(wish->handle, MCP_NET_ARENA, wake, binding);
	if (IS_ERR(kport)) {
		let_go(binding);
		return ERR_CAST(kport);
	}
	WRITE_ONCE(binding->kport, kport);
	return binding;
}

static int attach(struct net *net, struct mcp_net_binding *binding, u32 ifindex)
{
	struct mcp_net_space *space = space_of(net);
	struct net_device *dev;

	if (space->binding)
		return -EBUSY;
	dev = __dev_get_by_index(net, ifindex);
	if (!dev || dev->reg_state != NETREG_REGISTERED)
		return -ENODEV;
	if (dev->type != ARPHRD_ETHER || dev->flags & IFF_LOOPBACK ||
	    dev->mtu < MCP_NET_HELLO_SIZE)
		return -EOPNOTSUPP;
	netdev_hold(dev, &binding->tracker, GFP_KERNEL);
	binding->dev = dev;
	binding->packet.type = htons(MCP_NET_ETHERTYPE);
	binding->packet.dev = dev;
	binding->packet.func = mcp_net_receive;
	space->binding = binding;
	dev_add_pack(&binding->packet);
	/* What the handle had to say before the work could listen. */
	queue_work(mcp_net_workers, &binding->work);
	return 0;
}

/**
 * mcp_net_bind() - let a peer call a handle of the current task
 * @net: the namespace that the current task administers
 * @wish: checked but for what the handle, the key and the device are
 *
 * Return: 0, or an error of docs/network.md.
 */
int mcp_net_bind(struct net *net, const struct mcp_net_wish *wish)
{
	struct mcp_net_binding *binding = prepare(wish);
	int error;

	if (IS_ERR(binding))
		return PTR_ERR(binding);
	rtnl_lock();
	error = attach(net, binding, wish->ifindex);
	rtnl_unlock();
	if (error) {
		stop(binding);
		let_go(binding);
	}
	return error;
}

/**
 * mcp_net_unbind() - what the peer has in flight is cancelled
 * @net: the namespace that the current task administers
 *
 * Return: 0; -ENOENT if there is no binding.
 */
int mcp_net_unbind(struct net *net)
{
	struct mcp_net_space *space = space_of(net);
	struct mcp_net_binding *detached = NULL;

	rtnl_lock();
	if (space->binding)
		detached = detach(space);
	rtnl_unlock();
	if (!detached)
		return -ENOENT;
	let_go(detached);
	return 0;
}

static int device_event(struct notifier_block *block, unsigned long event, void *data)
{
	struct net_device *dev = netdev_notifier_info_to_dev(data);
	struct mcp_net_space *space = space_of(dev_net(dev));

	/* Also when it goes to another namespace. */
	if (event == NETDEV_UNREGISTER && space->binding && space->binding->dev == dev)
		queue_work(mcp_net_workers, &detach(space)->bury);
	return NOTIFY_DONE;
}

static struct notifier_block devices = { .notifier_call = device_event };

static void __net_exit space_exit(struct net *net)
{
	/* The devices go first, and a binding goes with its device. */
	WARN_ON_ONCE(space_of(net)->binding);
}

static struct pernet_operations spaces = {
	.exit = space_exit,
	.id = &space_id,
	.size = sizeof(struct mcp_net_space),
};

int __init mcp_net_bind_init(void)
{
	int error = register_pernet_subsys(&spaces);

	if (error)
		return error;
	error = register_netdevice_notifier(&devices);
	if (error)
		unregister_pernet_subsys(&spaces);
	return error;
}

void mcp_net_bind_exit(void)
{
	/* Says NETDEV_UNREGISTER for each device, which is how bindings end here. */
	unregister_netdevice_notifier(&devices);
	unregister_pernet_subsys(&spaces);
}
