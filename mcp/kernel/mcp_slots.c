// SPDX-License-Identifier: GPL-2.0
/*
 * The slots of an arena: a bitmap of units, searched from behind the last one.
 *
 * Concern: which units are taken, and by whom. Neither the pages nor what is
 *          in them is known here, and no bookkeeping lies in them.
 * Context: any; taking and giving do not sleep.
 * Locking: the caller's, one lock for one arena (the port's).
 * Lifetime: from mcp_slots_init() to mcp_slots_destroy().
 *
 * No I/O, so that the same file is compiled by tests on a host.
 */
#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <linux/mcp.h>

#include "mcp_slots.h"

/**
 * mcp_slots_init() - all units are free
 * @slots: to be initialised
 * @bytes: of the arena, a multiple of MCP_UNIT
 *
 * Return: 0 or -ENOMEM.
 */
int mcp_slots_init(struct mcp_slots *slots, u32 bytes)
{
	u32 units = bytes / MCP_UNIT;

	*slots = (struct mcp_slots){ .units = units, .next = 1 };
	slots->map = kvcalloc(BITS_TO_LONGS(units), sizeof(long), GFP_KERNEL_ACCOUNT);
	slots->owner = kvcalloc(units, sizeof(*slots->owner), GFP_KERNEL_ACCOUNT);
	if (!slots->map || !slots->owner) {
		mcp_slots_destroy(slots);
		return -ENOMEM;
	}
	/* Slot 0 means "none", so nobody gets it. */
	__set_bit(0, slots->map);
	return 0;
}

/**
 * mcp_slots_destroy() - the end, whether or not units are taken
 * @slots: initialised, or all zero
 */
void mcp_slots_destroy(struct mcp_slots *slots)
{
	kvfree(slots->map);
	kvfree(slots->owner);
	*slots = (struct mcp_slots){};
}

static unsigned long find_room(const struct mcp_slots *slots, u32 count)
{
	unsigned long first;

	if (!count || count > slots->units - 1 - slots->used)
		return slots->units;
	first = bitmap_find_next_zero_area(slots->map, slots->units, slots->next, count, 0);
	if (first < slots->units)
		return first;
	return bitmap_find_next_zero_area(slots->map, slots->units, 1, count, 0);
}

/* Whose a slot is, and where to look for the next one. */
static inline u32 own(struct mcp_slots *slots, u32 first, u32 count, void *owner)
{
	slots->used += count;
	slots->owner[first] = owner;
	slots->next = first + count < slots->units ? first + count : 1;
	return first;
}

static noinline u32 take_room(struct mcp_slots *slots, u32 count, void *owner)
{
	unsigned long first = find_room(slots, count);

	if (first >= slots->units)
		return 0;
	bitmap_set(slots->map, first, count);
	return own(slots, first, count, owner);
}

/* Last, since for one unit it is not even a call. */
static inline void unmark(struct mcp_slots *slots, u32 first, u32 count)
{
	slots->used -= count;
	if (count == 1)
		__clear_bit(first, slots->map);
	else
		bitmap_clear(slots->map, first, count);
}

/**
 * mcp_slots_take() - a slot of neighbouring units
 * @slots: the arena's
 * @count: units, at least one
 * @owner: what mcp_slots_owner() shall answer, not NULL
 *
 * Return: its first unit, or 0 when there is no such room.
 */
u32 mcp_slots_take(struct mcp_slots *slots, u32 count, void *owner)
{
	u32 first = slots->next;

	/* Most messages have one unit, and the one behind the last is mostly free. */
	if (count != 1 || test_bit(first, slots->map))
		return take_room(slots, count, owner);
	__set_bit(first, slots->map);
	return own(slots, first, 1, owner);
}

/**
 * mcp_slots_give() - a slot is free again
 * @slots: the arena's
 * @first: its first unit
 * @count: its units
 */
void mcp_slots_give(struct mcp_slots *slots, u32 first, u32 count)
{
	if (WARN_ON_ONCE(!first || !slots->owner[first]))
		return;
	slots->owner[first] = NULL;
	unmark(slots, first, count);
}

/**
 * mcp_slots_shrink() - give the end of a slot back
 * @slots: the arena's
 * @first: its first unit
 * @count: its units
 * @keep: units that stay, at least one
 */
void mcp_slots_shrink(struct mcp_slots *slots, u32 first, u32 count, u32 keep)
{
	if (WARN_ON_ONCE(!keep || keep > count || !slots->owner[first]))
		return;
	if (keep < count)
		unmark(slots, first + keep, count - keep);
}

/**
 * mcp_slots_owner() - whose is the slot that begins here?
 * @slots: the arena's
 * @first: any number
 *
 * Return: what mcp_slots_take() was given, or NULL if no slot begins there.
 */
void *mcp_slots_owner(const struct mcp_slots *slots, u32 first)
{
	return first < slots->units ? slots->owner[first] : NULL;
}
