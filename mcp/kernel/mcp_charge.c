// SPDX-License-Identifier: GPL-2.0
/*
 * Who is charged for what lies in another's arena.
 *
 * Concern: a message towards the endpoint is charged to its handle and to all
 *          that the handle was derived from, to the user who sends it, and
 *          (if it is a request) to the endpoint. A message from the endpoint
 *          is charged to the handle's @back.
 * Context: any.
 * Locking: the receiver's lock is held. What goes to an endpoint has one
 *          receiver, so the accounts of handles and endpoints need no other;
 *          those of users and @back are atomic.
 */
#include "mcp_internal.h"

static struct mcp_user *sender_of(struct mcp_exchange *exchange, bool to_server)
{
	return to_server ? exchange->caller->user : exchange->server->user;
}

static void uncharge_until(struct mcp_handle *handle, struct mcp_handle *end, u32 requests,
			   u32 units)
{
	for (; handle != end; handle = handle->parent)
		mcp_quota_uncharge_locked(&handle->quota, requests, units);
}

/**
 * mcp_charge() - before a slot is taken
 * @exchange: has its ports and its handle
 * @to_server: the message goes to the side that was called
 * @requests: 1 for a REQUEST, else 0
 * @units: of the slot
 * @quarter: of the receiver's arena, in units
 *
 * Return: true if every account has room; else nothing is charged.
 */
bool mcp_charge(struct mcp_exchange *exchange, bool to_server, u32 requests, u32 units,
		u32 quarter)
{
	struct mcp_handle *first = exchange->handle, *handle;

	if (!mcp_from_handle(exchange, to_server))
		return mcp_quota_charge(&first->back, requests, units, quarter);
	for (handle = first; handle; handle = handle->parent)
		if (!mcp_quota_charge_locked(&handle->quota, requests, units, quarter))
			goto undo;
	if (!mcp_quota_charge_locked(&first->endpoint->quota, requests, units, ~0u))
		goto undo;
	if (mcp_quota_charge(&sender_of(exchange, to_server)->quota, requests, units, ~0u))
		return true;
	mcp_quota_uncharge_locked(&first->endpoint->quota, requests, units);
undo:
	uncharge_until(first, handle, requests, units);
	return false;
}

/**
 * mcp_uncharge() - a slot is given back
 * @exchange: as for mcp_charge(), as are all the others
 * @to_server: likewise
 * @requests: likewise
 * @units: likewise
 */
void mcp_uncharge(struct mcp_exchange *exchange, bool to_server, u32 requests, u32 units)
{
	struct mcp_handle *first = exchange->handle;

	if (!mcp_from_handle(exchange, to_server)) {
		mcp_quota_uncharge(&first->back, requests, units);
		return;
	}
	uncharge_until(first, NULL, requests, units);
	mcp_quota_uncharge(&sender_of(exchange, to_server)->quota, requests, units);
	mcp_quota_uncharge_locked(&first->endpoint->quota, requests, units);
}
