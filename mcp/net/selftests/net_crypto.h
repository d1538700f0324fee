/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: BLAKE2s (RFC 7693) and ChaCha20-Poly1305 (RFC 8439) for a test's own
 * side of a network. Written to be read, not to be fast or free of side channels.
 */
#ifndef NET_CRYPTO_H
#define NET_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blake2s {
	uint32_t h[8];
	uint64_t count;
	unsigned char block[64];
	size_t fill, out;
};

/* Keyed if @key is not NULL; then it has 32 bytes. */
void blake2s_start(struct blake2s *state, size_t out, const unsigned char *key);
void blake2s_add(struct blake2s *state, const void *data, size_t bytes);
void blake2s_end(struct blake2s *state, unsigned char *out);

/* In place; seal adds 16 bytes of tag behind @bytes, unseal looks for them there. */
void aead_seal(unsigned char *text, size_t bytes, const void *data, size_t data_bytes,
	       const unsigned char nonce[12], const unsigned char key[32]);
bool aead_unseal(unsigned char *text, size_t bytes, const void *data, size_t data_bytes,
		 const unsigned char nonce[12], const unsigned char key[32]);

/* The examples of the two RFCs. */
bool net_crypto_good(void);

#endif /* NET_CRYPTO_H */
