// SPDX-License-Identifier: GPL-2.0
#include <string.h>
#include <sys/random.h>

#include "net_crypto.h"
#include "session.h"

enum { HELLO1 = 1, HELLO2, CONFIRM, DATA };
enum { TO_SERVER, TO_CLIENT };

#define SECOND		1000000000ull
#define SESSION_LIFE	180
#define HALF_LIFE	5
#define FRAMES		(1u << 20)
#define HELLOS		16	/* at once, and a second */
#define REACH		960	/* how far behind the largest counter one may be */
#define TAG		16

/* Offsets from the Ethernet header on. */
enum { VERSION_AT = 14, TYPE_AT = 15, ZERO_AT = 16, SESSION_AT = 18, COUNTER_AT = 22, TEXT_AT = 30,
	ID_AT = 62, MAC_AT = 70 };

_Static_assert(sizeof(struct session_message) == 40, "as docs/network.md says");

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* ---- Frames without a key ------------------------------------------------ */

static bool well_formed(const struct session *session, const uint8_t *frame, size_t bytes)
{
	uint64_t counter = get64(frame + COUNTER_AT);

	if (frame[VERSION_AT] != 1 || frame[ZERO_AT] || frame[ZERO_AT + 1] ||
	    bytes > SESSION_ETH + session->mtu)
		return false;
	switch (frame[TYPE_AT]) {
	case HELLO1:
		return bytes == SESSION_HELLO && !counter && get32(frame + SESSION_AT) &&
		       !get32(frame + ID_AT + 4);
	case CONFIRM:
		return bytes == SESSION_CONFIRM && !counter;
	case DATA:
		return bytes >= SESSION_ETH + SESSION_OVERHEAD && counter;
	default:
		return false;
	}
}

static void head(uint8_t *frame, const struct session_keys *keys, uint8_t type, uint64_t counter)
{
	memcpy(frame, keys->peer, 6);
	memcpy(frame + 6, keys->own, 6);
	frame[12] = 0xfa;
	frame[13] = 0xf0;
	frame[VERSION_AT] = 1;
	frame[TYPE_AT] = type;
	frame[ZERO_AT] = frame[ZERO_AT + 1] = 0;
	memcpy(frame + SESSION_AT, &keys->peer_id, 4);
	memcpy(frame + COUNTER_AT, &counter, 8);
}

static bool may_shake_hands(struct session *session, uint64_t now)
{
	uint64_t came = (now - session->hellos_at) * HELLOS / SECOND;

	if (came) {
		session->hellos = came >= HELLOS - session->hellos ? HELLOS
								   : session->hellos + (uint32_t)came;
		session->hellos_at = now;
	}
	if (!session->hellos)
		return false;
	session->hellos--;
	return true;
}

/* ---- Cryptography -------------------------------------------------------- */

static void begin(struct blake2s *state, size_t out, const uint8_t *key, const char *label)
{
	char field[16] = "";

	memcpy(field, label, strlen(label));
	blake2s_start(state, out, key);
	blake2s_add(state, field, sizeof(field));
}

static void derive(uint8_t *made, const uint8_t *key, const char *label, const uint8_t *hello1,
		   const uint8_t *hello2)
{
	struct blake2s state;

	begin(&state, 32, key, label);
	blake2s_add(&state, hello1, SESSION_HELLO);
	blake2s_add(&state, hello2, SESSION_HELLO);
	blake2s_end(&state, made);
}

/* Takes as long for every tag. */
static bool same(const uint8_t *one, const uint8_t *other, size_t bytes)
{
	volatile uint8_t differ = 0;

	for (size_t i = 0; i < bytes; i++)
		differ |= one[i] ^ other[i];
	return !differ;
}

static void associate(const uint8_t *frame, uint8_t direction, uint8_t data[32], uint8_t nonce[12])
{
	memcpy(data, frame, TEXT_AT);
	data[30] = direction;
	data[31] = 0;
	memset(nonce, 0, 4);
	memcpy(nonce + 4, frame + COUNTER_AT, 8);
}

static void seal(struct session_frame *frame, const struct session_keys *keys)
{
	uint8_t data[32], nonce[12];

	associate(frame->bytes, TO_CLIENT, data, nonce);
	aead_seal(frame->bytes + TEXT_AT, frame->size - TEXT_AT, data, sizeof(data), nonce,
		  keys->tx);
	frame->size += TAG;
}

static bool unseal(uint8_t *frame, size_t bytes, const struct session_keys *keys)
{
	uint8_t data[32], nonce[12];

	associate(frame, TO_SERVER, data, nonce);
	return aead_unseal(frame + TEXT_AT, bytes - TEXT_AT - TAG, data, sizeof(data), nonce,
			   keys->rx);
}

/* ---- The handshake ------------------------------------------------------- */

static uint32_t new_id(const struct session *session)
{
	uint32_t id = 0;

	while (!id || id == session->live.id)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = 0;
	return id;
}

