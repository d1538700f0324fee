/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* SHA-256 of FIPS 180-4, for digests of definitions; nothing here is secret. */
#ifndef LIBMCP_SHA256_H
#define LIBMCP_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE	32

void sha256(const void *data, size_t len, uint8_t digest[SHA256_SIZE]);

#endif
