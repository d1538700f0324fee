// SPDX-License-Identifier: GPL-2.0
/*
 * Frames to the peer.
 *
 * Concern: one buffer, filled, sealed in place, sent. Each counter is used once.
 * Context: the binding's work.
 * Locking: none: the session is the work's own.
 */
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/timekeeping.h>

#include "mcp_net_internal.h"

/* A buffer that has its Ethernet header, and room for so many bytes behind it. */
static struct sk_buff *new_frame(struct mcp_net_binding *binding, const u8 *eth, u32 bytes)
{
	struct net_device *dev = binding->dev;
	/* Once: a device may come to need more while memory is waited for. */
	unsigned int headroom = LL_RESERVED_SPACE(dev);
	struct sk_buff *skb;

	skb = alloc_skb(headroom + bytes + dev->needed_tailroom, GFP_KERNEL);
	if (!skb) {
		mcp_net_count(binding, MCP_NET_LOST);
		return NULL;
	}
	skb_reserve(skb, headroom);
	skb_reset_network_header(skb);
	skb_push(skb, MCP_NET_ETH);
	skb_reset_mac_header(skb);
	memcpy(skb->data, eth, MCP_NET_ETH);
	skb->dev = dev;
	skb->protocol = htons(MCP_NET_ETHERTYPE);
	return skb;
}

static void send(struct mcp_net_binding *binding, struct sk_buff *skb)
{
	int error = dev_queue_xmit(skb);

	/* It may be congested and have taken it all the same. */
	if (net_xmit_eval(error))
		mcp_net_count(binding, MCP_NET_LOST);
	else
		mcp_net_count(binding, MCP_NET_TX);
}

/**
 * mcp_net_send_hello2() - answer a HELLO1
 * @binding: the binding
 * @hello2: complete
 */
void mcp_net_send_hello2(struct mcp_net_binding *binding,
			 const struct mcp_net_hello_frame *hello2)
{
	struct sk_buff *skb = new_frame(binding, hello2->eth, MCP_NET_HELLO_SIZE);

	if (!skb)
		return;
	skb_put_data(skb, &hello2->header, sizeof(hello2->header));
	skb_put_data(skb, &hello2->hello, sizeof(hello2->hello));
	send(binding, skb);
}

/**
 * mcp_net_send_confirm() - tell the peer that the session is live, and its limits
 * @binding: nothing was sent in its live session yet
 */
void mcp_net_send_confirm(struct mcp_net_binding *binding)
{
	struct mcp_net_session *session = &binding->live;
	struct sk_buff *skb = new_frame(binding, session->eth_tx, MCP_NET_CONFIRM_SIZE);
	struct mcp_net_header *header;
	struct mcp_net_limits *limits;

	if (!skb)
		return;
	header = skb_put(skb, sizeof(*header));
	mcp_net_header_fill(header, MCP_NET_CONFIRM, session->peer_id, 0);
	limits = skb_put(skb, sizeof(*limits) + MCP_NET_TAG);
	*limits = (struct mcp_net_limits){
		.body = cpu_to_le32(mcp_net_max_body(binding)),
		.inflight = cpu_to_le32(MCP_NET_INFLIGHT),
		.frames = cpu_to_le32(binding->max_frames),
		.seconds = cpu_to_le32(binding->max_seconds),
	};
	mcp_net_seal((u8 *)limits, sizeof(*limits), session->eth_tx, header, MCP_NET_TO_CLIENT,
		     session->tx_key);
	send(binding, skb);
}

/**
 * mcp_net_send_message() - to the peer
 * @binding: its session is live, and has a counter left
 * @envelope: with the peer's cookies; a body that fits
 * @body: of it
 */
void mcp_net_send_message(struct mcp_net_binding *binding, const struct mcp_envelope *envelope,
			  const void *body)
{
	struct mcp_net_session *session = &binding->live;
	struct mcp_net_message *message;
	struct mcp_net_header *header;
	struct sk_buff *skb;

	skb = new_frame(binding, session->eth_tx, MCP_NET_OVERHEAD + envelope->len);
	if (!skb)
		return;
	header = skb_put(skb, sizeof(*header));
	mcp_net_header_fill(header, MCP_NET_DATA, session->peer_id, ++session->sent);
	message = skb_put(skb, sizeof(*message));
	mcp_net_message_write(message, envelope, ktime_get_ns());
	if (envelope->len)
		skb_put_data(skb, body, envelope->len);
	skb_put(skb, MCP_NET_TAG);
	mcp_net_seal((u8 *)message, sizeof(*message) + envelope->len, session->eth_tx, header,
		     MCP_NET_TO_CLIENT, session->tx_key);
	send(binding, skb);
}
