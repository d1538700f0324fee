// SPDX-License-Identifier: GPL-2.0
/*
 * The replay window: each counter is taken once, in nearly any order.
 *
 * Concern: a ring of words of bits, as RFC 6479 describes: moving on clears
 *          whole words, so the last word's worth of counters behind the window
 *          is given up for it.
 * Context: any. Locking: the caller's.
 *
 * No I/O and no other state, so that the same file is compiled by tests on a
 * host.
 */
#include <linux/string.h>

#include "mcp_net_replay.h"

/* One word is always about to be used anew. */
#define REACH (MCP_NET_WINDOW_BITS - 64)

static bool too_old(const struct mcp_net_window *window, u64 counter)
{
	return window->largest >= REACH && counter <= window->largest - REACH;
}

static u64 *word_of(struct mcp_net_window *window, u64 counter)
{
	return window->words + counter / 64 % MCP_NET_WINDOW_WORDS;
}

/**
 * mcp_net_window_new() - may this counter still be taken?
 * @window: all zero before the first counter
 * @counter: of a frame that is not authenticated yet
 *
 * Return: whether it is within reach and was not taken.
 */
bool mcp_net_window_new(const struct mcp_net_window *window, u64 counter)
{
	if (counter > window->largest)
		return true;
	if (too_old(window, counter))
		return false;
	return !(window->words[counter / 64 % MCP_NET_WINDOW_WORDS] & (1ull << counter % 64));
}

/**
 * mcp_net_window_take() - take a counter, once
 * @window: is moved on if need be
 * @counter: of a frame that is authenticated
 *
 * Return: whether it was new.
 */
bool mcp_net_window_take(struct mcp_net_window *window, u64 counter)
{
	u64 ahead;

	if (!mcp_net_window_new(window, counter))
		return false;
	if (counter > window->largest) {
		ahead = counter / 64 - window->largest / 64;
		if (ahead >= MCP_NET_WINDOW_WORDS)
			memset(window->words, 0, sizeof(window->words));
		else
			for (; ahead; ahead--)
				*word_of(window, counter - (ahead - 1) * 64) = 0;
		window->largest = counter;
	}
	*word_of(window, counter) |= 1ull << counter % 64;
	return true;
}
