// SPDX-License-Identifier: GPL-2.0
/*
 * The envelope: what a sender may write into it.
 *
 * Concern: each field of an envelope, and the characters of names. Nothing
 *          here knows who sends or where to.
 * Context: any. Locking: none; the arguments are the caller's own copies.
 *
 * No I/O and no state, so that the same file is compiled by tests on a host.
 */
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include "mcp_envelope.h"

static_assert(sizeof(struct mcp_envelope) == 64);
static_assert(sizeof(struct mcp_frame) == 96);
static_assert(sizeof(struct mcp_envelope) == MCP_CANCEL_OFFSET);
static_assert(2 * sizeof(struct mcp_envelope) == MCP_BODY_OFFSET);

/* What only a REQUEST has. */
static bool names_a_call(const struct mcp_envelope *envelope)
{
	return envelope->tool || envelope->credit || envelope->deadline || envelope->reserve;
}

static int check_request(const struct mcp_envelope *envelope)
{
	if (envelope->cookie || envelope->tool > MCP_TOOL_ID_MAX ||
	    envelope->deadline > S64_MAX)
		return -EINVAL;
	return envelope->reserve > MCP_MAX_BODY ? -EMSGSIZE : 0;
}

static int check_notify(const struct mcp_envelope *envelope)
{
	return envelope->cookie || !envelope->parent || names_a_call(envelope) ? -EINVAL : 0;
}

static int check_response(const struct mcp_envelope *envelope)
{
	if (!envelope->cookie || envelope->parent || envelope->method || names_a_call(envelope))
		return -EINVAL;
	return 0;
}

static int check_cancel(const struct mcp_envelope *envelope)
{
	if (envelope->len || envelope->nfds || envelope->proto)
		return -EINVAL;
	return check_response(envelope);
}

/**
 * mcp_envelope_check() - refuse what a sender must not write
 * @envelope: the kernel's copy
 *
 * Return: 0; -EMSGSIZE for a body, or a space for the answer's, above
 * MCP_MAX_BODY; -EINVAL for everything else.
 */
int mcp_envelope_check(const struct mcp_envelope *envelope)
{
	if (envelope->magic != MCP_MAGIC || envelope->version != MCP_ENVELOPE_VERSION)
		return -EINVAL;
	if (envelope->flags || envelope->reserved || envelope->sender || envelope->status)
		return -EINVAL;
	if (envelope->nfds > MCP_MAX_FDS)
		return -EINVAL;
	if (envelope->len > MCP_MAX_BODY)
		return -EMSGSIZE;
	switch (envelope->kind) {
	case MCP_REQUEST:
		return check_request(envelope);
	case MCP_RESPONSE:
		return check_response(envelope);
	case MCP_NOTIFY:
		return check_notify(envelope);
	case MCP_CANCEL:
		return check_cancel(envelope);
	default:
		return -EINVAL;
	}
}

/**
 * mcp_name_check() - may these bytes stand in a log?
 * @name: a field of @size bytes
 * @size: of the field
 * @max: most characters
 *
 * Return: the number of characters; -EINVAL for one that is not of
 * [A-Za-z0-9_./-], for too many, and for a field not filled with zeros.
 */
int mcp_name_check(const u8 *name, size_t size, size_t max)
{
	size_t length = 0;

	while (length < size && name[length]) {
		u8 c = name[length];
		bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

		if (!letter && !(c >= '0' && c <= '9') && !strchr("_./-", c))
			return -EINVAL;
		length++;
	}
	if (length > max || memchr_inv(name + length, 0, size - length))
		return -EINVAL;
	return length;
}
