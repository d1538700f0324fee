/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * JSON (RFC 8259) as texts in a buffer: nothing is decoded before somebody
 * asks, nothing is allocated, every byte is looked at once for each level that
 * is entered. What is refused, on top of what the grammar refuses: more than
 * JSON_DEPTH levels, bytes that are not UTF-8, surrogates that are no pair.
 */
#ifndef LIBMCP_JSON_H
#define LIBMCP_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "libmcp.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define JSON_DEPTH	64

/* A reader's place. */
struct json {
	const unsigned char *at, *end;
};

struct json json_in(struct libmcp_text text);
/* One value of any kind, checked to its end. Returns 0 or -EBADMSG. */
int json_value(struct json *in, struct libmcp_text *value);
/* Nothing but white space is left. */
bool json_ended(struct json *in);
/* Goes into an object or an array: false if the next value is none. */
bool json_enter(struct json *in, char bracket);
/*
 * The next member (@key with its quotes) or element of what was entered.
 * @first is true before the first one, and is cleared.
 * Returns 1, 0 at the end, -EBADMSG.
 */
int json_member(struct json *in, bool *first, struct libmcp_text *key, struct libmcp_text *value);
int json_element(struct json *in, bool *first, struct libmcp_text *value);

/* ---- Strings: their UTF-16 units, in whatever way they are written ---------- */

struct json_units {
	struct json in;
	bool escapes;
	unsigned int low;	/* the second half of a pair */
};

/* Of a string that was checked, with its quotes. */
struct json_units json_units(struct libmcp_text string);
/* Of plain UTF-8; each byte that is not UTF-8 gives JSON_NO_UNIT, which no checked string has. */
#define JSON_NO_UNIT	0x10000
struct json_units json_plain_units(const char *text, size_t len);
/* The next unit, or -1. */
int json_unit(struct json_units *units);
/* The next character, -1 at the end, JSON_NO_POINT for a byte that is not UTF-8. */
#define JSON_NO_POINT	0x110000
long json_point(struct json_units *units);
/* Writes a character; gives its bytes, 1 to 4. */
size_t json_utf8(long point, char out[4]);
/* Below, equal or above zero, in the order of RFC 8785. */
int json_compare(struct json_units a, struct json_units b);
bool json_is(struct libmcp_text string, const char *text);

/* The number as ECMAScript prints it: length, or -ERANGE. */
#define JSON_NUMBER_SIZE	32
int json_number(struct libmcp_text number, char out[JSON_NUMBER_SIZE]);

#endif
