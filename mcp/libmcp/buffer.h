/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A text that grows. After a failure it takes no more, and says so at the end. */
#ifndef LIBMCP_BUFFER_H
#define LIBMCP_BUFFER_H

#include <stddef.h>

#include "libmcp.h"

struct buffer {
	char *data;
	size_t len, size;
	int error;	/* 0 or -ENOMEM */
};

void buffer_add(struct buffer *buffer, const void *data, size_t len);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_number(struct buffer *buffer, long number);
/* As a string of JSON, with quotes; bytes that are not UTF-8 become U+FFFD. */
void buffer_quoted(struct buffer *buffer, const char *text, size_t len);
/* The same, from units; RFC 8785's way of writing them. */
struct json_units;
void buffer_units(struct buffer *buffer, struct json_units units);
void buffer_free(struct buffer *buffer);

#endif
