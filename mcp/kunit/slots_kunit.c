// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_slots.c: no unit is given twice, none is lost, unit 0 is nobody's.
 *
 * @used is compared with the bits of the map after each step of a long random
 * sequence, whose slots are kept in a table of the test's own.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "mcp_slots.c"

#define BYTES	(64u << 10)
#define UNITS	(BYTES / MCP_UNIT)

struct slots_test {
	struct mcp_slots slots;
	/* For each unit: the first of the slot that has it, or 0. */
	u16 of[UNITS];
};

static int start(struct kunit *test)
{
	struct slots_test *mine = kunit_kzalloc(test, sizeof(*mine), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mine);
	KUNIT_ASSERT_EQ(test, mcp_slots_init(&mine->slots, BYTES), 0);
	test->priv = mine;
	return 0;
}

static void finish(struct kunit *test)
{
	struct slots_test *mine = test->priv;

	if (mine)
		mcp_slots_destroy(&mine->slots);
}

static void *owner_of(u32 first)
{
	return (void *)(unsigned long)(first + 1000);
}

static void a_fresh_arena_is_empty(struct kunit *test)
{
	struct slots_test *mine = test->priv;
	u32 unit;

	KUNIT_EXPECT_EQ(test, mine->slots.units, UNITS);
	KUNIT_EXPECT_EQ(test, mine->slots.used, 0);
	for (unit = 0; unit < UNITS + 8; unit++)
		KUNIT_EXPECT_NULL(test, mcp_slots_owner(&mine->slots, unit));
	KUNIT_EXPECT_NULL(test, mcp_slots_owner(&mine->slots, ~0u));
}

static void every_unit_but_the_first_is_given_once(struct kunit *test)
{
	struct slots_test *mine = test->priv;
	u32 i;

	for (i = 1; i < UNITS; i++) {
		u32 unit = mcp_slots_take(&mine->slots, 1, mine);

		KUNIT_ASSERT_GT(test, unit, 0);
		KUNIT_ASSERT_LT(test, unit, UNITS);
		KUNIT_ASSERT_EQ_MSG(test, mine->of[unit]++, 0, "unit %u again", unit);
	}
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, 1, mine), 0);
	KUNIT_EXPECT_EQ(test, mine->slots.used, UNITS - 1);
}

static void sizes_at_the_limit(struct kunit *test)
{
	struct slots_test *mine = test->priv;

	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, 0, mine), 0);
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, UNITS, mine), 0);
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, ~0u, mine), 0);
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, UNITS - 1, mine), 1);
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, 1, mine), 0);
	mcp_slots_give(&mine->slots, 1, UNITS - 1);
	KUNIT_EXPECT_EQ(test, mine->slots.used, 0);
	KUNIT_EXPECT_NE(test, mcp_slots_take(&mine->slots, 1, mine), 0);
}

static void only_the_first_unit_has_an_owner(struct kunit *test)
{
	struct slots_test *mine = test->priv;
	u32 first = mcp_slots_take(&mine->slots, 3, mine), second;

	second = mcp_slots_take(&mine->slots, 1, &second);
	KUNIT_EXPECT_PTR_EQ(test, mcp_slots_owner(&mine->slots, first), (void *)mine);
	KUNIT_EXPECT_NULL(test, mcp_slots_owner(&mine->slots, first + 1));
	KUNIT_EXPECT_NULL(test, mcp_slots_owner(&mine->slots, first + 2));
	KUNIT_EXPECT_PTR_EQ(test, mcp_slots_owner(&mine->slots, second), (void *)&second);
	mcp_slots_give(&mine->slots, first, 3);
	KUNIT_EXPECT_NULL(test, mcp_slots_owner(&mine->slots, first));
	KUNIT_EXPECT_PTR_EQ(test, mcp_slots_owner(&mine->slots, second), (void *)&second);
}

static void the_end_of_a_slot_can_be_given_back(struct kunit *test)
{
	struct slots_test *mine = test->priv;
	u32 first = mcp_slots_take(&mine->slots, UNITS - 1, mine);

	mcp_slots_shrink(&mine->slots, first, UNITS - 1, UNITS - 1);
	KUNIT_EXPECT_EQ(test, mine->slots.used, UNITS - 1);
	mcp_slots_shrink(&mine->slots, first, UNITS - 1, 1);
	KUNIT_EXPECT_EQ(test, mine->slots.used, 1);
	KUNIT_EXPECT_PTR_EQ(test, mcp_slots_owner(&mine->slots, first), (void *)mine);
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, UNITS - 2, &first), first + 1);
}

