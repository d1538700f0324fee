/* SPDX-License-Identifier: MIT */
/* The frames of the console report service. Pure. */
#ifndef PROTOPI_REPORT_FRAME_H
#define PROTOPI_REPORT_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#define REPORT_LINE 1024 /* room for any frame, and more than any request */
#define REPORT_PART 512	 /* bytes of a report that one frame carries */

/* A request: `@get SEQ NONCE WHAT`. SEQ is a decimal number, NONCE and WHAT are letters and digits. */
struct request {
	char seq[16];
	char nonce[40];
	char what[16];
};

/* Takes a line without its end apart. False: not a request at all, say nothing. */
bool request_parse(struct request *request, const char *line);

/* Frames a report needs: at least one, so that an empty report is an answer too. */
size_t part_count(size_t size);

/* "@part SEQ NONCE INDEX COUNT BASE64 CRC\n"; an empty part has "-" for its base64. Returns the line's length. */
size_t part_line(char *line, const struct request *request, size_t index, const void *data, size_t size);

/* "@err SEQ NONCE WORD CRC\n". Returns the line's length. */
size_t error_line(char *line, const struct request *request, const char *word);

#endif
