// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_rules.c: authority never grows, however often it is passed on.
 *
 * An input is what a first handle allows, then grants, each derived from the
 * last. Each new handle is compared with all before it, not only its parent.
 */
#include "fuzz.h"

#include "mcp_rules.c"

static bool within(const struct mcp_bounds *made, const struct mcp_bounds *has)
{
	u64 made_end = made->expiry ? made->expiry : UINT64_MAX;
	u64 has_end = has->expiry ? has->expiry : UINT64_MAX;

	return !(made->rights & ~has->rights) && made->depth > has->depth &&
	       made->max_requests <= has->max_requests && made->max_units <= has->max_units &&
	       made_end <= has_end;
}

/* In bytes and without rounding: is this what a parent may give? */
static bool may_give(const struct mcp_bounds *has, const struct mcp_grant *grant, u64 now)
{
	unsigned __int128 bytes = (unsigned __int128)has->max_units * MCP_UNIT;

	return has->rights & MCP_RIGHT_GRANT && (grant->rights & has->rights) == grant->rights &&
	       grant->max_inflight <= has->max_requests && grant->max_bytes <= bytes &&
	       (!grant->expiry || grant->expiry > now) &&
	       (!has->expiry || !grant->expiry || grant->expiry <= has->expiry) &&
	       has->depth < MCP_MAX_DEPTH;
}

/* What was asked for is given to the unit, and no less. */
static void check_made(const struct mcp_bounds *made, const struct mcp_grant *grant)
{
	CHECK(made->rights == grant->rights);
	if (grant->max_inflight)
		CHECK(made->max_requests == grant->max_inflight);
	if (grant->expiry)
		CHECK(made->expiry == grant->expiry);
	if (grant->max_bytes) {
		CHECK((u64)made->max_units * MCP_UNIT >= grant->max_bytes);
		CHECK((u64)(made->max_units - 1) * MCP_UNIT < grant->max_bytes);
	}
}

static void check_grants(struct input *input)
{
	struct mcp_bounds chain[MCP_MAX_DEPTH + 1];
	u32 length = 1, i;

	take_bytes(input, chain, sizeof(chain[0]));
	chain[0].depth = 0;
	while (input->left) {
		struct mcp_bounds made = {}, *has = &chain[length - 1];
		struct mcp_grant grant = {};
		u64 now = take_number(input, 2);
		bool good;
		int answer;

		grant.rights = take_number(input, 1);
		grant.max_inflight = take_number(input, 2);
		grant.max_bytes = take_number(input, 8);
		grant.expiry = take_number(input, 8);
		good = may_give(has, &grant, now);
		answer = mcp_bounds_narrow(has, &grant, now, &made);
		CHECK((answer == 0) == good);
		if (answer) {
			CHECK(answer == -EACCES || answer == -EINVAL || answer == -ELOOP);
			continue;
		}
		check_made(&made, &grant);
		for (i = 0; i < length; i++)
			CHECK(within(&made, &chain[i]));
		CHECK(length <= MCP_MAX_DEPTH);
		chain[length++] = made;
	}
}

/* Each of the three digits, as ls would print it. */
static void check_mode(struct input *input)
{
	u32 mode = take_number(input, 2) & 0777, who = take_number(input, 1) & 3;
	u32 digit = mode >> (who & 1 ? 6 : who & 2 ? 3 : 0) & 7;
	u32 rights = mcp_rights_of_mode(mode, who & 1, who & 2);

	CHECK(!(rights & ~MCP_RIGHTS));
	CHECK(!(rights & MCP_RIGHT_QUERY) == !(digit & 4));
	CHECK(!(rights & MCP_RIGHT_READ) == !(digit & 4));
	CHECK(!(rights & MCP_RIGHT_WRITE) == !(digit & 2));
	CHECK(!(rights & MCP_RIGHT_FDS) == !(digit & 2));
	CHECK(!(rights & MCP_RIGHT_GRANT) == !(digit & 1));
}

static void check_tool(struct input *input)
{
	u32 rights = take_number(input, 1) & MCP_RIGHTS, flags = take_number(input, 1) & 1;
	u64 pinned = take_number(input, 1), born = take_number(input, 1);
	u64 changed = born + take_number(input, 1);
	bool named = take_number(input, 1) & 1;
	int answer = mcp_check_pinned(pinned, born, changed, named);

	CHECK((mcp_check_tool_rights(rights, flags) == 0) ==
	      ((rights & MCP_RIGHT_WRITE) || (flags && rights & MCP_RIGHT_READ)));
	if (changed <= pinned)
		CHECK(!answer);
	else
		CHECK(answer == (born <= pinned || named ? -ESTALE : -EACCES));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, size };

	check_mode(&input);
	check_tool(&input);
	check_grants(&input);
	return 0;
}
