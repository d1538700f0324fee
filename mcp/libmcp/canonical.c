// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: the canonical form of a JSON text (RFC 8785), and the digest of it.
 * Context: any; recursion is bounded by JSON_DEPTH. Locking: none.
 * Lifetime: what is returned is the caller's to free.
 *
 * A level writes its members in the order of the text and then puts what it
 * wrote into order, so that no tree is built.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "json.h"
#include "sha256.h"

struct member {
	struct libmcp_text key;
	size_t start, len;	/* in the output, with its key */
};

struct member_list {
	struct member *rows;
	size_t count, size;
};

static int write_value(struct buffer *out, struct libmcp_text text);

static int by_key(const void *a, const void *b)
{
	const struct member *left = a, *right = b;

	return json_compare(json_units(left->key), json_units(right->key));
}

static int add_member(struct member_list *list, const struct member *member)
{
	if (list->count == list->size) {
		size_t size = 2 * list->size + 8;
		struct member *rows = realloc(list->rows, size * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		list->rows = rows;
		list->size = size;
	}
	list->rows[list->count++] = *member;
	return 0;
}

/* From @start on @out has the members as they came; now as they should. */
static int put_into_order(struct buffer *out, size_t start, struct member_list *list)
{
	size_t len = out->len - start;
	char *before;

	if (!list->count || out->error)
		return 0;
	qsort(list->rows, list->count, sizeof(*list->rows), by_key);
	before = malloc(len);
	if (!before)
		return -ENOMEM;
	memcpy(before, out->data + start, len);
	out->len = start;
	for (size_t i = 0; i < list->count; i++) {
		const struct member *row = &list->rows[i];

		if (i && !by_key(row - 1, row)) {
			free(before);
			return -EINVAL;	/* I-JSON: a name occurs once */
		}
		if (i)
			buffer_text(out, ",");
		buffer_add(out, before + (row->start - start), row->len);
	}
	free(before);
	return 0;
}

static int write_object(struct buffer *out, struct json *in)
{
	struct member_list list = { 0 };
	struct libmcp_text text;
	struct member member;
	bool first = true;
	size_t start;
	int error = 0;

	buffer_text(out, "{");
	start = out->len;
	while (!error && json_member(in, &first, &member.key, &text) > 0) {
		member.start = out->len;
		buffer_units(out, json_units(member.key));
		buffer_text(out, ":");
		error = write_value(out, text);
		member.len = out->len - member.start;
		if (!error)
			error = add_member(&list, &member);
	}
	if (!error)
		error = put_into_order(out, start, &list);
	free(list.rows);
	buffer_text(out, "}");
	return error;
}

static int write_array(struct buffer *out, struct json *in)
{
	struct libmcp_text text;
	bool first = true;
	int error = 0;

	buffer_text(out, "[");
	for (bool comma = false; !error && json_element(in, &first, &text) > 0; comma = true) {
		if (comma)
			buffer_text(out, ",");
		error = write_value(out, text);
	}
	buffer_text(out, "]");
	return error;
}

/* @text was checked to its end. */
static int write_value(struct buffer *out, struct libmcp_text text)
{
	struct json in = json_in(text);
	char number[JSON_NUMBER_SIZE];
	int len;

	if (json_enter(&in, '{'))
		return write_object(out, &in);
	if (json_enter(&in, '['))
		return write_array(out, &in);
	if (*text.text == '"') {
		buffer_units(out, json_units(text));
		return 0;
	}
	if (*text.text == '-' || (*text.text >= '0' && *text.text <= '9')) {
		len = json_number(text, number);
		if (len < 0)
			return len;
		buffer_add(out, number, (size_t)len);
		return 0;
	}
	buffer_add(out, text.text, text.len);
	return 0;
}

int libmcp_canonical(const char *json, size_t len, char **canonical, size_t *written)
{
	struct libmcp_text text = { json, len };
	struct json in = json_in(text);
	struct buffer out = { 0 };
	int error;

	error = json_value(&in, &text);
	if (!error && !json_ended(&in))
		error = -EBADMSG;
	if (!error)
		error = write_value(&out, text);
	if (!error)
		error = out.error;
	if (error) {
		buffer_free(&out);
		return error;
	}
	*canonical = out.data;
	*written = out.len;
	return 0;
}

int libmcp_digest(const char *json, size_t len, uint8_t digest[MCP_DIGEST_SIZE])
{
	char *canonical;
	size_t written;
	int error = libmcp_canonical(json, len, &canonical, &written);

	if (error)
		return error;
	sha256(canonical, written, digest);
	free(canonical);
	return 0;
}
