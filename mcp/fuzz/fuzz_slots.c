// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_slots.c against a table that says for each unit whose it is.
 *
 * An input is the size of an arena, then steps: take, give, shrink. After each
 * the map, the count and the owners are compared.
 */
#include "fuzz.h"

#include "mcp_slots.c"

#define MOST_UNITS 258

struct model {
	u16 of[MOST_UNITS]; /* the first unit of the slot that has this one, or 0 */
	u32 units;
};

static void *owner_of(u32 first)
{
	return (void *)(unsigned long)(first + 1);
}

static void compare(const struct mcp_slots *slots, const struct model *model)
{
	u32 unit, used = 0;

	CHECK(test_bit(0, slots->map));
	CHECK(!mcp_slots_owner(slots, 0));
	for (unit = 1; unit < model->units; unit++) {
		u16 first = model->of[unit];

		used += first != 0;
		CHECK(test_bit(unit, slots->map) == (first != 0));
		CHECK(mcp_slots_owner(slots, unit) == (first == unit ? owner_of(unit) : NULL));
	}
	CHECK(slots->used == used);
	CHECK(!mcp_slots_owner(slots, model->units));
}

static bool has_room(const struct model *model, u32 count)
{
	u32 unit, run = 0;

	for (unit = 1; unit < model->units && count; unit++) {
		run = model->of[unit] ? 0 : run + 1;
		if (run == count)
			return true;
	}
	return false;
}

static void set_range(struct model *model, u32 first, u32 count, u16 value)
{
	while (count--)
		model->of[first++] = value;
}

static void take_slot(struct mcp_slots *slots, struct model *model, u32 count)
{
	bool room = has_room(model, count);
	u32 first = mcp_slots_take(slots, count, model), i;

	CHECK((first != 0) == room);
	if (!first)
		return;
	CHECK(first + count <= model->units);
	for (i = 0; i < count; i++)
		CHECK(!model->of[first + i]);
	CHECK(mcp_slots_owner(slots, first) == model);
	slots->owner[first] = owner_of(first);
	set_range(model, first, count, first);
}

/* The slot that has a unit, if any, loses all of itself or its end. */
static void end_slot(struct mcp_slots *slots, struct model *model, u32 unit, u32 keep)
{
	u32 first = model->of[unit], count = 0;

	while (first && first + count < model->units && model->of[first + count] == first)
		count++;
	if (!count)
		return;
	if (keep)
		keep = 1 + (keep - 1) % count;
	if (keep)
		mcp_slots_shrink(slots, first, count, keep);
	else
		mcp_slots_give(slots, first, count);
	set_range(model, first + keep, count - keep, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, size };
	struct model model = { .units = 2 + take_number(&input, 1) };
	struct mcp_slots slots;

	CHECK(!mcp_slots_init(&slots, model.units * MCP_UNIT));
	compare(&slots, &model);
	while (input.left) {
		u8 step = take_number(&input, 1);
		u32 number = take_number(&input, step & 0x40 ? 4 : 1);

		switch (step & 3) {
		case 0:
			end_slot(&slots, &model, number % model.units, 0);
			break;
		case 1:
			end_slot(&slots, &model, number % model.units, 1 + (step >> 2 & 7));
			break;
		default:
			take_slot(&slots, &model, number);
		}
		compare(&slots, &model);
	}
	mcp_slots_destroy(&slots);
	return 0;
}
