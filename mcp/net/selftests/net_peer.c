// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mcp_test.h"
#include "net_crypto.h"
#include "net_peer.h"

#define ETHERTYPE 0xfaf0

_Static_assert(sizeof(struct net_message) == 40, "as docs/network.md says");

int packet_need(const char *device, __u16 type)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(type),
				       .sll_ifindex = if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(type));

	if (fd < 0 || !address.sll_ifindex || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		bail_out("no packet socket");
	return fd;
}

unsigned int packet_count(int socket)
{
	struct pollfd wait = { .fd = socket, .events = POLLIN };
	unsigned char bytes[FRAME_MAX];
	struct sockaddr_ll from;
	unsigned int count = 0;

	while (poll(&wait, 1, NEVER) == 1) {
		socklen_t size = sizeof(from);

		if (recvfrom(socket, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size) > 0 &&
		    from.sll_pkttype != PACKET_OUTGOING)
			count++;
	}
	return count;
}

void peer_need(struct net_peer *peer, const char *device)
{
	struct ifreq request = { 0 };

	peer->socket = packet_need(device, ETHERTYPE);
	strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	peer->ifindex = if_nametoindex(device);
	if (ioctl(peer->socket, SIOCGIFHWADDR, &request))
		bail_out("no packet socket");
	memcpy(peer->own, request.ifr_hwaddr.sa_data, 6);
}

