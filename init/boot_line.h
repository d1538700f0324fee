/* SPDX-License-Identifier: MIT */
/* The framed lines that PID 1 writes on the console: `@boot JSON CRC` and `@fail JSON CRC`. */
#ifndef PROTOPI_BOOT_LINE_H
#define PROTOPI_BOOT_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "clock.h"

#define BOOT_LINE_SIZE 512

struct boot_facts {
	uint64_t cntfrq; /* Hz */
	struct mark init, ready;
	struct system_timer timer;
	uint64_t root_sectors; /* of 512 bytes, read from the disk that holds the root */
	uint32_t abi;
	uint64_t features;
};

/* "@WORD JSON CRC\n" into a buffer of BOOT_LINE_SIZE. Returns its length, or 0 where it does not fit. Pure. */
size_t frame_line(char *line, const char *word, const char *json);

/* The JSON of @boot, docs in boot_line.c, into a buffer of BOOT_LINE_SIZE; the same returns. Pure. */
size_t boot_json(char *json, const struct boot_facts *facts);

/* The JSON of @fail. Pure. */
size_t fail_json(char *json, const char *stage, int error);

/* The system timer at a mark, in microseconds; only where `known`. Pure. */
uint64_t system_timer_at(const struct system_timer *timer, uint64_t cntvct, uint64_t cntfrq);

/* 512-byte sectors read so far from the disk that holds the root, or 0 where the root is no disk. */
uint64_t root_sectors_read(void);

#endif
