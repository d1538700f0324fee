// SPDX-License-Identifier: GPL-2.0
/* Concern: mcp_envelope.c: each field, at its limits, in each kind of message. */
#include <kunit/test.h>
#include <linux/ctype.h>

#include "mcp_envelope.c"

static const u8 kinds[] = { MCP_REQUEST, MCP_RESPONSE, MCP_NOTIFY, MCP_CANCEL };

/* With nothing that it need not have. */
static struct mcp_envelope good(u8 kind)
{
	return (struct mcp_envelope){
		.magic = MCP_MAGIC,
		.version = MCP_ENVELOPE_VERSION,
		.kind = kind,
		.cookie = kind == MCP_RESPONSE || kind == MCP_CANCEL ? 7 : 0,
		.parent = kind == MCP_NOTIFY ? 7 : 0,
	};
}

/* One member of a good envelope is set; what each kind answers, in the order of @kinds. */
struct field {
	const char *name;
	struct {
		size_t offset;
		size_t size;
	} at;
	u64 value;
	int answers[4];
};

#define AT(member) { offsetof(struct mcp_envelope, member), \
		     sizeof_field(struct mcp_envelope, member) }
#define NOBODY	{ -EINVAL, -EINVAL, -EINVAL, -EINVAL }

static const struct field fields[] = {
	{ "magic 0", AT(magic), 0, NOBODY },
	{ "magic MCP_MAGIC + 1", AT(magic), MCP_MAGIC + 1, NOBODY },
	{ "version 0", AT(version), 0, NOBODY },
	{ "version 2", AT(version), 2, NOBODY },
	{ "kind 0", AT(kind), 0, NOBODY },
	{ "kind 5", AT(kind), 5, NOBODY },
	{ "kind 255", AT(kind), 255, NOBODY },
	{ "flags MCP_F_KERNEL", AT(flags), MCP_F_KERNEL, NOBODY },
	{ "flags 0x8000", AT(flags), 0x8000, NOBODY },
	{ "reserved 1", AT(reserved), 1, NOBODY },
	{ "reserved 0x8000", AT(reserved), 0x8000, NOBODY },
	{ "sender 1", AT(sender), 1, NOBODY },
	{ "sender 1ull << 63", AT(sender), 1ull << 63, NOBODY },
	{ "status 1", AT(status), 1, NOBODY },
	{ "nfds MCP_MAX_FDS", AT(nfds), MCP_MAX_FDS, { 0, 0, 0, -EINVAL } },
	{ "nfds MCP_MAX_FDS + 1", AT(nfds), MCP_MAX_FDS + 1, NOBODY },
	{ "nfds 255", AT(nfds), 255, NOBODY },
	{ "len 1", AT(len), 1, { 0, 0, 0, -EINVAL } },
	{ "len MCP_MAX_BODY", AT(len), MCP_MAX_BODY, { 0, 0, 0, -EINVAL } },
	{ "len MCP_MAX_BODY + 1", AT(len), MCP_MAX_BODY + 1,
	  { -EMSGSIZE, -EMSGSIZE, -EMSGSIZE, -EMSGSIZE } },
	{ "len 0xffffffff", AT(len), 0xffffffff, { -EMSGSIZE, -EMSGSIZE, -EMSGSIZE, -EMSGSIZE } },
	{ "tool 1", AT(tool), 1, { 0, -EINVAL, -EINVAL, -EINVAL } },
	{ "tool MCP_TOOL_ID_MAX", AT(tool), MCP_TOOL_ID_MAX, { 0, -EINVAL, -EINVAL, -EINVAL } },
	{ "tool MCP_TOOL_ID_MAX + 1", AT(tool), MCP_TOOL_ID_MAX + 1, NOBODY },
	{ "method 5", AT(method), 5, { 0, -EINVAL, 0, -EINVAL } },
	{ "method 0xffff", AT(method), 0xffff, { 0, -EINVAL, 0, -EINVAL } },
	{ "proto 0xffff", AT(proto), 0xffff, { 0, 0, 0, -EINVAL } },
	{ "credit 255", AT(credit), 255, { 0, -EINVAL, -EINVAL, -EINVAL } },
	{ "cookie 0", AT(cookie), 0, { 0, -EINVAL, 0, -EINVAL } },
	{ "cookie 1", AT(cookie), 1, { -EINVAL, 0, -EINVAL, 0 } },
	{ "cookie 1ull << 63", AT(cookie), 1ull << 63, { -EINVAL, 0, -EINVAL, 0 } },
	{ "parent 0", AT(parent), 0, { 0, 0, -EINVAL, 0 } },
	{ "parent 1ull << 63", AT(parent), 1ull << 63, { 0, -EINVAL, 0, -EINVAL } },
	{ "deadline S64_MAX", AT(deadline), S64_MAX, { 0, -EINVAL, -EINVAL, -EINVAL } },
	{ "deadline 1ull << 63", AT(deadline), 1ull << 63, NOBODY },
	{ "reserve MCP_MAX_BODY", AT(reserve), MCP_MAX_BODY, { 0, -EINVAL, -EINVAL, -EINVAL } },
	{ "reserve MCP_MAX_BODY + 1", AT(reserve), MCP_MAX_BODY + 1,
	  { -EMSGSIZE, -EINVAL, -EINVAL, -EINVAL } },
};

