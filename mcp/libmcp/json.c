// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: the grammar of JSON, on input that an enemy wrote.
 * Context: any; recursion is bounded by JSON_DEPTH. Locking: none.
 * Lifetime: texts point into the caller's buffer.
 */
#include <errno.h>
#include <string.h>

#include "json.h"

struct json json_in(struct libmcp_text text)
{
	const unsigned char *at = (const unsigned char *)text.text;

	/* No arithmetic on the NULL of a text that is not there. */
	return (struct json){ at, text.len ? at + text.len : at };
}

static void skip_space(struct json *in)
{
	while (in->at < in->end &&
	       (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
		in->at++;
}

static bool take(struct json *in, char c)
{
	if (in->at == in->end || *in->at != (unsigned char)c)
		return false;
	in->at++;
	return true;
}

static bool take_word(struct json *in, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len))
		return false;
	in->at += len;
	return true;
}

bool json_ended(struct json *in)
{
	skip_space(in);
	return in->at == in->end;
}

/* ---- Strings ---------------------------------------------------------------- */

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Four hexadecimal digits, or -1. */
static int take_unit(struct json *in)
{
	int unit = 0;

	if (in->end - in->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(in->at[i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	in->at += 4;
	return unit;
}

/* One character of UTF-8 (Unicode 15, table 3-7), or -1. */
static long take_utf8(struct json *in)
{
	unsigned char c = *in->at;
	int more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 :
		   c >= 0xf0 && c < 0xf5 ? 3 : -1;
	long point;

	if (more < 0 || in->end - in->at <= more)
		return -1;
	point = more ? c & (0x3f >> more) : c;
	for (int i = 1; i <= more; i++) {
		if ((in->at[i] & 0xc0) != 0x80)
			return -1;
		point = point << 6 | (in->at[i] & 0x3f);
	}
	/* Too long for what it says, a surrogate, or beyond the last. */
	if ((more == 2 && point < 0x800) || (more == 3 && (point < 0x10000 || point > 0x10ffff)) ||
	    (point >= 0xd800 && point < 0xe000))
		return -1;
	in->at += more + 1;
	return point;
}

/* What stands after a backslash: its character, or -1. Pairs are taken together. */
static long take_escape(struct json *in)
{
	static const char written[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int unit, low;

	if (in->at == in->end)
		return -1;
	if (!take(in, 'u')) {
		found = *in->at ? strchr(written, *in->at) : NULL;
		if (!found)
			return -1;
		in->at++;
		return meant[found - written];
	}
	unit = take_unit(in);
	if (unit < 0xd800 || unit >= 0xe000)
		return unit;
	if (unit >= 0xdc00 || !take_word(in, "\\u"))
		return -1;
	low = take_unit(in);
	if (low < 0xdc00 || low >= 0xe000)
		return -1;
	return 0x10000 + ((long)(unit - 0xd800) << 10) + (low - 0xdc00);
}

static bool string(struct json *in)
{
	if (!take(in, '"'))
		return false;
	while (in->at < in->end) {
		if (take(in, '"'))
			return true;
		if (*in->at < 0x20)
			return false;
		if ((take(in, '\\') ? take_escape(in) : take_utf8(in)) < 0)
			return false;
	}
	return false;
}

struct json_units json_units(struct libmcp_text string)
{
	struct json in = json_in(string);

	in.at++;
	in.end--;
	return (struct json_units){ .in = in, .escapes = true };
}

struct json_units json_plain_units(const char *text, size_t len)
{
	return (struct json_units){ .in = json_in((struct libmcp_text){ text, len }) };
}

int json_unit(struct json_units *units)
{
	struct json *in = &units->in;
	long point = units->low;

	units->low = 0;
	if (point)
		return (int)point;
	if (in->at == in->end)
		return -1;
	if (units->escapes && take(in, '\\'))
		point = take_escape(in);
	else
		point = take_utf8(in);
	if (point < 0) {
		in->at++;	/* of plain text only: a byte that is not UTF-8 */
		return JSON_NO_UNIT;
	}
	if (point < 0x10000)
		return (int)point;
	units->low = 0xdc00 | (unsigned int)(point & 0x3ff);
	return 0xd7c0 + (int)(point >> 10);
}

long json_point(struct json_units *units)
{
	int unit = json_unit(units);

	if (unit == JSON_NO_UNIT)
		return JSON_NO_POINT;
	if (unit < 0xd800 || unit >= 0xdc00)
		return unit;
	return 0x10000 + ((long)(unit - 0xd800) << 10) + (json_unit(units) - 0xdc00);
}

size_t json_utf8(long point, char out[4])
{
	size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = len; i > 1; i--) {
		out[i - 1] = (char)(0x80 | (point & 0x3f));
		point >>= 6;
	}
	out[0] = (char)(lead[len] | point);
	return len;
}

int json_compare(struct json_units a, struct json_units b)
{
	int left, right;

	do {
		left = json_unit(&a);
		right = json_unit(&b);
	} while (left == right && left >= 0);
	return left - right;
}

bool json_is(struct libmcp_text text, const char *wanted)
{
	if (!text.len || *text.text != '"')
		return false;
	return !json_compare(json_units(text), json_plain_units(wanted, strlen(wanted)));
}

/* ---- Values ----------------------------------------------------------------- */

static bool digits(struct json *in)
{
	const unsigned char *start = in->at;

	while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
		in->at++;
	return in->at > start;
}

static bool number(struct json *in)
{
	take(in, '-');
	if (!take(in, '0') && !digits(in))
		return false;
	if (take(in, '.') && !digits(in))
		return false;
	if (take(in, 'e') || take(in, 'E')) {
		if (!take(in, '+'))
			take(in, '-');
		return digits(in);
	}
	return true;
}

static bool value(struct json *in, int depth);

static bool members(struct json *in, int depth)
{
	skip_space(in);
	if (take(in, '}'))
		return true;
	do {
		skip_space(in);
		if (!string(in))
			return false;
		skip_space(in);
		if (!take(in, ':') || !value(in, depth))
			return false;
		skip_space(in);
	} while (take(in, ','));
	return take(in, '}');
}

static bool elements(struct json *in, int depth)
{
	skip_space(in);
	if (take(in, ']'))
		return true;
	do {
		if (!value(in, depth))
			return false;
		skip_space(in);
	} while (take(in, ','));
	return take(in, ']');
}

static bool value(struct json *in, int depth)
{
	skip_space(in);
	if (in->at == in->end)
		return false;
	switch (*in->at) {
	case '{':
		in->at++;
		return depth && members(in, depth - 1);
	case '[':
		in->at++;
		return depth && elements(in, depth - 1);
	case '"':
		return string(in);
	case 't':
		return take_word(in, "true");
	case 'f':
		return take_word(in, "false");
	case 'n':
		return take_word(in, "null");
	default:
		return number(in);
	}
}

int json_value(struct json *in, struct libmcp_text *text)
{
	const unsigned char *start;

	skip_space(in);
	start = in->at;
	if (!value(in, JSON_DEPTH))
		return -EBADMSG;
	*text = (struct libmcp_text){ (const char *)start, (size_t)(in->at - start) };
	return 0;
}

bool json_enter(struct json *in, char bracket)
{
	skip_space(in);
	return take(in, bracket);
}

/* Whether there is another one; -EBADMSG when neither a comma nor the end follows. */
static int more(struct json *in, bool *first, char end)
{
	skip_space(in);
	if (take(in, end))
		return 0;
	if (!*first && !take(in, ','))
		return -EBADMSG;
	*first = false;
	skip_space(in);
	return 1;
}

int json_member(struct json *in, bool *first, struct libmcp_text *key, struct libmcp_text *text)
{
	int result = more(in, first, '}');
	const unsigned char *start = in->at;

	if (result <= 0)
		return result;
	if (!string(in))
		return -EBADMSG;
	*key = (struct libmcp_text){ (const char *)start, (size_t)(in->at - start) };
	skip_space(in);
	if (!take(in, ':'))
		return -EBADMSG;
	result = json_value(in, text);
	return result ? result : 1;
}

int json_element(struct json *in, bool *first, struct libmcp_text *text)
{
	int result = more(in, first, ']');

	if (result <= 0)
		return result;
	result = json_value(in, text);
	return result ? result : 1;
}
