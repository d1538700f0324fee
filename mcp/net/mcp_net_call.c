// SPDX-License-Identifier: GPL-2.0
/*
 * Messages: what the peer says becomes calls on the one handle, and what comes
 * back becomes frames.
 *
 * Concern: the table that maps the peer's cookies; limits that only a network
 *          has; refusals that the peer is told.
 * Context: the binding's work.
 * Locking: none: all is the work's own. mcp.ko's locks are taken inside.
 * Lifetime: a request is in the table until its RESPONSE came.
 */
#include <linux/kcov.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "mcp_net_internal.h"

/* ---- The table ---- */

static struct mcp_net_call *find_by_peer(struct mcp_net_binding *binding, u64 peer)
{
	struct mcp_net_call *call;

	for (call = binding->calls; call < binding->calls + MCP_NET_INFLIGHT; call++)
		if (call->cookie && call->peer == peer)
			return call;
	return NULL;
}

/* A @cookie of 0 finds a free row. */
static struct mcp_net_call *find_by_cookie(struct mcp_net_binding *binding, u64 cookie)
{
	struct mcp_net_call *call;

	for (call = binding->calls; call < binding->calls + MCP_NET_INFLIGHT; call++)
		if (call->cookie == cookie)
			return call;
	return NULL;
}

static int cancel(struct mcp_net_binding *binding, u64 cookie)
{
	struct mcp_envelope envelope = {
		.magic = MCP_MAGIC,
		.version = MCP_ENVELOPE_VERSION,
		.kind = MCP_CANCEL,
		.cookie = cookie,
	};

	return mcp_kport_send(binding->kport, &envelope, NULL, NULL);
}

/**
 * mcp_net_cancel_all() - nobody waits for the answers any more
 * @binding: its table is empty after this
 */
void mcp_net_cancel_all(struct mcp_net_binding *binding)
{
	struct mcp_net_call *call;

	for (call = binding->calls; call < binding->calls + MCP_NET_INFLIGHT; call++) {
		/* One that has been answered meanwhile says ENOENT, which is as well. */
		if (call->cookie)
			cancel(binding, call->cookie);
		call->cookie = 0;
	}
}

/* ---- To the peer ---- */

static void tell(struct mcp_net_binding *binding, u8 kind, u64 cookie, u64 parent, int error)
{
	struct mcp_envelope envelope = {
		.kind = kind,
		.flags = MCP_F_KERNEL,
		.cookie = cookie,
		.parent = parent,
		.status = -error,
	};

	/* A request that was refused may have used the last counter but for this. */
	if (binding->live.sent + 1 < binding->max_frames)
		mcp_net_send_message(binding, &envelope, NULL);
	else
		mcp_net_count(binding, MCP_NET_EXPIRED);
}

static int unmapped(struct mcp_net_binding *binding)
{
	mcp_net_count(binding, MCP_NET_UNMAPPED);
	return -EOPNOTSUPP;
}

/* mcp_kport_take: a message that came for the peer. */
static int forward(void *data, const struct mcp_envelope *envelope, const void *body)
{
	struct mcp_net_binding *binding = data;
	struct mcp_envelope told = *envelope;
	struct mcp_net_call *call;

	/* What was cancelled is answered too, and nobody wants to know. */
	if (!binding->live.id)
		return unmapped(binding);
	switch (envelope->kind) {
	case MCP_RESPONSE:
		call = find_by_cookie(binding, envelope->cookie);
		if (!call)
			return unmapped(binding);
		told.cookie = call->peer;
		call->cookie = 0;
		break;
	case MCP_CANCEL:
		/* Of a nested request, which has the endpoint's cookie. */
		told.parent = 0;
		break;
	default:
		call = find_by_cookie(binding, envelope->parent);
		if (!call)
			return unmapped(binding);
		told.parent = call->peer;
	}
	if (envelope->len <= mcp_net_max_body(binding)) {
		mcp_net_send_message(binding, &told, body);
		return 0;
	}
	if (envelope->kind != MCP_REQUEST)
		tell(binding, told.kind, told.cookie, told.parent, -EMSGSIZE);
	return -EMSGSIZE;
}

/**
 * mcp_net_answer() - one message of the kernel's to the peer
 * @binding: the binding
 *
 * When the session's frames are used up, messages wait for the next one: what
 * is in flight bounds them. A session that ends has cancelled what it waited for.
 *
 * Return: whether there was one.
 */
bool mcp_net_answer(struct mcp_net_binding *binding)
{
	if (binding->live.id && binding->live.sent + 1 >= binding->max_frames)
		return false;
	return mcp_kport_receive(binding->kport, forward, binding);
}

/* ---- From the peer ---- */

static int request(struct mcp_net_binding *binding, struct mcp_envelope *envelope,
		   const void *body)
{
	struct mcp_net_call *call = find_by_cookie(binding, 0);
	u64 peer = envelope->cookie, cookie;
	int error;

	if (!call)
		return -EDQUOT;
	if (envelope->reserve > mcp_net_max_body(binding))
		return -EMSGSIZE;
	envelope->cookie = 0;
	error = mcp_kport_send(binding->kport, envelope, body, &cookie);
	if (error)
		return error;
	*call = (struct mcp_net_call){ .peer = peer, .cookie = cookie };
	return 0;
}