void peer_drain(struct net_peer *peer)
{
	unsigned char bytes[FRAME_MAX];

	while (recv(peer->socket, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

void peer_send(struct net_peer *peer, const struct net_frame *frame)
{
	if (send(peer->socket, frame->bytes, frame->size, 0) != (ssize_t)frame->size)
		bail_out("a frame was not sent");
}

bool peer_frame(struct net_peer *peer, int type, struct net_frame *frame, int milliseconds)
{
	struct pollfd wait = { .fd = peer->socket, .events = POLLIN };
	__u64 until = now_ns() + milliseconds * 1000000ull, now;

	while ((now = now_ns()) < until) {
		ssize_t got;

		if (poll(&wait, 1, (until - now) / 1000000 + 1) <= 0)
			continue;
		got = recv(peer->socket, frame->bytes, sizeof(frame->bytes), 0);
		if (got < ETH + 16 || memcmp(frame->bytes, peer->own, 6) ||
		    frame->bytes[15] != type)
			continue;
		frame->size = got;
		return true;
	}
	return false;
}

static void head(struct net_peer *peer, struct net_frame *frame, int type, uint32_t session,
		 uint64_t counter)
{
	unsigned char *at = frame->bytes;

	memcpy(at, peer->other, 6);
	memcpy(at + 6, peer->own, 6);
	at[12] = ETHERTYPE >> 8;
	at[13] = ETHERTYPE & 0xff;
	at[14] = 1;
	at[15] = type;
	at[16] = at[17] = 0;
	memcpy(at + 18, &session, 4);
	memcpy(at + 22, &counter, 8);
}

static void begin(struct blake2s *state, size_t out, const unsigned char *key, const char *label)
{
	char field[16] = "";

	memcpy(field, label, strlen(label));
	blake2s_start(state, out, key);
	blake2s_add(state, field, sizeof(field));
}

void peer_make_hello1(struct net_peer *peer, uint32_t continues)
{
	struct net_frame *frame = &peer->hello1;
	struct blake2s state;

	if (getrandom(&peer->id, 4, 0) != 4 || getrandom(frame->bytes + 30, 32, 0) != 32)
		bail_out("no randomness");
	peer->id |= 1;
	head(peer, frame, HELLO1, peer->id, 0);
	memcpy(frame->bytes + 62, &continues, 4);
	memset(frame->bytes + 66, 0, 4);
	begin(&state, 16, peer->key, "mcp hello1");
	blake2s_add(&state, frame->bytes, 70);
	blake2s_end(&state, frame->bytes + 70);
	frame->size = 86;
}

static void derive(struct net_peer *peer, unsigned char *key, const char *label)
{
	struct blake2s state;

	begin(&state, 32, peer->key, label);
	blake2s_add(&state, peer->hello1.bytes, 86);
	blake2s_add(&state, peer->hello2.bytes, 86);
	blake2s_end(&state, key);
}

bool peer_take_hello2(struct net_peer *peer, int milliseconds)
{
	struct net_frame *frame = &peer->hello2;
	unsigned char mac[16];
	struct blake2s state;

	if (!peer_frame(peer, HELLO2, frame, milliseconds) || frame->size != 86 ||
	    memcmp(frame->bytes + 18, &peer->id, 4))
		return false;
	begin(&state, 16, peer->key, "mcp hello2");
	blake2s_add(&state, frame->bytes, 70);
	blake2s_add(&state, peer->hello1.bytes, 86);
	blake2s_end(&state, mac);
	if (memcmp(mac, frame->bytes + 70, 16))
		return false;
	memcpy(&peer->their_id, frame->bytes + 62, 4);
	derive(peer, peer->tx_key, "mcp to server");
	derive(peer, peer->rx_key, "mcp to client");
	peer->sent = 0;
	peer->heard = 0;
	return true;
}

/* Additional data, and the nonce, of a frame. */
static void associate(const struct net_frame *frame, unsigned char direction,
		      unsigned char data[32], unsigned char nonce[12])
{
	memcpy(data, frame->bytes, 30);
	data[30] = direction;
	data[31] = 0;
	memset(nonce, 0, 4);
	memcpy(nonce + 4, frame->bytes + 22, 8);
}

void peer_seal(struct net_peer *peer, struct net_frame *frame, unsigned char direction)
{
	unsigned char data[32], nonce[12];

	associate(frame, direction, data, nonce);
	aead_seal(frame->bytes + 30, frame->size - 30, data, sizeof(data), nonce, peer->tx_key);
	frame->size += 16;
}

static bool unseal(struct net_peer *peer, struct net_frame *frame)
{
	unsigned char data[32], nonce[12];

	associate(frame, 1, data, nonce);
	return frame->size >= 46 && aead_unseal(frame->bytes + 30, frame->size - 46, data,
						sizeof(data), nonce, peer->rx_key);
}

void peer_make_confirm(struct net_peer *peer, struct net_frame *frame)
{
	head(peer, frame, CONFIRM, peer->their_id, 0);
	memset(frame->bytes + 30, 0, 16);
	frame->size = 46;
	peer_seal(peer, frame, 0);
}

bool peer_take_confirm(struct net_peer *peer, int milliseconds)
{
	struct net_frame frame;

	if (!peer_frame(peer, CONFIRM, &frame, milliseconds) || frame.size != 62 ||
	    memcmp(frame.bytes + 18, &peer->id, 4) || !unseal(peer, &frame))
		return false;
	memcpy(peer->limits, frame.bytes + 30, sizeof(peer->limits));
	return true;
}

bool peer_connect(struct net_peer *peer, uint32_t continues)
{
	struct net_frame confirm;

	peer_make_hello1(peer, continues);
	peer_send(peer, &peer->hello1);
	if (!peer_take_hello2(peer, SOON))
		return false;
	peer_make_confirm(peer, &confirm);
	peer_send(peer, &confirm);
	return peer_take_confirm(peer, SOON);
}

void peer_make_data(struct net_peer *peer, struct net_frame *frame,
		    const struct net_message *message, const void *body, size_t len)
{
	head(peer, frame, DATA, peer->their_id, ++peer->sent);
	memcpy(frame->bytes + 30, message, sizeof(*message));
	if (len)
		memcpy(frame->bytes + BODY_AT, body, len);
	frame->size = BODY_AT + len;
}

void peer_say(struct net_peer *peer, const struct net_message *message, const void *body,
	      size_t len)
{
	struct net_frame frame;

	peer_make_data(peer, &frame, message, body, len);
	peer_seal(peer, &frame, 0);
	peer_send(peer, &frame);
}

bool peer_hear(struct net_peer *peer, struct net_message *message, struct net_frame *frame,
	       size_t *len, int milliseconds)
{
	uint64_t counter;

	if (!peer_frame(peer, DATA, frame, milliseconds) || frame->size < BODY_AT + 16 ||
	    memcmp(frame->bytes + 18, &peer->id, 4) || !unseal(peer, frame))
		return false;
	memcpy(&counter, frame->bytes + 22, sizeof(counter));
	/* Nothing between the two devices changes the order of frames. */
	if (counter <= peer->heard)
		bail_out("a counter was used twice");
	peer->heard = counter;
	memcpy(message, frame->bytes + 30, sizeof(*message));
	*len = frame->size - BODY_AT - 16;
	return true;
}
