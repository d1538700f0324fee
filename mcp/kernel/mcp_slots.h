/* SPDX-License-Identifier: GPL-2.0 */
/* Which units of an arena are taken, and by whom. No I/O. */
#ifndef _MCP_SLOTS_H
#define _MCP_SLOTS_H

#include <linux/types.h>

#define MCP_UNIT	256u	/* bytes; an envelope, a CANCEL's, 128 of body */

/**
 * struct mcp_slots - the units of one arena
 * @map: a bit for each unit, set while it is taken
 * @owner: for the first unit of each slot, whose it is; else NULL
 * @units: how many there are; unit 0 is never given out
 * @used: how many are taken, without unit 0
 * @next: where the search begins: behind the last slot that was given out
 */
struct mcp_slots {
	unsigned long *map;
	void **owner;
	u32 units;
	u32 used;
	u32 next;
};

int mcp_slots_init(struct mcp_slots *slots, u32 bytes);
void mcp_slots_destroy(struct mcp_slots *slots);
u32 mcp_slots_take(struct mcp_slots *slots, u32 count, void *owner);
void mcp_slots_give(struct mcp_slots *slots, u32 first, u32 count);
void mcp_slots_shrink(struct mcp_slots *slots, u32 first, u32 count, u32 keep);
void *mcp_slots_owner(const struct mcp_slots *slots, u32 first);

/* Units of a message: its two envelopes, its body, its descriptors. */
static inline u32 mcp_units(u32 len, u32 nfds)
{
	u32 bytes = MCP_BODY_OFFSET + ((len + 3) & ~3u) + nfds * sizeof(__s32);

	return (bytes + MCP_UNIT - 1) / MCP_UNIT;
}

#endif /* _MCP_SLOTS_H */
