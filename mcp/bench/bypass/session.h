/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: the responder's side of docs/network.md in user space: frames in,
 * authenticated messages out, and the other way.
 *
 * No I/O but randomness; the caller has the time. Simpler than mcp_net.ko:
 * one half-open session, so a HELLO1 that is replayed in between makes the peer
 * begin again.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_ETH		14
#define SESSION_HELLO		(SESSION_ETH + 16 + 56)
#define SESSION_CONFIRM		(SESSION_ETH + 16 + 32)
#define SESSION_BODY_AT		(SESSION_ETH + 16 + 40)
#define SESSION_OVERHEAD	(16 + 40 + 16)	/* behind the Ethernet header */

/* A message's header, as it travels. */
struct session_message {
	uint8_t kind, credit;
	uint16_t flags;
	uint32_t tool;
	uint16_t method, proto;
	uint32_t status;
	uint64_t cookie, parent;
	uint32_t timeout, reserve;
} __attribute__((packed));

/* The two directions of one session. */
struct session_keys {
	uint32_t id, peer_id;
	uint8_t own[6], peer[6];
	uint8_t rx[32], tx[32];
	uint64_t sent, largest, ends;
	uint64_t seen[16];	/* counter n is bit n % 64 of word n / 64 % 16 */
};

struct session {
	uint8_t key[32], own[6];
	uint32_t mtu;
	struct session_keys half, live;
	uint32_t hellos;	/* handshake frames that may come now */
	uint64_t hellos_at;
};

/* What became of a frame. All but the first two: it was dropped. */
enum session_verdict {
	SESSION_MESSAGE,	/* authenticated and decrypted in place */
	SESSION_HANDSHAKE,	/* @answer is to be sent */
	SESSION_MALFORMED,
	SESSION_STRANGE,	/* not to us, or of no session that there is */
	SESSION_LIMITED,	/* more handshakes than are looked at */
	SESSION_FORGED,
	SESSION_REPLAYED,
	SESSION_EXPIRED,	/* its counter is beyond the session's */
	SESSION_VERDICTS,
};

struct session_frame {
	uint8_t bytes[2048];
	size_t size;
};

/* @now is CLOCK_BOOTTIME in nanoseconds: a session's time passes in sleep. */
void session_start(struct session *session, const uint8_t key[32], const uint8_t own[6],
		   uint32_t mtu, uint64_t now);
enum session_verdict session_take(struct session *session, uint8_t *frame, size_t bytes,
				  uint64_t now, struct session_frame *answer);
/* Returns whether there is a session, and @body fits. */
bool session_say(struct session *session, struct session_frame *frame,
		 const struct session_message *message, const void *body, size_t len, uint64_t now);

#endif /* SESSION_H */
