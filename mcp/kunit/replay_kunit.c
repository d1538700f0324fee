// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_net_replay.c: each counter within reach is taken once, and one
 * that is not is never taken.
 *
 * The window is compared with a table of the test's own, which remembers every
 * counter of a long random sequence.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "mcp_net_replay.c"

#define COUNTERS 20000u

static void in_order(struct kunit *test)
{
	struct mcp_net_window window = {};
	u64 counter;

	for (counter = 1; counter < 3000; counter++) {
		KUNIT_ASSERT_TRUE(test, mcp_net_window_new(&window, counter));
		KUNIT_ASSERT_TRUE(test, mcp_net_window_take(&window, counter));
		KUNIT_ASSERT_FALSE(test, mcp_net_window_new(&window, counter));
		KUNIT_ASSERT_FALSE(test, mcp_net_window_take(&window, counter));
	}
}

/* For each place of the largest within its word. */
static void the_edge_of_reach(struct kunit *test)
{
	u64 largest;

	for (largest = 5000; largest < 5130; largest++) {
		struct mcp_net_window window = {};

		KUNIT_ASSERT_TRUE(test, mcp_net_window_take(&window, largest));
		KUNIT_EXPECT_FALSE(test, mcp_net_window_take(&window, largest - REACH));
		KUNIT_EXPECT_FALSE(test, mcp_net_window_take(&window, largest - REACH - 1));
		KUNIT_EXPECT_FALSE(test, mcp_net_window_take(&window, 1));
		KUNIT_EXPECT_TRUE(test, mcp_net_window_take(&window, largest - REACH + 1));
		KUNIT_EXPECT_FALSE(test, mcp_net_window_take(&window, largest - REACH + 1));
		KUNIT_EXPECT_TRUE(test, mcp_net_window_take(&window, largest - 1));
		KUNIT_EXPECT_EQ(test, window.largest, largest);
	}
}

/* What a jump passes over was not taken; what lies far behind is out of reach. */
static void jumps(struct kunit *test)
{
	static const u64 by[] = {
		2, 63, 64, 65, 127, 128, 959, 960, 961, 1023, 1024, 1025, 1u << 20
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(by); i++) {
		struct mcp_net_window window = {};
		u64 first = 2000, last = first + by[i];

		KUNIT_ASSERT_TRUE(test, mcp_net_window_take(&window, first));
		KUNIT_ASSERT_TRUE(test, mcp_net_window_take(&window, last));
		KUNIT_EXPECT_TRUE(test, mcp_net_window_take(&window, last - 1));
		KUNIT_EXPECT_FALSE(test, mcp_net_window_take(&window, first));
		KUNIT_EXPECT_EQ(test, mcp_net_window_new(&window, first + 1),
				by[i] > 2 && by[i] - 1 < REACH);
	}
}

static void the_largest_counter(struct kunit *test)
{
	struct mcp_net_window window = {};

	KUNIT_EXPECT_TRUE(test, mcp_net_window_take(&window, U64_MAX));
	KUNIT_EXPECT_FALSE(test, mcp_net_window_take(&window, U64_MAX));
	KUNIT_EXPECT_TRUE(test, mcp_net_window_take(&window, U64_MAX - 1));
	KUNIT_EXPECT_FALSE(test, mcp_net_window_take(&window, 0));
}

static void a_look_changes_nothing(struct kunit *test)
{
	struct mcp_net_window window = {}, before;

	mcp_net_window_take(&window, 700);
	before = window;
	mcp_net_window_new(&window, 1u << 30);
	mcp_net_window_new(&window, 699);
	KUNIT_EXPECT_MEMEQ(test, &window, &before, sizeof(window));
}

static void a_long_random_sequence(struct kunit *test)
{
	u8 *taken = kunit_kzalloc(test, COUNTERS, GFP_KERNEL);
	struct mcp_net_window window = {};
	u64 largest = 0, counter, back;
	struct rnd_state random;
	unsigned int i;
	bool wanted;

	KUNIT_ASSERT_NOT_NULL(test, taken);
	prandom_seed_state(&random, 1);
	for (i = 0; i < 100000; i++) {
		/* Around the largest, and rarely far ahead of it. */
		back = prandom_u32_state(&random) % 1100;
		counter = largest + prandom_u32_state(&random) % 4;
		if (prandom_u32_state(&random) % 512 == 0)
			counter += prandom_u32_state(&random) % 1200;
		counter = counter > back ? counter - back : counter + 1;
		if (counter >= COUNTERS) {
			memset(&window, 0, sizeof(window));
			memset(taken, 0, COUNTERS);
			largest = 0;
			continue;
		}
		wanted = !taken[counter] && (largest < REACH || counter > largest - REACH);
		KUNIT_ASSERT_EQ_MSG(test, mcp_net_window_take(&window, counter), wanted,
				    "counter %llu, largest %llu", counter, largest);
		taken[counter] |= wanted;
		largest = max(largest, wanted ? counter : 0);
	}
	KUNIT_EXPECT_EQ(test, window.largest, largest);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(in_order),
	KUNIT_CASE(the_edge_of_reach),
	KUNIT_CASE(jumps),
	KUNIT_CASE(the_largest_counter),
	KUNIT_CASE(a_look_changes_nothing),
	KUNIT_CASE(a_long_random_sequence),
	{}
};

static struct kunit_suite suite = {
	.name = "mcp_replay",
	.test_cases = cases,
};

kunit_test_suite(suite);
