/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: the other side of mcp_net.ko, as docs/network.md tells it: frames on
 * a packet socket, the handshake, messages. Shares no code with the module.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HELLO1 = 1, HELLO2, CONFIRM, DATA };

#define FRAME_MAX	2048
#define ETH		14
#define BODY_AT		(ETH + 16 + 40)

struct net_frame {
	unsigned char bytes[FRAME_MAX];
	size_t size;
};

struct net_message {
	unsigned char kind, credit;
	uint16_t flags;
	uint32_t tool;
	uint16_t method, proto;
	uint32_t status;
	uint64_t cookie, parent;
	uint32_t timeout, reserve;
} __attribute__((packed));

struct net_peer {
	int socket, ifindex;
	unsigned char own[6], other[6], key[32];
	uint32_t id, their_id;
	uint64_t sent, heard;	/* the last counter of each side */
	unsigned char tx_key[32], rx_key[32];
	struct net_frame hello1, hello2;
	uint32_t limits[4];
};

/* An EtherType for experiments, which nobody listens to but a test. */
#define ANOTHER		0x88b5

/* A packet socket on a device of the current network namespace; the program ends when it fails. */
int packet_need(const char *device, __u16 type);
/* How many frames come there until none does: not those that go out, nor what XDP has dropped. */
unsigned int packet_count(int socket);

/* Likewise. */
void peer_need(struct net_peer *peer, const char *device);
/* Drops what came and was not read. */
void peer_drain(struct net_peer *peer);
void peer_send(struct net_peer *peer, const struct net_frame *frame);
/* The next frame of that type to us within so many milliseconds. */
bool peer_frame(struct net_peer *peer, int type, struct net_frame *frame, int milliseconds);

/* The steps of a handshake. @continues: a session to go on with, or 0. */
void peer_make_hello1(struct net_peer *peer, uint32_t continues);
/* HELLO1 was sent: is there a good HELLO2? Then the keys are there. */
bool peer_take_hello2(struct net_peer *peer, int milliseconds);
void peer_make_confirm(struct net_peer *peer, struct net_frame *frame);
bool peer_take_confirm(struct net_peer *peer, int milliseconds);
/* All of it. */
bool peer_connect(struct net_peer *peer, uint32_t continues);

/* A DATA frame with the next counter. */
void peer_make_data(struct net_peer *peer, struct net_frame *frame,
		    const struct net_message *message, const void *body, size_t len);
/* One whose header was written by the test: encrypted with @direction and our key. */
void peer_seal(struct net_peer *peer, struct net_frame *frame, unsigned char direction);
void peer_say(struct net_peer *peer, const struct net_message *message, const void *body,
	      size_t len);
/* The next message within so many milliseconds; its body is in @frame at BODY_AT. */
bool peer_hear(struct net_peer *peer, struct net_message *message, struct net_frame *frame,
	       size_t *len, int milliseconds);

#endif /* NET_PEER_H */
