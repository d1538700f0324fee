// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_charge.c: a tree of handles is charged as a whole or not at all.
 *
 * The objects are the module's own structures with nothing in them but what is
 * charged: accounts, and who was derived from whom.
 */
#include <kunit/test.h>

#include "mcp_charge.c"

#define LEVELS	(MCP_MAX_DEPTH + 1)

struct tree {
	struct mcp_user caller_user, server_user;
	struct mcp_port caller, server;
	struct mcp_endpoint endpoint;
	struct mcp_handle handles[LEVELS]; /* each derived from the one before */
	struct mcp_exchange exchange;
};

static int start(struct kunit *test)
{
	struct tree *tree = kunit_kzalloc(test, sizeof(*tree), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, tree);
	tree->caller.user = &tree->caller_user;
	tree->server.user = &tree->server_user;
	mcp_quota_init(&tree->caller_user.quota, 100, 1000);
	mcp_quota_init(&tree->server_user.quota, 100, 1000);
	mcp_quota_init(&tree->endpoint.quota, 100, ~0u);
	for (i = 0; i < LEVELS; i++) {
		tree->handles[i].parent = i ? &tree->handles[i - 1] : NULL;
		tree->handles[i].endpoint = &tree->endpoint;
		mcp_quota_init(&tree->handles[i].quota, 100, 1000);
		mcp_quota_init(&tree->handles[i].back, 100, 1000);
	}
	tree->exchange.handle = &tree->handles[LEVELS - 1];
	tree->exchange.caller = &tree->caller;
	tree->exchange.server = &tree->server;
	test->priv = tree;
	return 0;
}

static void expect_quota(struct kunit *test, const char *name, const struct mcp_quota *quota,
			 u32 requests, u32 units)
{
	KUNIT_EXPECT_EQ_MSG(test, mcp_quota_requests(quota), requests, "%s", name);
	KUNIT_EXPECT_EQ_MSG(test, mcp_quota_units(quota), units, "%s", name);
}

/* What the forward accounts have, all the same. */
static void expect_forward(struct kunit *test, u32 requests, u32 units)
{
	struct tree *tree = test->priv;
	u32 i;

	for (i = 0; i < LEVELS; i++)
		expect_quota(test, "handle", &tree->handles[i].quota, requests, units);
	expect_quota(test, "caller's user", &tree->caller_user.quota, requests, units);
	expect_quota(test, "endpoint", &tree->endpoint.quota, requests, units);
}

static void a_request_is_charged_to_all_above(struct kunit *test)
{
	struct tree *tree = test->priv;

	KUNIT_EXPECT_TRUE(test, mcp_charge(&tree->exchange, true, 1, 9, 16));
	expect_forward(test, 1, 9);
	expect_quota(test, "server's user", &tree->server_user.quota, 0, 0);
	expect_quota(test, "back", &tree->exchange.handle->back, 0, 0);
	mcp_uncharge(&tree->exchange, true, 1, 9);
	expect_forward(test, 0, 0);
}

static void a_quarter_is_the_tree_s(struct kunit *test)
{
	struct tree *tree = test->priv;

	KUNIT_EXPECT_TRUE(test, mcp_charge(&tree->exchange, true, 1, 9, 16));
	/* The same tree, by another handle of it: together they have a quarter. */
	tree->exchange.handle = &tree->handles[0];
	KUNIT_EXPECT_FALSE(test, mcp_charge(&tree->exchange, true, 1, 8, 16));
	KUNIT_EXPECT_TRUE(test, mcp_charge(&tree->exchange, true, 1, 7, 16));
	mcp_uncharge(&tree->exchange, true, 1, 7);
	tree->exchange.handle = &tree->handles[LEVELS - 1];
	expect_forward(test, 1, 9);
}

/* Wherever it is refused, nothing is charged anywhere. */
static void one_full_account_refuses_for_all(struct kunit *test)
{
	struct tree *tree = test->priv;
	struct mcp_quota *accounts[LEVELS + 2];
	u32 i, limit;

	for (i = 0; i < LEVELS; i++)
		accounts[i] = &tree->handles[i].quota;
	accounts[LEVELS] = &tree->caller_user.quota;
	accounts[LEVELS + 1] = &tree->endpoint.quota;
	for (i = 0; i < ARRAY_SIZE(accounts); i++) {
		limit = accounts[i]->max_requests;
		accounts[i]->max_requests = 0;
		KUNIT_EXPECT_FALSE(test, mcp_charge(&tree->exchange, true, 1, 1, 16));
		expect_forward(test, 0, 0);
		accounts[i]->max_requests = limit;

		limit = accounts[i]->max_units;
		accounts[i]->max_units = 4;
		KUNIT_EXPECT_FALSE(test, mcp_charge(&tree->exchange, true, 1, 5, 16));
		expect_forward(test, 0, 0);
		accounts[i]->max_units = limit;
	}
	KUNIT_EXPECT_TRUE(test, mcp_charge(&tree->exchange, true, 1, 5, 16));
}

static void the_endpoint_s_messages_are_its_own(struct kunit *test)
{
	struct tree *tree = test->priv;

	KUNIT_EXPECT_TRUE(test, mcp_charge(&tree->exchange, false, 0, 16, 16));
	KUNIT_EXPECT_FALSE(test, mcp_charge(&tree->exchange, false, 0, 1, 16));
	expect_forward(test, 0, 0);
	expect_quota(test, "back", &tree->exchange.handle->back, 0, 16);
	mcp_uncharge(&tree->exchange, false, 0, 16);
	expect_quota(test, "back", &tree->exchange.handle->back, 0, 0);
}

/* A nested request from the endpoint: the port that is "server" belongs to the handle. */
static void backward_is_the_other_way_round(struct kunit *test)
{
	struct tree *tree = test->priv;

	tree->exchange.backward = true;
	KUNIT_EXPECT_TRUE(test, mcp_charge(&tree->exchange, true, 1, 3, 16));
	expect_forward(test, 0, 0);
	expect_quota(test, "back", &tree->exchange.handle->back, 1, 3);
	mcp_uncharge(&tree->exchange, true, 1, 3);

	KUNIT_EXPECT_TRUE(test, mcp_charge(&tree->exchange, false, 0, 3, 16));
	expect_quota(test, "handle", &tree->handles[0].quota, 0, 3);
	expect_quota(test, "server's user", &tree->server_user.quota, 0, 3);
	expect_quota(test, "caller's user", &tree->caller_user.quota, 0, 0);
	mcp_uncharge(&tree->exchange, false, 0, 3);
	expect_forward(test, 0, 0);
	expect_quota(test, "server's user", &tree->server_user.quota, 0, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_request_is_charged_to_all_above),
	KUNIT_CASE(a_quarter_is_the_tree_s),
	KUNIT_CASE(one_full_account_refuses_for_all),
	KUNIT_CASE(the_endpoint_s_messages_are_its_own),
	KUNIT_CASE(backward_is_the_other_way_round),
	{}
};

static struct kunit_suite suite = {
	.name = "mcp_charge",
	.init = start,
	.test_cases = cases,
};

kunit_test_suite(suite);
