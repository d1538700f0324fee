// SPDX-License-Identifier: GPL-2.0
/*
 * At the door: frames of EtherType 0xFAF0 that cannot be the peer's are dropped
 * before the kernel has done anything with them; every other frame passes.
 *
 * Concern: what mcp_net_rx.c would say of a frame without looking at a session
 *          (session numbers change with each handshake).
 * Context: XDP, on any CPU; generic mode on a Pi 4, whose driver has no other.
 * Locking: none; the counters are each CPU's own.
 *
 * Nothing of the kernel's own structures is read, so nothing is relocated: the
 * object runs on every kernel that has XDP.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mcp_xdp.h"

#define ETHERTYPE	0xfaf0
#define ETH		14
#define HEADER		16
#define HELLO_SIZE	(HEADER + 56)
#define CONFIRM_SIZE	(HEADER + 16 + 16)
#define DATA_LEAST	(HEADER + 40 + 16)

enum { HELLO1 = 1, CONFIRM = 3, DATA = 4 };

/* An Ethernet header and ours. */
struct frame {
	__u8 to[6];
	__u8 from[6];
	__be16 type_be;
	__u8 version;
	__u8 type;
	__u16 reserved;
	__u32 session;
	__u64 counter;
} __attribute__((packed));

_Static_assert(sizeof(struct frame) == ETH + HEADER, "as docs/network.md says");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MCP_XDP_DEVICES);
	__type(key, __u32);
	__type(value, struct mcp_xdp_bound);
} bound SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MCP_XDP_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline int count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &which);

	if (value)
		(*value)++;
	return which == MCP_XDP_PASSED ? XDP_PASS : XDP_DROP;
}

static __always_inline int well_formed(const struct frame *frame, __u32 bytes)
{
	if (frame->version != 1 || frame->reserved)
		return 0;
	switch (frame->type) {
	case HELLO1:
		return bytes == HELLO_SIZE && !frame->counter && frame->session;
	case CONFIRM:
		return bytes == CONFIRM_SIZE && !frame->counter;
	case DATA:
		return bytes >= DATA_LEAST && frame->counter;
	default:
		return 0;
	}
}

static __always_inline int same(const __u8 *one, const __u8 *other)
{
	int i;

	for (i = 0; i < 6; i++)
		if (one[i] != other[i])
			return 0;
	return 1;
}

SEC("xdp")
int mcp_xdp(struct xdp_md *ctx)
{
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	const __u8 *data = (const __u8 *)(long)ctx->data;
	const struct frame *frame = (const struct frame *)data;
	const struct mcp_xdp_bound *device;
	__u32 index = ctx->ingress_ifindex;

	if (data + ETH > end || frame->type_be != bpf_htons(ETHERTYPE))
		return XDP_PASS;
	device = bpf_map_lookup_elem(&bound, &index);
	if (!device)
		return count(MCP_XDP_UNBOUND);
	if ((const __u8 *)(frame + 1) > end || !well_formed(frame, end - data - ETH))
		return count(MCP_XDP_MALFORMED);
	if (frame->to[0] & 1 || frame->from[0] & 1)
		return count(MCP_XDP_STRANGE);
	if (!device->any_peer && !same(frame->from, device->peer))
		return count(MCP_XDP_STRANGE);
	return count(MCP_XDP_PASSED);
}

char LICENSE[] SEC("license") = "GPL";
