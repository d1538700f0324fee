// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: texts that are put together, and JSON strings as RFC 8785 writes them.
 * Context: any. Locking: none. Lifetime: the caller's, until buffer_free().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "json.h"

void buffer_add(struct buffer *buffer, const void *data, size_t len)
{
	if (buffer->error || !len)
		return;
	if (buffer->size - buffer->len < len) {
		size_t size = buffer->size + len + (buffer->size + len) / 2 + 64;
		char *grown = realloc(buffer->data, size);

		if (!grown) {
			buffer->error = -ENOMEM;
			return;
		}
		buffer->data = grown;
		buffer->size = size;
	}
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

void buffer_text(struct buffer *buffer, const char *text)
{
	buffer_add(buffer, text, strlen(text));
}

void buffer_number(struct buffer *buffer, long number)
{
	char text[24];

	buffer_add(buffer, text, (size_t)snprintf(text, sizeof(text), "%ld", number));
}

static void add_point(struct buffer *buffer, long point)
{
	static const char short_forms[] = "\bb\tt\nn\ff\rr\"\"\\\\";
	char utf8[4];
	char escape[8];

	if (point < 0x20 || point == '"' || point == '\\') {
		for (const char *at = short_forms; *at; at += 2) {
			if (*at == point) {
				escape[0] = '\\';
				escape[1] = at[1];
				buffer_add(buffer, escape, 2);
				return;
			}
		}
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned int)point & 0xff);
		buffer_add(buffer, escape, 6);
	} else {
		buffer_add(buffer, utf8, json_utf8(point, utf8));
	}
}

void buffer_units(struct buffer *buffer, struct json_units units)
{
	long point;

	buffer_text(buffer, "\"");
	while ((point = json_point(&units)) >= 0)
		add_point(buffer, point == JSON_NO_POINT ? 0xfffd : point);
	buffer_text(buffer, "\"");
}

void buffer_quoted(struct buffer *buffer, const char *text, size_t len)
{
	buffer_units(buffer, json_plain_units(text, len));
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}
