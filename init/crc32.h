/* SPDX-License-Identifier: MIT */
/* CRC-32 as in zlib, gzip and Python's binascii.crc32 (reflected 0xedb88320). Pure; no table, lines are short. */
#ifndef PROTOPI_CRC32_H
#define PROTOPI_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32(const void *data, size_t size);

#endif
