// SPDX-License-Identifier: MIT
/*
 * Requests and frames of the console report.
 *
 * Concern: their text. Each checksum covers all words between the first and itself, with the single spaces between
 * them, so that a frame of another request, or one with a kernel message in its middle, cannot pass.
 * Context: anywhere; pure.
 */
#include "report_frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "crc32.h"

static bool only(const char *text, const char *allowed)
{
	return *text && text[strspn(text, allowed)] == '\0';
}

bool request_parse(struct request *request, const char *line)
{
	static const char digits[] = "0123456789";
	static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	char rest[2];

	/* One word too many makes `rest` match: then it is no request. */
	return sscanf(line, "@get %15s %39s %15s %1s", request->seq, request->nonce, request->what, rest) == 3 &&
	       only(request->seq, digits) && only(request->nonce, word) && only(request->what, word);
}

size_t part_count(size_t size)
{
	return size ? (size + REPORT_PART - 1) / REPORT_PART : 1;
}

/* Adds the checksum and the end of line to "@word ..."; `line` has room by REPORT_LINE. */
static size_t seal(char *line, const char *body)
{
	size_t length = strlen(line);

	return length + (size_t)snprintf(line + length, REPORT_LINE - length, " %08" PRIx32 "\n",
					 crc32(body, strlen(body)));
}

size_t part_line(char *line, const struct request *request, size_t index, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	size_t at = index * REPORT_PART;
	char text[BASE64_LENGTH(REPORT_PART) + 1];

	if (base64_encode(text, bytes + at, size - at < REPORT_PART ? size - at : REPORT_PART) == 0)
		memcpy(text, "-", 2);
	snprintf(line, REPORT_LINE, "@part %s %s %zu %zu %s", request->seq, request->nonce, index, part_count(size),
		 text);
	return seal(line, line + strlen("@part "));
}

size_t error_line(char *line, const struct request *request, const char *word)
{
	snprintf(line, REPORT_LINE, "@err %s %s %s", request->seq, request->nonce, word);
	return seal(line, line + strlen("@err "));
}
