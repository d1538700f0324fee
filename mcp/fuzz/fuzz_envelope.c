// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_envelope.c accepts what docs/uapi.md allows, and nothing else.
 *
 * The oracle is written from the manual's table, member by member: which kinds
 * may have it, which must, and its limit. The module's code goes kind by kind.
 */
#include "fuzz.h"

#include "mcp_envelope.c"

#define IN(kind) (1u << (kind))
#define TALK (IN(MCP_REQUEST) | IN(MCP_RESPONSE) | IN(MCP_NOTIFY))

static bool may(const struct mcp_envelope *envelope, u32 kinds, bool has)
{
	return !has || kinds & IN(envelope->kind);
}

static bool must(const struct mcp_envelope *envelope, u32 kinds, bool has)
{
	return has || !(kinds & IN(envelope->kind));
}

static bool too_large(const struct mcp_envelope *envelope)
{
	return envelope->len > 0x100000 || envelope->reserve > 0x100000;
}

/* All that is asked of a message but its size. */
static bool well_formed(const struct mcp_envelope *e)
{
	static const u8 magic[] = "MCP1";

	return !memcmp(e, magic, 4) && e->version == 1 && e->kind >= 1 && e->kind <= 4 &&
	       !e->flags && !e->reserved && !e->sender && !e->status && e->nfds <= 16 &&
	       may(e, TALK, e->len) && may(e, TALK, e->nfds) && may(e, TALK, e->proto) &&
	       may(e, IN(MCP_REQUEST) | IN(MCP_NOTIFY), e->method) &&
	       may(e, IN(MCP_REQUEST), e->tool) && e->tool < 1024 &&
	       may(e, IN(MCP_REQUEST), e->credit) && may(e, IN(MCP_REQUEST), e->reserve) &&
	       may(e, IN(MCP_REQUEST), e->deadline) && !(e->deadline >> 63) &&
	       may(e, IN(MCP_RESPONSE) | IN(MCP_CANCEL), e->cookie) &&
	       must(e, IN(MCP_RESPONSE) | IN(MCP_CANCEL), e->cookie) &&
	       may(e, IN(MCP_REQUEST) | IN(MCP_NOTIFY), e->parent) &&
	       must(e, IN(MCP_NOTIFY), e->parent);
}

static void check_envelope(const struct mcp_envelope *envelope)
{
	struct mcp_envelope zero = { .cookie = envelope->cookie };
	int answer = mcp_envelope_check(envelope);

	if (!well_formed(envelope))
		CHECK(answer == -EINVAL || (answer == -EMSGSIZE && too_large(envelope)));
	else
		CHECK(answer == (too_large(envelope) ? -EMSGSIZE : 0));
	CHECK(mcp_envelope_is_empty(envelope) == !memcmp(envelope, &zero, sizeof(zero)));
}

/* A good one, with one member beside a limit: chance alone seldom gets there. */
static void check_near_a_limit(struct input *input)
{
	u8 kind = 1 + take_number(input, 1) % 4;
	u32 which = take_number(input, 1) % 8;
	int beside = (int)(take_number(input, 1) % 5) - 2;
	struct mcp_envelope envelope = {
		.magic = 0x3150434d,
		.version = 1,
		.kind = kind,
		.cookie = kind == MCP_RESPONSE || kind == MCP_CANCEL,
		.parent = kind == MCP_NOTIFY,
	};

	if (which == 0)
		envelope.nfds = 16 + beside;
	else if (which == 1)
		envelope.tool = 1023 + beside;
	else if (which == 2)
		envelope.len = 0x100000 + beside;
	else if (which == 3)
		envelope.reserve = 0x100000 + beside;
	else if (which == 4)
		envelope.deadline = (1ull << 63) + beside;
	else if (which == 5)
		envelope.kind = 4 + beside;
	else if (which == 6)
		envelope.cookie = beside;
	else
		envelope.parent = beside;
	check_envelope(&envelope);
}

static void check_raw(struct input *input)
{
	struct mcp_envelope envelope;

	take_bytes(input, &envelope, sizeof(envelope));
	check_envelope(&envelope);
}

static void check_name(const u8 *name, size_t size, size_t max)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_./-";
	u8 text[MCP_NAME_SIZE + 1] = {}, padded[MCP_NAME_SIZE] = {};
	size_t length;
	bool good;
	int answer;

	memcpy(text, name, size);
	length = strlen((char *)text);
	memcpy(padded, text, length);
	good = length == strspn((char *)text, allowed) && length <= max &&
	       !memcmp(text, padded, size);
	answer = mcp_name_check(name, size, max);
	CHECK(answer == (good ? (int)length : -EINVAL));
}

static void check_raw_name(struct input *input, size_t size, size_t max)
{
	u8 name[MCP_NAME_SIZE];

	take_bytes(input, name, size);
	check_name(name, size, max);
}

/* Of any length, all of one character but for one. */
static void check_long_name(struct input *input)
{
	u8 name[MCP_NAME_SIZE] = {};

	memset(name, take_number(input, 1), take_number(input, 1) % (sizeof(name) + 1));
	if (take_number(input, 1) & 1)
		name[take_number(input, 1) % sizeof(name)] = take_number(input, 1);
	check_name(name, MCP_NAME_SIZE, MCP_NAME_MAX);
	check_name(name, MCP_LABEL_SIZE, MCP_LABEL_SIZE);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, size };

	check_near_a_limit(&input);
	check_long_name(&input);
	check_raw(&input);
	check_raw_name(&input, MCP_NAME_SIZE, MCP_NAME_MAX);
	check_raw_name(&input, MCP_LABEL_SIZE, MCP_LABEL_SIZE);
	return 0;
}
