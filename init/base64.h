/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648 section 4, with padding), encoding only. Pure. */
#ifndef PROTOPI_BASE64_H
#define PROTOPI_BASE64_H

#include <stddef.h>

/* Characters that `size` bytes become, without the terminating zero. */
#define BASE64_LENGTH(size) (((size) + 2) / 3 * 4)

/* Writes BASE64_LENGTH(size) characters and a zero to `out`; returns the number of characters. */
size_t base64_encode(char *out, const void *data, size_t size);

#endif
