// SPDX-License-Identifier: GPL-2.0
/*
 * Policy token_bucket: so many requests a second of each sender, and a burst.
 *
 * A bucket is one number: the time at which it would be full again if nothing
 * more came (the generic cell rate algorithm, ITU-T I.371 annex A). A request
 * moves it on by one interval, and is refused with EDQUOT if that would be more
 * than a burst ahead of now. What an endpoint asks back costs its caller nothing.
 *
 * A sender is a handle. Whoever may open can get another one, so a bucket may
 * also be shared by all of a user's handles.
 */
#include "policy.bpf.h"

/* More tries than CPUs that take from one bucket at a time. */
#define TRIES 16

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BUCKETS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} buckets SEC(".maps");

const volatile __u64 interval = 1;	/* nanoseconds of one request */
const volatile __u64 burst = 1;		/* nanoseconds of as many as may come at once */
const volatile bool by_uid;

SEC("struct_ops/allow")
int BPF_PROG(allow, const struct mcp_policy_call *call)
{
	__u64 key = by_uid ? call->uid : call->sender;
	__u64 now = bpf_ktime_get_ns(), empty = 0, *bucket;
	int i;

	if (call->flags & MCP_POLICY_BACKWARD)
		return 0;
	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket) {
		/* If it fails, somebody else has made it, or there is no memory. */
		bpf_map_update_elem(&buckets, &key, &empty, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(&buckets, &key);
	}
	for (i = 0; bucket && i < TRIES; i++) {
		__u64 full = *(volatile __u64 *)bucket;
		__u64 next = (full > now ? full : now) + interval;

		if (next > now + burst)
			return -EDQUOT;
		if (__sync_val_compare_and_swap(bucket, full, next) == full)
			return 0;
	}
	return -EDQUOT;
}

SEC(".struct_ops.link")
struct mcp_policy token_bucket = {
	.allow = (void *)allow,
	.name = "token_bucket",
};

char _license[] SEC("license") = "GPL";
