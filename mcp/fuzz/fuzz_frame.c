// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_net_frame.c against the offsets of docs/network.md: bytes are
 * read here one by one.
 *
 * An input is the size of a frame, the MTU, the time, a frame's header, a
 * message, and an envelope that is to be told.
 */
#include "fuzz.h"

#include "mcp_net_frame.c"

enum { HEADER = 16, MESSAGE = 40 };

/* Little-endian, of up to eight bytes. */
static u64 number_at(const u8 *bytes, u32 offset, u32 size)
{
	u64 number = 0;

	while (size--)
		number = number << 8 | bytes[offset + size];
	return number;
}

static bool frame_should_pass(const u8 *header, u32 bytes, u32 mtu)
{
	u64 session = number_at(header, 4, 4), counter = number_at(header, 8, 8);

	if (header[0] != 1 || number_at(header, 2, 2) || bytes > mtu)
		return false;
	switch (header[1]) {
	case 1:
		return bytes == 72 && session && !counter;
	case 3:
		return bytes == 48 && !counter;
	case 4:
		return bytes >= 72 && counter;
	}
	return false;
}

static void check_header(struct input *input)
{
	static const u8 sizes[] = { 47, 48, 71, 72 };
	u32 bytes = take_number(input, 2), mtu = take_number(input, 2), likely = take_number(input, 1);
	struct mcp_net_header header;
	u8 raw[HEADER];

	take_bytes(input, raw, sizeof(raw));
	/* Most frames are right but for a field or two. */
	if (likely & 1)
		raw[0] = 1;
	if (likely & 2)
		raw[1] = 1 + raw[1] % 4;
	if (likely & 4)
		memset(raw + 2, 0, 2);
	if (likely & 8)
		bytes = sizes[bytes % sizeof(sizes)];
	if (likely & 16)
		mtu = bytes - mtu % 2;
	memcpy(&header, raw, sizeof(header));
	CHECK(mcp_net_frame_good(&header, bytes, mtu) == frame_should_pass(raw, bytes, mtu));
	mcp_net_header_fill(&header, raw[1], number_at(raw, 4, 4), number_at(raw, 8, 8));
	raw[0] = 1;
	raw[2] = 0;
	raw[3] = 0;
	CHECK(!memcmp(&header, raw, sizeof(raw)));
}

static int read_should_give(const u8 *raw)
{
	bool cookie = number_at(raw, 16, 8), parent = number_at(raw, 24, 8);

	if (number_at(raw, 2, 2) || number_at(raw, 12, 4))
		return -EINVAL;
	switch (raw[0]) {
	case MCP_REQUEST:
		return !cookie ? -EINVAL : parent ? -EOPNOTSUPP : 0;
	case MCP_NOTIFY:
		return !cookie && parent ? 0 : -EINVAL;
	case MCP_RESPONSE:
	case MCP_CANCEL:
		return cookie && !parent ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static void check_read(struct input *input, u64 now)
{
	struct mcp_net_message message;
	struct mcp_envelope envelope;
	u32 body = take_number(input, 2);
	u8 raw[MESSAGE];
	u64 timeout;

	take_bytes(input, raw, sizeof(raw));
	memcpy(&message, raw, sizeof(message));
	memset(&envelope, 0xff, sizeof(envelope));
	CHECK(mcp_net_message_read(&envelope, &message, body, now) == read_should_give(raw));
	CHECK(envelope.magic == MCP_MAGIC && envelope.version == MCP_ENVELOPE_VERSION);
	CHECK(envelope.kind == raw[0] && envelope.credit == raw[1]);
	CHECK(!envelope.flags && !envelope.status && !envelope.nfds && !envelope.reserved);
	CHECK(envelope.len == body);
	CHECK(envelope.tool == number_at(raw, 4, 4));
	CHECK(envelope.method == number_at(raw, 8, 2) && envelope.proto == number_at(raw, 10, 2));
	CHECK(envelope.cookie == number_at(raw, 16, 8) &&
	      envelope.parent == number_at(raw, 24, 8));
	CHECK(envelope.reserve == number_at(raw, 36, 4));
	timeout = number_at(raw, 32, 4);
	CHECK(envelope.deadline == (timeout ? now + timeout * 1000000 : 0));
}

static void check_write(struct input *input, u64 now)
{
	struct mcp_net_message message;
	struct mcp_envelope envelope;
	u64 left, timeout;
	u8 raw[MESSAGE];

	take_bytes(input, &envelope, sizeof(envelope));
	left = envelope.deadline > now ? (envelope.deadline - now) / 1000000 : 0;
	memset(&message, 0xff, sizeof(message));
	mcp_net_message_write(&message, &envelope, now);
	memcpy(raw, &message, sizeof(raw));
	CHECK(raw[0] == envelope.kind && raw[1] == envelope.credit);
	CHECK(number_at(raw, 2, 2) == (envelope.flags & MCP_F_KERNEL));
	CHECK(number_at(raw, 4, 4) == envelope.tool);
	CHECK(number_at(raw, 8, 2) == envelope.method && number_at(raw, 10, 2) == envelope.proto);
	CHECK(number_at(raw, 12, 4) == (u32)envelope.status);
	CHECK(number_at(raw, 16, 8) == envelope.cookie &&
	      number_at(raw, 24, 8) == envelope.parent);
	CHECK(number_at(raw, 36, 4) == envelope.reserve);
	timeout = number_at(raw, 32, 4);
	if (!envelope.deadline)
		CHECK(!timeout);
	else if (left > U32_MAX)
		CHECK(timeout == U32_MAX);
	else
		CHECK(timeout == (left ? left : 1));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, size };
	/* A clock does not come near to its end. */
	u64 now = take_number(&input, 8) >> 2;

	check_header(&input);
	check_read(&input, now);
	check_write(&input, now);
	return 0;
}
