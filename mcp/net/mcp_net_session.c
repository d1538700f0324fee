// SPDX-License-Identifier: GPL-2.0
/*
 * Sessions: how one begins, is continued, and ends.
 *
 * Concern: the responder's side of the handshake of docs/network.md. A session
 *          goes live only when its peer has shown that it has the key and
 *          knows our randomness; until then it is one of a few half-open ones
 *          and the live session does not notice.
 * Context: the binding's work.
 * Locking: all is the work's own, but for live_id, which softirq reads.
 * Lifetime: keys are wiped when a session is replaced.
 */
#include <crypto/utils.h>
#include <keys/user-type.h>
#include <linux/key.h>
#include <linux/random.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "mcp_net_internal.h"

/* The key's bytes, unless it is revoked, expired, or another one now. */
static int read_key(struct key *key, u8 bytes[MCP_NET_KEY])
{
	const struct user_key_payload *payload;
	int error;

	down_read(&key->sem);
	error = key_validate(key);
	if (!error) {
		payload = user_key_payload_locked(key);
		if (!payload)
			error = -EKEYREVOKED;
		else if (payload->datalen != MCP_NET_KEY)
			error = -EKEYREJECTED;
		else
			memcpy(bytes, payload->data, MCP_NET_KEY);
	}
	up_read(&key->sem);
	return error;
}

/**
 * mcp_net_key_check() - can this be the key of a binding?
 * @key: of type user or logon
 *
 * Return: 0; -EKEYREJECTED for a length other than 32; -EKEYREVOKED,
 * -EKEYEXPIRED, -ENOKEY.
 */
int mcp_net_key_check(struct key *key)
{
	u8 bytes[MCP_NET_KEY];
	int error = read_key(key, bytes);

	memzero_explicit(bytes, sizeof(bytes));
	return error;
}

static bool id_in_use(const struct mcp_net_binding *binding, u32 id)
{
	unsigned int i;

	for (i = 0; i < MCP_NET_HALF_OPEN; i++)
		if (binding->half[i].id == id)
			return true;
	return !id || binding->live.id == id;
}

static u32 new_id(const struct mcp_net_binding *binding)
{
	u32 id;

	do
		id = get_random_u32();
	while (id_in_use(binding, id));
	return id;
}

/* A place for one more: a free one, or that of the oldest. */
static struct mcp_net_session *half_open(struct mcp_net_binding *binding)
{
	struct mcp_net_session *oldest = binding->half;
	unsigned int i;

	for (i = 1; i < MCP_NET_HALF_OPEN; i++)
		if (binding->half[i].ends < oldest->ends)
			oldest = binding->half + i;
	memzero_explicit(oldest, sizeof(*oldest));
	return oldest;
}

/* The other way round: from whom it came to whom it went. */
static void turn(u8 to[MCP_NET_ETH], const u8 from[MCP_NET_ETH])
{
	memcpy(to, from + ETH_ALEN, ETH_ALEN);
	memcpy(to + ETH_ALEN, from, ETH_ALEN);
	memcpy(to + 2 * ETH_ALEN, from + 2 * ETH_ALEN, MCP_NET_ETH - 2 * ETH_ALEN);
}

static void answer_hello(struct mcp_net_binding *binding, const u8 key[MCP_NET_KEY],
			 const struct mcp_net_hello_frame *hello1)
{
	struct mcp_net_session *session = half_open(binding);
	struct mcp_net_hello_frame hello2;

	session->id = new_id(binding);
	session->peer_id = le32_to_cpu(hello1->header.session);
	session->continues = le32_to_cpu(hello1->hello.id);
	session->ends = ktime_get_boottime_ns() + MCP_NET_HALF_LIFE;
	memcpy(session->eth_rx, hello1->eth, MCP_NET_ETH);
	turn(session->eth_tx, hello1->eth);

	memcpy(hello2.eth, session->eth_tx, MCP_NET_ETH);
	mcp_net_header_fill(&hello2.header, MCP_NET_HELLO2, session->peer_id, 0);
	get_random_bytes(hello2.hello.random, sizeof(hello2.hello.random));
	hello2.hello.id = cpu_to_le32(session->id);
	hello2.hello.reserved = 0;
	mcp_net_mac_hello2(hello2.hello.mac, key, &hello2, hello1);

	mcp_net_derive(session->rx_key, key, MCP_NET_TO_SERVER, hello1, &hello2);
	mcp_net_derive(session->tx_key, key, MCP_NET_TO_CLIENT, hello1, &hello2);
	mcp_net_send_hello2(binding, &hello2);
}

