/* SPDX-License-Identifier: MIT */
/* The questions and frames of the console report service. Pure. */
#ifndef PROTOPI_REPORT_FRAME_H
#define PROTOPI_REPORT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_LINE 1024 /* room for any frame, and more than any request */
#define REPORT_PART 512	 /* bytes of a report that one frame carries at most */
#define REPORT_SEAL 8	 /* bytes that report_seal adds to a report */

/*
 * A request: `@get SEQ NONCE WHAT OFFSET LENGTH PART CRC`. SEQ, OFFSET, LENGTH and PART are decimal numbers, NONCE and
 * WHAT are letters and digits. Wanted are LENGTH bytes (0: all) from OFFSET on, in frames of PART bytes.
 */
struct request {
	char seq[16];
	char nonce[40];
	char what[16];
	uint32_t offset, length, part;
};

/* Takes a line without its end apart. False: damaged, or no request at all; say nothing. */
bool request_parse(struct request *request, const char *line);

/* Whether `other` is about the same reading: a part of a report that was lost is asked for again in this way. */
bool request_same(const struct request *request, const struct request *other);

/* Writes the report's checksum behind it, where there is room for it: parts of two readings must not pass as one. */
void report_seal(char *report, size_t size);

/* Where the bytes end that a request wants of a sealed report of `total` bytes. */
size_t request_end(const struct request *request, size_t total);

/*
 * "@part SEQ NONCE OFFSET TOTAL BASE64 CRC\n": the bytes from `at` on, before `end`, as many as a frame of this request
 * carries. Returns the line's length; OFFSET of the next frame is `at` + PART.
 */
size_t part_line(char *line, const struct request *request, size_t at, size_t end, const void *data, size_t total);

/* "@err SEQ NONCE WORD CRC\n". Returns the line's length. */
size_t error_line(char *line, const struct request *request, const char *word);

#endif