static void handle_request(struct mcp_net_binding *binding, struct mcp_envelope *envelope,
			   const void *body, int error)
{
	u64 peer = envelope->cookie;

	/* Repeated: the answer of the first is still to come. */
	if (peer && find_by_peer(binding, peer)) {
		mcp_net_count(binding, MCP_NET_UNMAPPED);
		return;
	}
	if (!error)
		error = request(binding, envelope, body);
	if (error)
		tell(binding, MCP_RESPONSE, peer, 0, error);
}

static void handle_other(struct mcp_net_binding *binding, struct mcp_envelope *envelope,
			 const void *body)
{
	u64 cookie = envelope->cookie, parent = envelope->parent;
	struct mcp_net_call *call = NULL;
	int error;

	if (envelope->kind != MCP_RESPONSE) {
		call = find_by_peer(binding, cookie ?: parent);
		if (!call) {
			mcp_net_count(binding, MCP_NET_UNMAPPED);
			return;
		}
	}
	if (envelope->kind == MCP_CANCEL) {
		/* Answered as all are that end: with a RESPONSE. */
		if (envelope->len)
			mcp_net_count(binding, MCP_NET_MALFORMED);
		else
			cancel(binding, call->cookie);
		return;
	}
	if (call)
		envelope->parent = call->cookie;
	error = mcp_kport_send(binding->kport, envelope, body, NULL);
	if (error)
		tell(binding, envelope->kind, cookie, parent, error);
}

/**
 * mcp_net_data() - a frame that may be the peer's
 * @binding: the binding
 * @header: of the frame
 * @eth: of the frame
 * @text: the message, its body and the tag
 * @bytes: of @text
 */
void mcp_net_data(struct mcp_net_binding *binding, const struct mcp_net_header *header,
		  const u8 *eth, u8 *text, u32 bytes)
{
	struct mcp_net_session *session = &binding->live;
	u64 counter = le64_to_cpu(header->counter);
	struct mcp_envelope envelope;
	const u8 *body;
	u32 len;
	int error;

	if (!mcp_net_live(binding) || le32_to_cpu(header->session) != session->id ||
	    memcmp(eth, session->eth_rx, MCP_NET_ETH)) {
		mcp_net_count(binding, MCP_NET_STRANGE);
		return;
	}
	if (counter >= binding->max_frames) {
		mcp_net_count(binding, MCP_NET_EXPIRED);
		return;
	}
	if (!mcp_net_window_new(&session->window, counter)) {
		mcp_net_count(binding, MCP_NET_REPLAYED);
		return;
	}
	bytes -= MCP_NET_TAG;
	if (!mcp_net_unseal(text, bytes, eth, header, MCP_NET_TO_SERVER, session->rx_key)) {
		mcp_net_count(binding, MCP_NET_FORGED);
		return;
	}
	mcp_net_window_take(&session->window, counter);
	mcp_net_count(binding, MCP_NET_RX);

	body = text + sizeof(struct mcp_net_message);
	len = bytes - sizeof(struct mcp_net_message);
	error = mcp_net_message_read(&envelope, (struct mcp_net_message *)text, len,
				     ktime_get_ns());
	if (envelope.kind == MCP_REQUEST)
		handle_request(binding, &envelope, body, error);
	else if (error)
		mcp_net_count(binding, MCP_NET_MALFORMED);
	else
		handle_other(binding, &envelope, body);
}

/* ---- The work ---- */

/* Its bytes in one piece, and to whoever knows its type. */
static void handle_frame(struct mcp_net_binding *binding, struct sk_buff *skb)
{
	const struct mcp_net_header *header;
	const u8 *eth;
	u8 *text;

	/* Decrypting writes, and who else has the frame must not see it. */
	if (skb_linearize_cow(skb)) {
		mcp_net_count(binding, MCP_NET_LOST);
		return;
	}
	header = (const struct mcp_net_header *)skb->data;
	text = skb->data + sizeof(*header);
	eth = skb_mac_header(skb);
	switch (header->type) {
	case MCP_NET_HELLO1:
		mcp_net_hello1(binding, (const struct mcp_net_hello_frame *)eth);
		break;
	case MCP_NET_CONFIRM:
		mcp_net_confirm(binding, header, eth, text);
		break;
	case MCP_NET_DATA:
		mcp_net_data(binding, header, eth, text, skb->len - sizeof(*header));
		break;
	}
}

/* A run has a budget, so that one binding's flood leaves others their turn. */
static void serve(struct mcp_net_binding *binding)
{
	unsigned int frames = 0, messages = 0;
	struct sk_buff *skb;

	/* It may be told of its handle before it is complete; bind() comes again. */
	if (!READ_ONCE(binding->kport))
		return;
	if (mcp_kport_error(binding->kport)) {
		mcp_net_kill(binding);
		return;
	}
	mcp_net_live(binding);
	while (frames < MCP_NET_BUDGET) {
		skb = skb_dequeue(&binding->queue);
		if (!skb)
			break;
		handle_frame(binding, skb);
		consume_skb(skb);
		frames++;
	}
	while (messages < MCP_NET_BUDGET && mcp_net_answer(binding))
		messages++;
	if (frames == MCP_NET_BUDGET || messages == MCP_NET_BUDGET)
		queue_work(mcp_net_workers, &binding->work);
}

/**
 * mcp_net_work() - frames that came, messages that go, a handle that died
 * @work: of a binding
 */
void mcp_net_work(struct work_struct *work)
{
	struct mcp_net_binding *binding = container_of(work, struct mcp_net_binding, work);

	kcov_remote_start_common(binding->kcov_handle);
	serve(binding);
	kcov_remote_stop();
}
