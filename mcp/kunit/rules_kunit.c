// SPDX-License-Identifier: GPL-2.0
/* Concern: mcp_rules.c and mcp_rules.h: modes, narrowing, pinned tools. */
#include <kunit/test.h>

#include "mcp_rules.c"

static const struct mcp_bounds opened = {
	.rights = MCP_RIGHTS,
	.max_requests = MCP_MAX_INFLIGHT,
	.max_units = ~0u,
};

static void a_mode_is_read_as_a_file_s(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(0700, true, false), MCP_RIGHTS);
	KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(0400, true, false),
			MCP_RIGHT_QUERY | MCP_RIGHT_READ);
	KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(0200, true, false),
			MCP_RIGHT_WRITE | MCP_RIGHT_FDS);
	KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(0100, true, false), MCP_RIGHT_GRANT);
	KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(0070, false, true), MCP_RIGHTS);
	KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(0007, false, false), MCP_RIGHTS);
}

/* The first class that fits decides, even if a later one would give more. */
static void an_owner_is_never_one_of_the_others(struct kunit *test)
{
	u32 mode;

	for (mode = 0; mode < 01000; mode++) {
		u32 owner = mode >> 6, group = mode >> 3 & 7, others = mode & 7;

		KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(mode, true, true),
				mcp_rights_of_mode(owner, false, false));
		KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(mode, true, false),
				mcp_rights_of_mode(owner, false, false));
		KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(mode, false, true),
				mcp_rights_of_mode(group, false, false));
		KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(mode, false, false),
				mcp_rights_of_mode(others, false, false));
	}
	KUNIT_EXPECT_EQ(test, mcp_rights_of_mode(0, false, false), 0);
}

static void zeros_ask_for_what_there_is(struct kunit *test)
{
	const struct mcp_bounds has = {
		.expiry = 900, .rights = MCP_RIGHTS, .depth = 1, .max_requests = 5, .max_units = 7,
	};
	const struct mcp_grant grant = { .rights = MCP_RIGHT_READ };
	struct mcp_bounds made;

	KUNIT_ASSERT_EQ(test, mcp_bounds_narrow(&has, &grant, 100, &made), 0);
	KUNIT_EXPECT_EQ(test, made.rights, MCP_RIGHT_READ);
	KUNIT_EXPECT_EQ(test, made.expiry, 900);
	KUNIT_EXPECT_EQ(test, made.depth, 2);
	KUNIT_EXPECT_EQ(test, made.max_requests, 5);
	KUNIT_EXPECT_EQ(test, made.max_units, 7);
}

static void each_right_alone(struct kunit *test)
{
	struct mcp_bounds has = opened, made;
	struct mcp_grant grant = {};
	u32 asked;

	for (has.rights = 0; has.rights <= MCP_RIGHTS; has.rights++) {
		for (asked = 1; asked <= MCP_RIGHTS; asked++) {
			bool good = has.rights & MCP_RIGHT_GRANT && !(asked & ~has.rights);

			grant.rights = asked;
			KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 0, &made),
					good ? 0 : -EACCES);
		}
	}
}

static void limits_at_the_edge(struct kunit *test)
{
	const struct mcp_bounds has = {
		.rights = MCP_RIGHTS, .max_requests = 5, .max_units = 7,
	};
	struct mcp_grant grant = { .rights = MCP_RIGHT_READ, .max_inflight = 5,
				   .max_bytes = 7 * MCP_UNIT };
	struct mcp_bounds made;

	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 0, &made), 0);
	KUNIT_EXPECT_EQ(test, made.max_units, 7);
	grant.max_inflight = 6;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 0, &made), -EACCES);
	grant.max_inflight = 1;
	grant.max_bytes++;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 0, &made), -EACCES);
	grant.max_bytes = U64_MAX;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 0, &made), -EACCES);
	grant.max_bytes = 1;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 0, &made), 0);
	KUNIT_EXPECT_EQ(test, made.max_units, 1);
	grant.max_bytes = MCP_UNIT + 1;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 0, &made), 0);
	KUNIT_EXPECT_EQ(test, made.max_units, 2);
}

