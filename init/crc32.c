// SPDX-License-Identifier: MIT
/* CRC-32 of framed console lines. Context: anywhere; pure. */
#include "crc32.h"

uint32_t crc32(const void *data, size_t size)
{
	const uint8_t *byte = data;
	uint32_t crc = UINT32_MAX;

	while (size--) {
		crc ^= *byte++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}
