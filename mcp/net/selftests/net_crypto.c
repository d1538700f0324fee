// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "net_crypto.h"

static uint32_t get32(const unsigned char *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(unsigned char *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = value >> 8 * i;
}

static void put64(unsigned char *p, uint64_t value)
{
	put32(p, value);
	put32(p + 4, value >> 32);
}

/* ---- BLAKE2s ------------------------------------------------------------- */

static const uint32_t start[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const unsigned char sigma[10][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static uint32_t right(uint32_t value, int by)
{
	return value >> by | value << (32 - by);
}

static void mix(uint32_t *v, int a, int b, int c, int d, uint32_t x, uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = right(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = right(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = right(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = right(v[b] ^ v[c], 7);
}

static void compress(struct blake2s *state, bool last)
{
	uint32_t v[16], m[16];

	for (int i = 0; i < 16; i++)
		m[i] = get32(state->block + 4 * i);
	memcpy(v, state->h, sizeof(state->h));
	memcpy(v + 8, start, sizeof(start));
	v[12] ^= (uint32_t)state->count;
	v[13] ^= (uint32_t)(state->count >> 32);
	if (last)
		v[14] = ~v[14];
	for (int round = 0; round < 10; round++) {
		const unsigned char *s = sigma[round];

		for (int i = 0; i < 4; i++)
			mix(v, i, i + 4, i + 8, i + 12, m[s[2 * i]], m[s[2 * i + 1]]);
		for (int i = 0; i < 4; i++)
			mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4,
			    m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
	}
	for (int i = 0; i < 8; i++)
		state->h[i] ^= v[i] ^ v[i + 8];
}

void blake2s_start(struct blake2s *state, size_t out, const unsigned char *key)
{
	memset(state, 0, sizeof(*state));
	memcpy(state->h, start, sizeof(start));
	state->h[0] ^= 0x01010000 ^ (key ? 32u << 8 : 0) ^ (uint32_t)out;
	state->out = out;
	if (key) {
		memcpy(state->block, key, 32);
		state->fill = 64;
	}
}

void blake2s_add(struct blake2s *state, const void *data, size_t bytes)
{
	const unsigned char *from = data;

	while (bytes--) {
		/* The last block is compressed at the end, even if it is full. */
		if (state->fill == 64) {
			state->count += 64;
			compress(state, false);
			state->fill = 0;
		}
		state->block[state->fill++] = *from++;
	}
}

void blake2s_end(struct blake2s *state, unsigned char *out)
{
	state->count += state->fill;
	memset(state->block + state->fill, 0, 64 - state->fill);
	compress(state, true);
	for (size_t i = 0; i < state->out; i++)
		out[i] = state->h[i / 4] >> 8 * (i % 4);
}

/* ---- ChaCha20 ------------------------------------------------------------ */

static void quarter(uint32_t *x, int a, int b, int c, int d)
{
	x[a] += x[b];
	x[d] = right(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = right(x[b] ^ x[c], 20);
	x[a] += x[b];
	x[d] = right(x[d] ^ x[a], 24);
	x[c] += x[d];
	x[b] = right(x[b] ^ x[c], 25);
}

static void chacha_block(unsigned char out[64], const unsigned char *key, uint32_t counter,
			 const unsigned char *nonce)
{
	uint32_t first[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }, x[16];

	for (int i = 0; i < 8; i++)
		first[4 + i] = get32(key + 4 * i);
	first[12] = counter;
	for (int i = 0; i < 3; i++)
		first[13 + i] = get32(nonce + 4 * i);
	memcpy(x, first, sizeof(x));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 4; i++)
			quarter(x, i, 4 + i, 8 + i, 12 + i);
		for (int i = 0; i < 4; i++)
			quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
	}
	for (int i = 0; i < 16; i++)
		put32(out + 4 * i, x[i] + first[i]);
}

static void chacha(unsigned char *text, size_t bytes, const unsigned char *key,
		   const unsigned char *nonce)
{
	unsigned char block[64];

	for (size_t i = 0; i < bytes; i++) {
		if (i % 64 == 0)
			chacha_block(block, key, 1 + i / 64, nonce);
		text[i] ^= block[i % 64];
	}
}

/* ---- Poly1305: five limbs of 26 bits ------------------------------------- */

struct poly {
	uint32_t r[5], h[5];
};

static void poly_limbs(uint32_t to[5], const unsigned char *from)
{
	to[0] = get32(from) & 0x3ffffff;
	to[1] = get32(from + 3) >> 2 & 0x3ffffff;
	to[2] = get32(from + 6) >> 4 & 0x3ffffff;
	to[3] = get32(from + 9) >> 6 & 0x3ffffff;
	to[4] = get32(from + 12) >> 8;
}

static void poly_carry(uint32_t h[5], uint64_t d[5])
{
	uint64_t carry = 0;

	for (int i = 0; i < 5; i++) {
		d[i] += carry;
		h[i] = d[i] & 0x3ffffff;
		carry = d[i] >> 26;
	}
	/* 2^130 is 5. */
	carry = h[0] + carry * 5;
	h[0] = carry & 0x3ffffff;
	h[1] += carry >> 26;
}

static void poly_block(struct poly *poly, const unsigned char *block)
{
	uint64_t d[5] = { 0 };
	uint32_t m[5];

	poly_limbs(m, block);
	m[4] |= 1u << 24;
	for (int i = 0; i < 5; i++)
		poly->h[i] += m[i];
	for (int i = 0; i < 5; i++)
		for (int j = 0; j < 5; j++)
			d[(i + j) % 5] += (uint64_t)poly->h[i] * poly->r[j] * (i + j > 4 ? 5 : 1);
	poly_carry(poly->h, d);
}

/* Filled with zeros to whole blocks. */
static void poly_padded(struct poly *poly, const unsigned char *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 16) {
		unsigned char block[16] = { 0 };

		memcpy(block, data + i, bytes - i < 16 ? bytes - i : 16);
		poly_block(poly, block);
	}
}

static void poly_end(struct poly *poly, const unsigned char *s, unsigned char *tag)
{
	uint64_t d[5], sum = 0;
	uint32_t g[5], *h = poly->h;
	bool larger;

	/* Twice, so that no limb is too large. */
	for (int times = 0; times < 2; times++) {
		for (int i = 0; i < 5; i++)
			d[i] = h[i];
		poly_carry(h, d);
	}
	/* Less the prime, if it is not below that: h + 5 then has bit 130. */
	for (int i = 0; i < 5; i++) {
		sum += (uint64_t)h[i] + (i ? 0 : 5);
		g[i] = sum & 0x3ffffff;
		sum >>= 26;
	}
	larger = sum;
	if (larger)
		memcpy(h, g, sizeof(g));
	unsigned __int128 all = 0;

	for (int i = 0; i < 5; i++)
		all += (unsigned __int128)h[i] << 26 * i;
	for (int i = 0; i < 16; i++)
		all += (unsigned __int128)s[i] << 8 * i;
	for (int i = 0; i < 16; i++)
		tag[i] = all >> 8 * i;
}

static void make_tag(unsigned char *tag, const unsigned char *text, size_t bytes,
		     const void *data, size_t data_bytes, const unsigned char *nonce,
		     const unsigned char *key)
{
	unsigned char once[64], lengths[16];
	struct poly poly = { 0 };

	chacha_block(once, key, 0, nonce);
	for (int i = 3; i < 16; i += 4)
		once[i] &= 15;
	for (int i = 4; i < 16; i += 4)
		once[i] &= 252;
	poly_limbs(poly.r, once);
	poly_padded(&poly, data, data_bytes);
	poly_padded(&poly, text, bytes);
	put64(lengths, data_bytes);
	put64(lengths + 8, bytes);
	poly_block(&poly, lengths);
	poly_end(&poly, once + 16, tag);
}

void aead_seal(unsigned char *text, size_t bytes, const void *data, size_t data_bytes,
	       const unsigned char nonce[12], const unsigned char key[32])
{
	chacha(text, bytes, key, nonce);
	make_tag(text + bytes, text, bytes, data, data_bytes, nonce, key);
}

bool aead_unseal(unsigned char *text, size_t bytes, const void *data, size_t data_bytes,
		 const unsigned char nonce[12], const unsigned char key[32])
{
	unsigned char tag[16];

	make_tag(tag, text, bytes, data, data_bytes, nonce, key);
	if (memcmp(tag, text + bytes, sizeof(tag)))
		return false;
	chacha(text, bytes, key, nonce);
	return true;
}

/* ---- The examples -------------------------------------------------------- */

/* RFC 7693, appendix B. */
static bool blake2s_good(void)
{
	static const unsigned char abc[32] = {
		0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b, 0xa3, 0x4e, 0xeb, 0x45, 0x2f,
		0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6, 0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82,
	};
	/* The first keyed example of the reference implementation: key 00 to 1f, no data. */
	static const unsigned char keyed[32] = {
		0x48, 0xa8, 0x99, 0x7d, 0xa4, 0x07, 0x87, 0x6b, 0x3d, 0x79, 0xc0, 0xd9, 0x23, 0x25, 0xad, 0x3b,
		0x89, 0xcb, 0xb7, 0x54, 0xd8, 0x6a, 0xb7, 0x1a, 0xee, 0x04, 0x7a, 0xd3, 0x45, 0xfd, 0x2c, 0x49,
	};
	unsigned char made[32], key[32];
	struct blake2s state;
	bool good;

	blake2s_start(&state, 32, NULL);
	blake2s_add(&state, "abc", 3);
	blake2s_end(&state, made);
	good = !memcmp(made, abc, 32);
	for (int i = 0; i < 32; i++)
		key[i] = i;
	blake2s_start(&state, 32, key);
	blake2s_end(&state, made);
	return good && !memcmp(made, keyed, 32);
}

/* RFC 8439, 2.8.2. */
static bool aead_good(void)
{
	static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
	static const unsigned char data[12] = { 0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
						0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7 };
	static const unsigned char nonce[12] = { 7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43,
						 0x44, 0x45, 0x46, 0x47 };
	static const unsigned char first[8] = { 0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb };
	static const unsigned char tag[16] = { 0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
					       0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91 };
	unsigned char key[32], made[sizeof(text) - 1 + 16];
	size_t bytes = sizeof(text) - 1;

	for (int i = 0; i < 32; i++)
		key[i] = 0x80 + i;
	memcpy(made, text, bytes);
	aead_seal(made, bytes, data, sizeof(data), nonce, key);
	if (memcmp(made, first, sizeof(first)) || memcmp(made + bytes, tag, sizeof(tag)))
		return false;
	made[0] ^= 1;
	if (aead_unseal(made, bytes, data, sizeof(data), nonce, key))
		return false;
	made[0] ^= 1;
	return aead_unseal(made, bytes, data, sizeof(data), nonce, key) && !memcmp(made, text, bytes);
}

bool net_crypto_good(void)
{
	return blake2s_good() && aead_good();
}