static void field_name(const struct field *field, char *name)
{
	strscpy(name, field->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(field, fields, field_name);

/* Both are little-endian, so a value's first bytes are the value. */
static void one_field(struct kunit *test)
{
	const struct field *field = test->param_value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct mcp_envelope envelope = good(kinds[i]);

		memcpy((u8 *)&envelope + field->at.offset, &field->value, field->at.size);
		KUNIT_EXPECT_EQ_MSG(test, mcp_envelope_check(&envelope), field->answers[i],
				    "kind %u", kinds[i]);
	}
}

static void each_kind_passes(struct kunit *test)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct mcp_envelope envelope = good(kinds[i]);

		KUNIT_EXPECT_EQ_MSG(test, mcp_envelope_check(&envelope), 0, "kind %u", kinds[i]);
	}
}

static void empty_is_zero_but_for_the_cookie(struct kunit *test)
{
	struct mcp_envelope envelope = { .cookie = ~0ull };
	size_t i;

	KUNIT_EXPECT_TRUE(test, mcp_envelope_is_empty(&envelope));
	for (i = 0; i < sizeof(envelope); i++) {
		bool cookie = i / 8 == offsetof(struct mcp_envelope, cookie) / 8;

		envelope = (struct mcp_envelope){};
		((u8 *)&envelope)[i] = 1;
		KUNIT_EXPECT_EQ_MSG(test, mcp_envelope_is_empty(&envelope), cookie, "byte %zu", i);
	}
}

static void each_character_of_a_name(struct kunit *test)
{
	unsigned int c;

	for (c = 1; c < 256; c++) {
		u8 name[MCP_NAME_SIZE] = { 'a', c };
		bool good = c < 128 && (isalnum(c) || strchr("_./-", c));

		KUNIT_EXPECT_EQ_MSG(test, mcp_name_check(name, sizeof(name), MCP_NAME_MAX),
				    good ? 2 : -EINVAL, "character %u", c);
	}
}

static void each_length_of_a_name(struct kunit *test)
{
	unsigned int length;

	for (length = 0; length <= MCP_NAME_SIZE; length++) {
		u8 name[MCP_NAME_SIZE] = {};

		memset(name, 'n', length);
		KUNIT_EXPECT_EQ_MSG(test, mcp_name_check(name, sizeof(name), MCP_NAME_MAX),
				    length <= MCP_NAME_MAX ? length : -EINVAL, "%u", length);
	}
}

static void a_label_may_fill_its_field(struct kunit *test)
{
	u8 label[MCP_LABEL_SIZE];

	memset(label, '-', sizeof(label));
	KUNIT_EXPECT_EQ(test, mcp_name_check(label, sizeof(label), sizeof(label)), MCP_LABEL_SIZE);
}

static void nothing_follows_a_name(struct kunit *test)
{
	size_t i;

	for (i = 2; i < MCP_NAME_SIZE; i++) {
		u8 name[MCP_NAME_SIZE] = { 'a' };

		name[i] = 'b';
		KUNIT_EXPECT_EQ_MSG(test, mcp_name_check(name, sizeof(name), MCP_NAME_MAX),
				    -EINVAL, "byte %zu", i);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_kind_passes),
	KUNIT_CASE_PARAM(one_field, field_gen_params),
	KUNIT_CASE(empty_is_zero_but_for_the_cookie),
	KUNIT_CASE(each_character_of_a_name),
	KUNIT_CASE(each_length_of_a_name),
	KUNIT_CASE(a_label_may_fill_its_field),
	KUNIT_CASE(nothing_follows_a_name),
	{}
};

static struct kunit_suite suite = { .name = "mcp_envelope", .test_cases = cases };

kunit_test_suite(suite);
