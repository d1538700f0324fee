// SPDX-License-Identifier: GPL-2.0
/*
 * A frame: what is the same whichever way it comes in.
 *
 * Concern: members that belong together, the slot that is released first, and
 *          which function a kind of message goes to.
 * Context: process.
 * Locking: none of its own.
 */
#include "mcp_internal.h"

/**
 * mcp_frame_check() - refuse what a frame must not hold
 * @frame: the kernel's copy
 *
 * Return: 0; -EINVAL; -EMSGSIZE as mcp_envelope_check().
 */
int mcp_frame_check(const struct mcp_frame *frame)
{
	const struct mcp_envelope *envelope = &frame->envelope;
	bool has_handle = envelope->kind == MCP_REQUEST && !envelope->parent;
	int error = mcp_envelope_check(envelope);

	if (error)
		return error;
	if ((!envelope->len && frame->body) || (!envelope->nfds && frame->fds))
		return -EINVAL;
	if (frame->result && envelope->kind != MCP_REQUEST)
		return -EINVAL;
	return !has_handle && frame->handle != -1 ? -EINVAL : 0;
}

/**
 * mcp_frame_begin() - what comes before the message is sent
 * @port: the sender
 * @frame: the kernel's copy
 *
 * Return: 0, and the slot that it names is released; -EINVAL and -EMSGSIZE as
 * mcp_frame_check() and mcp_port_release().
 */
int mcp_frame_begin(struct mcp_port *port, const struct mcp_frame *frame)
{
	int error = mcp_frame_check(frame);

	if (!error && frame->slot != MCP_NO_SLOT)
		error = mcp_port_release(port, frame->slot);
	return unlikely(error) ? mcp_refused(error) : 0;
}

static int send_request(struct mcp_port *port, const struct mcp_frame *frame)
{
	struct mcp_exchange *exchange = mcp_request_prepare(port, frame, MCP_ANSWER_QUEUE);
	int error;

	if (IS_ERR(exchange))
		return PTR_ERR(exchange);
	error = mcp_request_publish(exchange, frame);
	mcp_exchange_put(exchange);
	return error;
}

/**
 * mcp_frame_send() - send, without waiting for anything
 * @port: the sender
 * @frame: the kernel's copy, after mcp_frame_begin()
 *
 * Return: 0, or as the function for its kind.
 */
int mcp_frame_send(struct mcp_port *port, const struct mcp_frame *frame)
{
	switch (frame->envelope.kind) {
	case MCP_REQUEST:
		return send_request(port, frame);
	case MCP_RESPONSE:
		return mcp_respond(port, frame);
	case MCP_NOTIFY:
		return mcp_notify(port, frame);
	default:
		return mcp_cancel(port, frame->envelope.cookie);
	}
}
