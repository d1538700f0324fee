// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: slots that were received before somebody wanted them, in order.
 * Context: the connection's thread. Locking: none. Lifetime: the connection's.
 *
 * It cannot overflow: a slot takes 256 bytes of the arena at least, and is here
 * at most twice, once for its CANCEL.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

#define UNIT	256

int inbox_open(struct libmcp *mcp)
{
	mcp->inbox.size = (unsigned int)(mcp->arena_bytes / UNIT * 2);
	mcp->inbox.slots = calloc(mcp->inbox.size, sizeof(*mcp->inbox.slots));
	return mcp->inbox.slots ? 0 : -ENOMEM;
}

static uint32_t *at(struct inbox *inbox, unsigned int index)
{
	return &inbox->slots[(inbox->first + index) % inbox->size];
}

void inbox_push(struct libmcp *mcp, uint32_t slot)
{
	*at(&mcp->inbox, mcp->inbox.count++) = slot;
}

static uint32_t take(struct inbox *inbox, unsigned int index)
{
	uint32_t slot = *at(inbox, index);

	for (; index; index--)
		*at(inbox, index) = *at(inbox, index - 1);
	inbox->first = (inbox->first + 1) % inbox->size;
	inbox->count--;
	return slot;
}

uint32_t inbox_take(struct libmcp *mcp)
{
	return mcp->inbox.count ? take(&mcp->inbox, 0) : 0;
}

static bool belongs(const struct libmcp *mcp, uint32_t slot, const struct pending *pending)
{
	/* A CANCEL belongs to where its REQUEST does. */
	const struct mcp_envelope *envelope = envelope_at(mcp, slot & ~(UNIT - 1u));

	if (envelope->kind == MCP_RESPONSE)
		return envelope->cookie == pending->cookie;
	return envelope->parent == pending->cookie;
}

uint32_t inbox_take_of(struct libmcp *mcp, const struct pending *pending)
{
	for (unsigned int i = 0; pending->cookie && i < mcp->inbox.count; i++) {
		if (belongs(mcp, *at(&mcp->inbox, i), pending))
			return take(&mcp->inbox, i);
	}
	return 0;
}

bool inbox_remove(struct libmcp *mcp, uint32_t slot)
{
	for (unsigned int i = 0; i < mcp->inbox.count; i++) {
		if (*at(&mcp->inbox, i) == slot) {
			take(&mcp->inbox, i);
			return true;
		}
	}
	return false;
}
