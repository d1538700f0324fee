// SPDX-License-Identifier: MIT
/*
 * Requests and frames of the console report.
 *
 * Concern: their text. Each checksum covers all words between the first and itself, with the single spaces between
 * them, so that a frame of another request, or one with a kernel message in its middle, cannot pass. Requests have one
 * too: a damaged one must not get the answer to another question.
 * Context: anywhere; pure.
 */
#include "report_frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "crc32.h"

#define GET "@get "

static bool only(const char *text, const char *allowed)
{
	return *text && text[strspn(text, allowed)] == '\0';
}

bool request_parse(struct request *request, const char *line)
{
	static const char digits[] = "0123456789";
	static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	const char *last = strrchr(line, ' ');
	char offset[10], length[10], part[10], crc[9], right[9], rest[2];

	/* One word too many makes `rest` match: then it is no request. */
	if (strncmp(line, GET, strlen(GET)) != 0 ||
	    sscanf(line, GET "%15s %39s %15s %9s %9s %9s %8s%1s", request->seq, request->nonce, request->what, offset,
		   length, part, crc, rest) != 7 ||
	    !only(request->seq, digits) || !only(request->nonce, word) || !only(request->what, word) ||
	    !only(offset, digits) || !only(length, digits) || !only(part, digits))
		return false;
	snprintf(right, sizeof(right), "%08" PRIx32, crc32(line + strlen(GET), (size_t)(last - line) - strlen(GET)));
	/* At most nine digits each: they fit. */
	request->offset = (uint32_t)strtoul(offset, NULL, 10);
	request->length = (uint32_t)strtoul(length, NULL, 10);
	request->part = (uint32_t)strtoul(part, NULL, 10);
	return strcmp(last + 1, right) == 0 && request->part > 0 && request->part <= REPORT_PART;
}

bool request_same(const struct request *request, const struct request *other)
{
	return strcmp(request->seq, other->seq) == 0 && strcmp(request->nonce, other->nonce) == 0 &&
	       strcmp(request->what, other->what) == 0;
}

void report_seal(char *report, size_t size)
{
	char crc[REPORT_SEAL + 1];

	snprintf(crc, sizeof(crc), "%08" PRIx32, crc32(report, size));
	memcpy(report + size, crc, REPORT_SEAL);
}

size_t request_end(const struct request *request, size_t total)
{
	if (request->offset >= total)
		return request->offset;
	return request->length == 0 || request->length > total - request->offset ? total :
										   request->offset + request->length;
}

/* Adds the checksum and the end of line to "@word ..."; `line` has room by REPORT_LINE. */
static size_t seal(char *line, const char *body)
{
	size_t length = strlen(line);

	return length + (size_t)snprintf(line + length, REPORT_LINE - length, " %08" PRIx32 "\n",
					 crc32(body, strlen(body)));
}

size_t part_line(char *line, const struct request *request, size_t at, size_t end, const void *data, size_t total)
{
	const uint8_t *bytes = data;
	char text[BASE64_LENGTH(REPORT_PART) + 1];

	base64_encode(text, bytes + at, end - at < request->part ? end - at : request->part);
	snprintf(line, REPORT_LINE, "@part %s %s %zu %zu %s", request->seq, request->nonce, at, total, text);
	return seal(line, line + strlen("@part "));
}

size_t error_line(char *line, const struct request *request, const char *word)
{
	snprintf(line, REPORT_LINE, "@err %s %s %s", request->seq, request->nonce, word);
	return seal(line, line + strlen("@err "));
}