/**
 * mcp_net_hello1() - the peer, or a recording of it, wants a session
 * @binding: the binding
 * @hello1: with its Ethernet header
 */
void mcp_net_hello1(struct mcp_net_binding *binding, const struct mcp_net_hello_frame *hello1)
{
	u8 key[MCP_NET_KEY], mac[MCP_NET_MAC];

	if (hello1->hello.reserved) {
		mcp_net_count(binding, MCP_NET_MALFORMED);
		return;
	}
	if (read_key(binding->key, key)) {
		mcp_net_count(binding, MCP_NET_EXPIRED);
		return;
	}
	mcp_net_mac_hello1(mac, key, hello1);
	if (crypto_memneq(mac, hello1->hello.mac, sizeof(mac)))
		mcp_net_count(binding, MCP_NET_FORGED);
	else
		answer_hello(binding, key, hello1);
	memzero_explicit(key, sizeof(key));
}

/**
 * mcp_net_live() - is there a session, now?
 * @binding: the binding
 *
 * Ends one whose time or whose key is over.
 *
 * Return: whether frames may be sent and received under it.
 */
bool mcp_net_live(struct mcp_net_binding *binding)
{
	if (!binding->live.id)
		return false;
	if (ktime_get_boottime_ns() < binding->live.ends && !key_validate(binding->key))
		return true;
	mcp_net_session_end(binding);
	return false;
}

/**
 * mcp_net_session_end() - without a successor
 * @binding: what its peer has in flight is cancelled
 */
void mcp_net_session_end(struct mcp_net_binding *binding)
{
	WRITE_ONCE(binding->live_id, 0);
	memzero_explicit(&binding->live, sizeof(binding->live));
	mcp_net_cancel_all(binding);
}

static struct mcp_net_session *find_half(struct mcp_net_binding *binding, u32 id)
{
	unsigned int i;

	for (i = 0; i < MCP_NET_HALF_OPEN; i++)
		if (id && binding->half[i].id == id)
			return binding->half + i;
	return NULL;
}

/**
 * mcp_net_confirm() - the peer of a half-open session has its keys
 * @binding: the binding
 * @header: of the frame
 * @eth: of the frame
 * @text: struct mcp_net_limits and the tag
 */
void mcp_net_confirm(struct mcp_net_binding *binding, const struct mcp_net_header *header,
		     const u8 *eth, u8 *text)
{
	struct mcp_net_session *session = find_half(binding, le32_to_cpu(header->session));
	u64 now = ktime_get_boottime_ns();

	if (!session || memcmp(eth, session->eth_rx, MCP_NET_ETH)) {
		mcp_net_count(binding, MCP_NET_STRANGE);
		return;
	}
	if (now >= session->ends || key_validate(binding->key)) {
		mcp_net_count(binding, MCP_NET_EXPIRED);
		return;
	}
	if (!mcp_net_unseal(text, sizeof(struct mcp_net_limits), eth, header, MCP_NET_TO_SERVER,
			    session->rx_key)) {
		mcp_net_count(binding, MCP_NET_FORGED);
		return;
	}
	if (memchr_inv(text, 0, sizeof(struct mcp_net_limits))) {
		mcp_net_count(binding, MCP_NET_MALFORMED);
		return;
	}
	/* A peer that was restarted knows nothing of what it had in flight. */
	if (!mcp_net_live(binding) || session->continues != binding->live.id)
		mcp_net_session_end(binding);
	binding->live = *session;
	memzero_explicit(session, sizeof(*session));
	binding->live.ends = now + binding->max_seconds * NSEC_PER_SEC;
	WRITE_ONCE(binding->live_id, binding->live.id);
	/* A little late: by then mcp_net_live() says no. */
	mod_delayed_work(mcp_net_workers, &binding->expire, binding->max_seconds * HZ + 1);
	mcp_net_count(binding, MCP_NET_RX);
	mcp_net_count(binding, MCP_NET_SESSIONS);
	mcp_net_send_confirm(binding);
}