static enum session_verdict take_hello1(struct session *session, const uint8_t *hello1,
					uint64_t now, struct session_frame *answer)
{
	struct session_keys *half = &session->half;
	uint8_t *hello2 = answer->bytes, mac[16];
	struct blake2s state;

	begin(&state, sizeof(mac), session->key, "mcp hello1");
	blake2s_add(&state, hello1, MAC_AT);
	blake2s_end(&state, mac);
	if (!same(mac, hello1 + MAC_AT, sizeof(mac)))
		return SESSION_FORGED;
	*half = (struct session_keys){ .id = new_id(session), .ends = now + HALF_LIFE * SECOND,
				       .peer_id = get32(hello1 + SESSION_AT) };
	memcpy(half->own, hello1, 6);
	memcpy(half->peer, hello1 + 6, 6);

	head(hello2, half, HELLO2, 0);
	while (getrandom(hello2 + TEXT_AT, 32, 0) != 32)
		;
	memcpy(hello2 + ID_AT, &half->id, 4);
	memset(hello2 + ID_AT + 4, 0, 4);
	begin(&state, sizeof(mac), session->key, "mcp hello2");
	blake2s_add(&state, hello2, MAC_AT);
	blake2s_add(&state, hello1, SESSION_HELLO);
	blake2s_end(&state, hello2 + MAC_AT);
	answer->size = SESSION_HELLO;
	derive(half->rx, session->key, "mcp to server", hello1, hello2);
	derive(half->tx, session->key, "mcp to client", hello1, hello2);
	return SESSION_HANDSHAKE;
}

static enum session_verdict take_confirm(struct session *session, uint8_t *frame, size_t bytes,
					 uint64_t now, struct session_frame *answer)
{
	const uint32_t limits[4] = { session->mtu - SESSION_OVERHEAD, 1, FRAMES, SESSION_LIFE };
	static const uint8_t zero[16];

	if (!session->half.id || session->half.id != get32(frame + SESSION_AT) ||
	    memcmp(frame + 6, session->half.peer, 6))
		return SESSION_STRANGE;
	if (now >= session->half.ends)
		return SESSION_EXPIRED;
	if (!unseal(frame, bytes, &session->half))
		return SESSION_FORGED;
	if (memcmp(frame + TEXT_AT, zero, sizeof(zero)))
		return SESSION_MALFORMED;
	session->live = session->half;
	session->live.ends = now + SESSION_LIFE * SECOND;
	memset(&session->half, 0, sizeof(session->half));
	head(answer->bytes, &session->live, CONFIRM, 0);
	memcpy(answer->bytes + TEXT_AT, limits, sizeof(limits));
	answer->size = TEXT_AT + sizeof(limits);
	seal(answer, &session->live);
	return SESSION_HANDSHAKE;
}

/* ---- Messages ------------------------------------------------------------ */

static bool is_new(const struct session_keys *keys, uint64_t counter)
{
	if (counter > keys->largest)
		return true;
	return counter + REACH > keys->largest && !(keys->seen[counter / 64 % 16] >> counter % 64 & 1);
}

static void take_counter(struct session_keys *keys, uint64_t counter)
{
	/* Words between the largest counter's and this one's are used anew. */
	if (counter / 64 - keys->largest / 64 >= 16 && counter > keys->largest)
		memset(keys->seen, 0, sizeof(keys->seen));
	else
		for (uint64_t word = keys->largest / 64 + 1; word <= counter / 64; word++)
			keys->seen[word % 16] = 0;
	keys->seen[counter / 64 % 16] |= 1ull << counter % 64;
	if (counter > keys->largest)
		keys->largest = counter;
}

static bool is_live(struct session *session, uint64_t now)
{
	if (now >= session->live.ends)
		memset(&session->live, 0, sizeof(session->live));
	return session->live.id;
}

static enum session_verdict take_data(struct session *session, uint8_t *frame, size_t bytes,
				      uint64_t now)
{
	struct session_keys *live = &session->live;
	uint64_t counter = get64(frame + COUNTER_AT);

	if (!is_live(session, now) || live->id != get32(frame + SESSION_AT) ||
	    memcmp(frame + 6, live->peer, 6))
		return SESSION_STRANGE;
	if (counter >= FRAMES)
		return SESSION_EXPIRED;
	if (!is_new(live, counter))
		return SESSION_REPLAYED;
	if (!unseal(frame, bytes, live))
		return SESSION_FORGED;
	take_counter(live, counter);
	return SESSION_MESSAGE;
}

/* ---- For all of them ----------------------------------------------------- */

void session_start(struct session *session, const uint8_t key[32], const uint8_t own[6],
		   uint32_t mtu, uint64_t now)
{
	*session = (struct session){ .mtu = mtu, .hellos = HELLOS, .hellos_at = now };
	memcpy(session->key, key, sizeof(session->key));
	memcpy(session->own, own, sizeof(session->own));
}

enum session_verdict session_take(struct session *session, uint8_t *frame, size_t bytes,
				  uint64_t now, struct session_frame *answer)
{
	if (bytes < TEXT_AT)
		return SESSION_MALFORMED;
	if (memcmp(frame, session->own, 6) || frame[6] & 1)
		return SESSION_STRANGE;
	if (!well_formed(session, frame, bytes))
		return SESSION_MALFORMED;
	if (frame[TYPE_AT] == DATA)
		return take_data(session, frame, bytes, now);
	if (!may_shake_hands(session, now))
		return SESSION_LIMITED;
	return frame[TYPE_AT] == HELLO1 ? take_hello1(session, frame, now, answer) :
					  take_confirm(session, frame, bytes, now, answer);
}

bool session_say(struct session *session, struct session_frame *frame,
		 const struct session_message *message, const void *body, size_t len, uint64_t now)
{
	struct session_keys *live = &session->live;

	if (!is_live(session, now) || live->sent + 1 >= FRAMES ||
	    len > session->mtu - SESSION_OVERHEAD)
		return false;
	head(frame->bytes, live, DATA, ++live->sent);
	memcpy(frame->bytes + TEXT_AT, message, sizeof(*message));
	if (len)
		memcpy(frame->bytes + SESSION_BODY_AT, body, len);
	frame->size = SESSION_BODY_AT + len;
	seal(frame, live);
	return true;
}
