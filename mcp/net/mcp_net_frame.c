// SPDX-License-Identifier: GPL-2.0
/*
 * The bytes of a frame: which are well formed, and what they say.
 *
 * Concern: each field of a frame. Nothing here knows who sent it or has a key.
 * Context: any. Locking: none; the arguments are the caller's own copies, or
 *          frames that nobody writes.
 *
 * No I/O and no state, so that the same file is compiled by tests on a host.
 */
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/time64.h>

#include <linux/mcp.h>

#include "mcp_net_frame.h"

static_assert(sizeof(struct mcp_net_header) == 16);
static_assert(sizeof(struct mcp_net_hello) == 56);
static_assert(sizeof(struct mcp_net_limits) == 16);
static_assert(sizeof(struct mcp_net_message) == 40);
static_assert(sizeof(struct mcp_net_hello_frame) == 86);
/* Nothing is shorter than Ethernet's 60 bytes, so nothing is padded. */
static_assert(MCP_NET_ETH + MCP_NET_CONFIRM_SIZE >= 60);

/**
 * mcp_net_frame_good() - may these bytes be a frame to us?
 * @header: at least its own size
 * @bytes: of the frame behind its Ethernet header
 * @mtu: of the device
 *
 * A HELLO2 never comes to us: the peer begins.
 *
 * Return: whether version, type, reserved fields and length are right.
 */
bool mcp_net_frame_good(const struct mcp_net_header *header, u32 bytes, u32 mtu)
{
	if (header->version != MCP_NET_VERSION || header->reserved || bytes > mtu)
		return false;
	switch (header->type) {
	case MCP_NET_HELLO1:
		return bytes == MCP_NET_HELLO_SIZE && !header->counter && header->session;
	case MCP_NET_CONFIRM:
		return bytes == MCP_NET_CONFIRM_SIZE && !header->counter;
	case MCP_NET_DATA:
		return bytes >= MCP_NET_OVERHEAD && header->counter;
	default:
		return false;
	}
}

void mcp_net_header_fill(struct mcp_net_header *header, u8 type, u32 session, u64 counter)
{
	*header = (struct mcp_net_header){
		.version = MCP_NET_VERSION,
		.type = type,
		.session = cpu_to_le32(session),
		.counter = cpu_to_le64(counter),
	};
}

/**
 * mcp_net_message_read() - what the peer says, as an envelope
 * @envelope: out; its cookie and parent are the peer's
 * @message: authenticated
 * @body: bytes behind it
 * @now: CLOCK_MONOTONIC in nanoseconds
 *
 * Only what the network says differently is checked; the rest is checked where
 * every sender's envelope is.
 *
 * Return: 0; -EINVAL for flags, a status, or a cookie that must or must not be
 * zero; -EOPNOTSUPP for a REQUEST with a parent.
 */
int mcp_net_message_read(struct mcp_envelope *envelope, const struct mcp_net_message *message,
			 u32 body, u64 now)
{
	u32 timeout = le32_to_cpu(message->timeout);

	*envelope = (struct mcp_envelope){
		.magic = MCP_MAGIC,
		.version = MCP_ENVELOPE_VERSION,
		.kind = message->kind,
		.len = body,
		.tool = le32_to_cpu(message->tool),
		.method = le16_to_cpu(message->method),
		.proto = le16_to_cpu(message->proto),
		.credit = message->credit,
		.cookie = le64_to_cpu(message->cookie),
		.parent = le64_to_cpu(message->parent),
		.deadline = timeout ? now + (u64)timeout * NSEC_PER_MSEC : 0,
		.reserve = le32_to_cpu(message->reserve),
	};
	if (message->flags || message->status)
		return -EINVAL;
	switch (message->kind) {
	case MCP_REQUEST:
		if (!message->cookie)
			return -EINVAL;
		return message->parent ? -EOPNOTSUPP : 0;
	case MCP_NOTIFY:
		return message->cookie || !message->parent ? -EINVAL : 0;
	case MCP_RESPONSE:
	case MCP_CANCEL:
		return !message->cookie || message->parent ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/**
 * mcp_net_message_write() - an envelope, as the peer is told
 * @message: out
 * @envelope: its cookie and parent are the peer's
 * @now: CLOCK_MONOTONIC in nanoseconds
 */
void mcp_net_message_write(struct mcp_net_message *message, const struct mcp_envelope *envelope,
			   u64 now)
{
	u64 left = envelope->deadline > now ? envelope->deadline - now : 0;

	/* The kernel's flags but MCP_F_KERNEL speak of descriptors. */
	*message = (struct mcp_net_message){
		.kind = envelope->kind,
		.credit = envelope->credit,
		.flags = cpu_to_le16(envelope->flags & MCP_F_KERNEL),
		.tool = cpu_to_le32(envelope->tool),
		.method = cpu_to_le16(envelope->method),
		.proto = cpu_to_le16(envelope->proto),
		.status = cpu_to_le32(envelope->status),
		.cookie = cpu_to_le64(envelope->cookie),
		.parent = cpu_to_le64(envelope->parent),
		.reserve = cpu_to_le32(envelope->reserve),
	};
	/* One that is over, or nearly, must not look like none. */
	if (envelope->deadline)
		message->timeout = cpu_to_le32(clamp(div_u64(left, NSEC_PER_MSEC), 1ull, ~0u));
}