static void an_expiry_lies_between_now_and_the_parent_s(struct kunit *test)
{
	struct mcp_bounds has = opened, made;
	struct mcp_grant grant = { .rights = MCP_RIGHT_READ, .expiry = U64_MAX };

	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 100, &made), 0);
	has.expiry = 900;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 100, &made), -EACCES);
	grant.expiry = 901;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 100, &made), -EACCES);
	grant.expiry = 900;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 100, &made), 0);
	KUNIT_EXPECT_EQ(test, made.expiry, 900);
	grant.expiry = 101;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 100, &made), 0);
	KUNIT_EXPECT_EQ(test, made.expiry, 101);
	grant.expiry = 100;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&has, &grant, 100, &made), -EINVAL);
}

static void as_deep_as_is_allowed(struct kunit *test)
{
	const struct mcp_grant grant = { .rights = MCP_RIGHTS };
	struct mcp_bounds now = opened, next;
	u32 depth;

	for (depth = 1; depth <= MCP_MAX_DEPTH; depth++) {
		KUNIT_ASSERT_EQ(test, mcp_bounds_narrow(&now, &grant, 0, &next), 0);
		KUNIT_ASSERT_EQ(test, next.depth, depth);
		now = next;
	}
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&now, &grant, 0, &next), -ELOOP);
	now.depth = ~0u;
	KUNIT_EXPECT_EQ(test, mcp_bounds_narrow(&now, &grant, 0, &next), -ELOOP);
}

static void tools_by_rights(struct kunit *test)
{
	u32 rights;

	for (rights = 0; rights <= MCP_RIGHTS; rights++) {
		bool write = rights & MCP_RIGHT_WRITE, read = write || rights & MCP_RIGHT_READ;

		KUNIT_EXPECT_EQ(test, mcp_check_tool_rights(rights, 0), write ? 0 : -EACCES);
		KUNIT_EXPECT_EQ(test, mcp_check_tool_rights(rights, MCP_TOOL_READ_ONLY),
				read ? 0 : -EACCES);
	}
}

static void a_tool_is_what_it_was(struct kunit *test)
{
	/* There when it was pinned, at 5, and not touched since. */
	KUNIT_EXPECT_EQ(test, mcp_check_pinned(5, 1, 1, false), 0);
	KUNIT_EXPECT_EQ(test, mcp_check_pinned(5, 1, 5, true), 0);
	/* Changed since. */
	KUNIT_EXPECT_EQ(test, mcp_check_pinned(5, 1, 6, false), -ESTALE);
	KUNIT_EXPECT_EQ(test, mcp_check_pinned(5, 5, 6, true), -ESTALE);
	/* Added since: nobody has agreed to it. */
	KUNIT_EXPECT_EQ(test, mcp_check_pinned(5, 6, 6, false), -EACCES);
	/* Removed and added again: it is another one. */
	KUNIT_EXPECT_EQ(test, mcp_check_pinned(5, 6, 6, true), -ESTALE);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_mode_is_read_as_a_file_s),
	KUNIT_CASE(an_owner_is_never_one_of_the_others),
	KUNIT_CASE(zeros_ask_for_what_there_is),
	KUNIT_CASE(each_right_alone),
	KUNIT_CASE(limits_at_the_edge),
	KUNIT_CASE(an_expiry_lies_between_now_and_the_parent_s),
	KUNIT_CASE(as_deep_as_is_allowed),
	KUNIT_CASE(tools_by_rights),
	KUNIT_CASE(a_tool_is_what_it_was),
	{}
};

static struct kunit_suite suite = { .name = "mcp_rules", .test_cases = cases };

kunit_test_suite(suite);
