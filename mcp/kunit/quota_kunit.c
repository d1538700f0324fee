// SPDX-License-Identifier: GPL-2.0
/* Concern: mcp_quota.h: two counters that go up together or not at all. */
#include <kunit/test.h>

#include "mcp_quota.h"

#define MANY	~0u

static void expect(struct kunit *test, const struct mcp_quota *quota, u32 requests, u64 units)
{
	KUNIT_EXPECT_EQ(test, mcp_quota_requests(quota), requests);
	KUNIT_EXPECT_EQ(test, mcp_quota_units(quota), units);
}

static void up_to_each_limit(struct kunit *test)
{
	struct mcp_quota quota;

	mcp_quota_init(&quota, 2, 10);
	expect(test, &quota, 0, 0);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1, 10, MANY));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 0, 1, MANY));
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1, 0, MANY));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 1, 0, MANY));
	expect(test, &quota, 2, 10);
	mcp_quota_uncharge(&quota, 1, 4);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1, 4, MANY));
	mcp_quota_uncharge(&quota, 2, 10);
	expect(test, &quota, 0, 0);
}

static void what_is_refused_takes_nothing(struct kunit *test)
{
	struct mcp_quota quota;

	mcp_quota_init(&quota, 1, 10);
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 2, 1, MANY));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 1, 11, MANY));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 1, MANY, MANY));
	expect(test, &quota, 0, 0);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1, 10, MANY));
}

static void a_ceiling_counts_what_is_taken(struct kunit *test)
{
	struct mcp_quota quota;

	mcp_quota_init(&quota, 10, 100);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1, 16, 16));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 1, 1, 16));
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1, 1, 17));
	expect(test, &quota, 2, 17);
}

static void nothing_is_allowed(struct kunit *test)
{
	struct mcp_quota quota;

	mcp_quota_init(&quota, 0, 0);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 0, 0, 0));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 1, 0, MANY));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 0, 1, MANY));
	expect(test, &quota, 0, 0);
}

/* The units of many must not run over into the requests. */
static void large_counts_stay_apart(struct kunit *test)
{
	struct mcp_quota quota;
	u32 i;

	mcp_quota_init(&quota, 1024, MANY);
	for (i = 0; i < 200; i++)
		KUNIT_EXPECT_FALSE(test, mcp_quota_charge(&quota, 1025, MANY, MANY));
	expect(test, &quota, 0, 0);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1024, MANY, MANY));
	expect(test, &quota, 1024, MANY);
	/* As by senders that are refused at the same time: 255 more, before any is taken back. */
	for (i = 0; i < 255; i++)
		atomic64_add(mcp_quota_word(1, MANY), &quota.taken);
	expect(test, &quota, 1024 + 255, 256ull * MANY);
	for (i = 0; i < 255; i++)
		mcp_quota_uncharge(&quota, 1, MANY);
	expect(test, &quota, 1024, MANY);
}

/* Under the account's lock the same words are read and written one after the other. */
static void under_a_lock_it_counts_the_same(struct kunit *test)
{
	struct mcp_quota quota;

	mcp_quota_init(&quota, 2, 10);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge_locked(&quota, 1, 10, 10));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge_locked(&quota, 1, 1, MANY));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge_locked(&quota, 2, 0, MANY));
	KUNIT_EXPECT_FALSE(test, mcp_quota_charge_locked(&quota, 1, 0, 9));
	expect(test, &quota, 1, 10);
	KUNIT_EXPECT_TRUE(test, mcp_quota_charge(&quota, 1, 0, MANY));
	mcp_quota_uncharge_locked(&quota, 2, 10);
	expect(test, &quota, 0, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(up_to_each_limit),
	KUNIT_CASE(what_is_refused_takes_nothing),
	KUNIT_CASE(a_ceiling_counts_what_is_taken),
	KUNIT_CASE(nothing_is_allowed),
	KUNIT_CASE(large_counts_stay_apart),
	KUNIT_CASE(under_a_lock_it_counts_the_same),
	{}
};

static struct kunit_suite suite = { .name = "mcp_quota", .test_cases = cases };

kunit_test_suite(suite);
