// SPDX-License-Identifier: GPL-2.0
/*
 * What is made with a key: MACs of the handshake, keys of a session, sealed text.
 *
 * Concern: which bytes go into which function, as docs/network.md says. The
 *          functions are the kernel's: BLAKE2s (RFC 7693), ChaCha20-Poly1305
 *          (RFC 8439).
 * Context: process: none of this is done in softirq. Locking: none.
 *
 * No I/O and no state, so that the same file is compiled by tests on a host.
 */
#include <crypto/blake2s.h>
#include <crypto/chacha20poly1305.h>
#include <linux/string.h>

#include "../kernel/compat.h"
#include "mcp_net_crypto.h"

#define LABEL 16

static_assert(MCP_NET_KEY == BLAKE2S_KEY_SIZE && MCP_NET_KEY == CHACHA20POLY1305_KEY_SIZE);
static_assert(MCP_NET_TAG == CHACHA20POLY1305_AUTHTAG_SIZE);

static void begin(struct blake2s_ctx *state, size_t out, const u8 *key, const char *label)
{
	char field[LABEL] = "";

	/* A label has at most LABEL characters: each is written here, below. */
	memcpy(field, label, strlen(label));
	blake2s_init_key(state, out, key, MCP_NET_KEY);
	blake2s_update(state, (u8 *)field, sizeof(field));
}

static void add_without_mac(struct blake2s_ctx *state, const struct mcp_net_hello_frame *frame)
{
	blake2s_update(state, (const u8 *)frame,
		       offsetof(struct mcp_net_hello_frame, hello.mac));
}

static void add(struct blake2s_ctx *state, const struct mcp_net_hello_frame *frame)
{
	blake2s_update(state, (const u8 *)frame, sizeof(*frame));
}

void mcp_net_mac_hello1(u8 mac[MCP_NET_MAC], const u8 key[MCP_NET_KEY],
			const struct mcp_net_hello_frame *hello1)
{
	struct blake2s_ctx state;

	begin(&state, MCP_NET_MAC, key, "mcp hello1");
	add_without_mac(&state, hello1);
	blake2s_final(&state, mac);
}

void mcp_net_mac_hello2(u8 mac[MCP_NET_MAC], const u8 key[MCP_NET_KEY],
			const struct mcp_net_hello_frame *hello2,
			const struct mcp_net_hello_frame *hello1)
{
	struct blake2s_ctx state;

	begin(&state, MCP_NET_MAC, key, "mcp hello2");
	add_without_mac(&state, hello2);
	add(&state, hello1);
	blake2s_final(&state, mac);
}

/**
 * mcp_net_derive() - the key of one direction of a session
 * @made: out
 * @key: that both sides have
 * @direction: MCP_NET_TO_SERVER or MCP_NET_TO_CLIENT
 * @hello1: as it travelled, with its MAC
 * @hello2: likewise
 */
void mcp_net_derive(u8 made[MCP_NET_KEY], const u8 key[MCP_NET_KEY], u8 direction,
		    const struct mcp_net_hello_frame *hello1,
		    const struct mcp_net_hello_frame *hello2)
{
	struct blake2s_ctx state;

	begin(&state, MCP_NET_KEY, key,
	      direction == MCP_NET_TO_SERVER ? "mcp to server" : "mcp to client");
	add(&state, hello1);
	add(&state, hello2);
	blake2s_final(&state, made);
}

/* What is authenticated and not encrypted. */
struct associated {
	u8 eth[MCP_NET_ETH];
	struct mcp_net_header header;
	u8 direction;
	u8 zero;
} __packed;

static_assert(sizeof(struct associated) == 32);

static struct associated associate(const u8 *eth, const struct mcp_net_header *header,
				   u8 direction)
{
	struct associated data = { .header = *header, .direction = direction };

	memcpy(data.eth, eth, sizeof(data.eth));
	return data;
}

/**
 * mcp_net_seal() - encrypt in place, and add the tag
 * @text: @bytes, and room for MCP_NET_TAG more
 * @bytes: of the text
 * @eth: the Ethernet header
 * @header: its counter is the nonce, and is used once under @key
 * @direction: of the frame
 * @key: of that direction
 */
void mcp_net_seal(u8 *text, u32 bytes, const u8 eth[MCP_NET_ETH],
		  const struct mcp_net_header *header, u8 direction, const u8 key[MCP_NET_KEY])
{
	struct associated data = associate(eth, header, direction);

	chacha20poly1305_encrypt(text, text, bytes, (u8 *)&data, sizeof(data),
				 le64_to_cpu(header->counter), key);
}

/**
 * mcp_net_unseal() - check the tag, and decrypt in place
 * @text: @bytes and the tag
 * @bytes: of the text
 * @eth: the Ethernet header
 * @header: as it came
 * @direction: of the frame
 * @key: of that direction
 *
 * Return: whether all of it is the peer's. If not, @text is of no use.
 */
bool mcp_net_unseal(u8 *text, u32 bytes, const u8 eth[MCP_NET_ETH],
		    const struct mcp_net_header *header, u8 direction, const u8 key[MCP_NET_KEY])
{
	struct associated data = associate(eth, header, direction);

	return chacha20poly1305_decrypt(text, text, bytes + MCP_NET_TAG, (u8 *)&data,
					sizeof(data), le64_to_cpu(header->counter), key);
}
