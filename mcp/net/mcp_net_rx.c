// SPDX-License-Identifier: GPL-2.0
/*
 * Frames, as they come.
 *
 * Concern: what can be said of a frame without a key; a queue that is never
 *          longer than MCP_NET_QUEUE.
 * Context: softirq (NET_RX), on any CPU. No cryptography, no allocation but
 *          skb_share_check()'s.
 * Locking: the queue's, which also guards the rate of handshakes.
 * Lifetime: the binding outlives its packet_type: dev_remove_pack() waits.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/jiffies.h>
#include <linux/kcov.h>

#include "mcp_net_internal.h"

/* The queue's lock is held. One of MCP_NET_HELLOS a second, and as many at once. */
static bool may_shake_hands(struct mcp_net_binding *binding)
{
	unsigned long now = jiffies;
	u64 came = (u64)(now - binding->hellos_at) * MCP_NET_HELLOS / HZ;

	if (came) {
		binding->hellos = min_t(u64, binding->hellos + came, MCP_NET_HELLOS);
		binding->hellos_at = now;
	}
	if (!binding->hellos)
		return false;
	binding->hellos--;
	return true;
}

/* Why a frame is not for us, or MCP_NET_COUNTS if it is. */
static enum mcp_net_count judge(struct mcp_net_binding *binding, struct sk_buff *skb)
{
	const struct mcp_net_header *header;
	const struct ethhdr *eth;

	if (skb->pkt_type != PACKET_HOST || skb_vlan_tag_present(skb) ||
	    !skb_mac_header_was_set(skb) ||
	    skb->data - skb_mac_header(skb) != MCP_NET_ETH)
		return MCP_NET_STRANGE;
	eth = eth_hdr(skb);
	if (!is_valid_ether_addr(eth->h_source) ||
	    (!binding->any_peer && !ether_addr_equal(eth->h_source, binding->peer)))
		return MCP_NET_STRANGE;
	if (!pskb_may_pull(skb, sizeof(*header)))
		return MCP_NET_MALFORMED;
	header = (const struct mcp_net_header *)skb->data;
	if (!mcp_net_frame_good(header, skb->len, READ_ONCE(binding->dev->mtu)))
		return MCP_NET_MALFORMED;
	if (header->type == MCP_NET_DATA &&
	    le32_to_cpu(header->session) != READ_ONCE(binding->live_id))
		return MCP_NET_STRANGE;
	return MCP_NET_COUNTS;
}

static enum mcp_net_count enqueue(struct mcp_net_binding *binding, struct sk_buff *skb)
{
	const struct mcp_net_header *header = (const struct mcp_net_header *)skb->data;
	enum mcp_net_count why = MCP_NET_COUNTS;

	spin_lock_bh(&binding->queue.lock);
	if (header->type != MCP_NET_DATA && !may_shake_hands(binding))
		why = MCP_NET_LIMITED;
	else if (skb_queue_len(&binding->queue) >= MCP_NET_QUEUE)
		why = MCP_NET_OVERFLOW;
	else
		__skb_queue_tail(&binding->queue, skb);
	spin_unlock_bh(&binding->queue.lock);
	return why;
}

static int receive(struct mcp_net_binding *binding, struct sk_buff *skb)
{
	enum mcp_net_count why;

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (!skb) {
		mcp_net_count(binding, MCP_NET_LOST);
		return NET_RX_DROP;
	}
	why = judge(binding, skb);
	if (why == MCP_NET_COUNTS) {
		skb_orphan(skb);
		why = enqueue(binding, skb);
	}
	if (why == MCP_NET_COUNTS) {
		queue_work(mcp_net_workers, &binding->work);
		return NET_RX_SUCCESS;
	}
	mcp_net_count(binding, why);
	kfree_skb(skb);
	return NET_RX_DROP;
}

/**
 * mcp_net_receive() - a frame of our EtherType came to our device
 * @skb: its own, or shared with a packet socket
 * @dev: the binding's
 * @packet: the binding's
 * @original: where it came in, which is @dev
 *
 * Return: NET_RX_SUCCESS if it waits for the work, else NET_RX_DROP.
 */
int mcp_net_receive(struct sk_buff *skb, struct net_device *dev, struct packet_type *packet,
		    struct net_device *original)
{
	int result;

	/* A fuzzer that has sent it learns what it made run (CONFIG_KCOV). */
	kcov_remote_start_common(skb_get_kcov_handle(skb));
	result = receive(container_of(packet, struct mcp_net_binding, packet), skb);
	kcov_remote_stop();
	return result;
}