static void room_in_pieces_is_no_room(struct kunit *test)
{
	struct slots_test *mine = test->priv;
	u32 unit;

	for (unit = 1; unit < UNITS; unit++)
		KUNIT_ASSERT_NE(test, mcp_slots_take(&mine->slots, 1, owner_of(unit)), 0);
	for (unit = 1; unit < UNITS; unit += 2)
		mcp_slots_give(&mine->slots, unit, 1);
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, 2, mine), 0);
	mcp_slots_give(&mine->slots, 8, 1);
	KUNIT_EXPECT_EQ(test, mcp_slots_take(&mine->slots, 3, mine), 7);
}

static void check_map(struct kunit *test, const struct slots_test *mine)
{
	u32 unit, used = 0;

	for (unit = 1; unit < UNITS; unit++) {
		u16 first = mine->of[unit];

		used += !!first;
		KUNIT_ASSERT_EQ_MSG(test, test_bit(unit, mine->slots.map), !!first, "unit %u",
				    unit);
		KUNIT_ASSERT_PTR_EQ(test, mcp_slots_owner(&mine->slots, unit),
				    first == unit ? owner_of(unit) : NULL);
	}
	KUNIT_ASSERT_TRUE(test, test_bit(0, mine->slots.map));
	KUNIT_ASSERT_EQ(test, mine->slots.used, used);
}

static u32 length_of(const struct slots_test *mine, u32 first)
{
	u32 end = first;

	while (end < UNITS && mine->of[end] == first)
		end++;
	return end - first;
}

static void set_range(struct slots_test *mine, u32 first, u32 count, u16 value)
{
	while (count--)
		mine->of[first++] = value;
}

static bool has_room(const struct slots_test *mine, u32 count)
{
	u32 unit, run = 0;

	for (unit = 1; unit < UNITS; unit++) {
		run = mine->of[unit] ? 0 : run + 1;
		if (run == count)
			return true;
	}
	return false;
}

static void take_some(struct kunit *test, struct slots_test *mine, u32 count)
{
	bool room = has_room(mine, count);
	u32 first = mcp_slots_take(&mine->slots, count, mine);
	u32 i;

	KUNIT_ASSERT_EQ(test, !!first, room);
	if (!first)
		return;
	for (i = 0; i < count; i++)
		KUNIT_ASSERT_EQ_MSG(test, mine->of[first + i], 0, "unit %u again", first + i);
	set_range(mine, first, count, first);
	mine->slots.owner[first] = owner_of(first);
}

static void a_long_sequence(struct kunit *test)
{
	struct slots_test *mine = test->priv;
	struct rnd_state random;
	u32 step;

	prandom_seed_state(&random, 6);
	for (step = 0; step < 4000; step++) {
		u32 word = prandom_u32_state(&random);
		u32 first = mine->of[1 + word % (UNITS - 1)];
		u32 count = first ? length_of(mine, first) : 0, keep;

		if (!first) {
			take_some(test, mine, 1 + (word >> 16) % ((word >> 12 & 15) ? 4 : 80));
		} else if (word >> 31) {
			mcp_slots_give(&mine->slots, first, count);
			set_range(mine, first, count, 0);
		} else {
			keep = 1 + (word >> 8) % count;
			mcp_slots_shrink(&mine->slots, first, count, keep);
			set_range(mine, first + keep, count - keep, 0);
		}
		if (!(step % 16))
			check_map(test, mine);
	}
	check_map(test, mine);
}

static void units_of_a_message(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, mcp_units(0, 0), 1);
	KUNIT_EXPECT_EQ(test, mcp_units(128, 0), 1);
	KUNIT_EXPECT_EQ(test, mcp_units(129, 0), 2);
	KUNIT_EXPECT_EQ(test, mcp_units(124, 1), 1);
	KUNIT_EXPECT_EQ(test, mcp_units(125, 1), 2);
	KUNIT_EXPECT_EQ(test, mcp_units(0, MCP_MAX_FDS), 1);
	KUNIT_EXPECT_EQ(test, mcp_units(MCP_MAX_BODY, MCP_MAX_FDS), MCP_MAX_BODY / MCP_UNIT + 1);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_fresh_arena_is_empty),
	KUNIT_CASE(every_unit_but_the_first_is_given_once),
	KUNIT_CASE(sizes_at_the_limit),
	KUNIT_CASE(only_the_first_unit_has_an_owner),
	KUNIT_CASE(the_end_of_a_slot_can_be_given_back),
	KUNIT_CASE(room_in_pieces_is_no_room),
	KUNIT_CASE(a_long_sequence),
	KUNIT_CASE(units_of_a_message),
	{}
};

static struct kunit_suite suite = {
	.name = "mcp_slots",
	.init = start,
	.exit = finish,
	.test_cases = cases,
};

kunit_test_suite(suite);
