// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: a number of JSON as ECMAScript prints it (ECMA-262, Number::toString),
 * which RFC 8785 asks for: the fewest digits that read back as the same double.
 * Context: any; relies on a C library whose strtod() and printf() round
 * correctly, as those of musl and glibc do. Locking: none. Lifetime: none.
 *
 * What goes to and comes from the C library has no decimal point, so that the
 * locale does not matter.
 */
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* Of a number as it is written; nobody needs more, and it bounds the work. */
#define LONGEST		256
#define EXPONENT_MOST	100000

struct decimal {
	uint64_t digits;
	int exponent;	/* of the last digit */
};

static double to_double(struct decimal decimal)
{
	char text[40];

	snprintf(text, sizeof(text), "%" PRIu64 "e%d", decimal.digits, decimal.exponent);
	return strtod(text, NULL);
}

/* The nearest with so many digits. */
static struct decimal nearest(double x, int count)
{
	char text[40];
	struct decimal decimal = { 0 };
	const char *at = text;

	snprintf(text, sizeof(text), "%.*e", count - 1, x);
	for (; *at && *at != 'e'; at++) {
		if (*at >= '0' && *at <= '9')
			decimal.digits = decimal.digits * 10 + (uint64_t)(*at - '0');
	}
	if (*at == 'e')
		decimal.exponent = (int)strtol(at + 1, NULL, 10) - (count - 1);
	return decimal;
}

/*
 * The shortest. Below a power of two doubles lie twice as close as above it, so
 * the next decimal above may read back although the nearest one, below, does
 * not: 2^-44 is 5.684341886080802e-14.
 */
static struct decimal shortest(double x)
{
	struct decimal decimal;

	for (int count = 1; count < DBL_DECIMAL_DIG; count++) {
		decimal = nearest(x, count);
		if (to_double(decimal) == x)
			return decimal;
		decimal.digits++;
		if (to_double(decimal) == x)
			return decimal;
	}
	return nearest(x, DBL_DECIMAL_DIG);
}

/* Reads the text as digits and an exponent. */
static double read_number(struct libmcp_text number)
{
	char text[LONGEST + 32];
	size_t used = 0;
	long exponent = 0, written = 0;
	bool fraction = false;
	size_t i;

	for (i = 0; i < number.len && (number.text[i] | 0x20) != 'e'; i++) {
		if (number.text[i] == '.') {
			fraction = true;
			continue;
		}
		text[used++] = number.text[i];
		if (fraction)
			exponent--;
	}
	if (i < number.len) {
		bool minus = number.text[++i] == '-';

		if (minus || number.text[i] == '+')
			i++;
		for (; i < number.len && written < EXPONENT_MOST; i++)
			written = written * 10 + (number.text[i] - '0');
		exponent += minus ? -written : written;
	}
	snprintf(text + used, sizeof(text) - used, "e%ld", exponent);
	return strtod(text, NULL);
}

/* As Number::toString lays it out; @n digits stand before the point. */
static int lay_out(char *out, const char *digits, int count, int n)
{
	char *at = out;

	if (n > 21 || n <= -6) {
		*at++ = digits[0];
		if (count > 1) {
			*at++ = '.';
			memcpy(at, digits + 1, (size_t)count - 1);
			at += count - 1;
		}
		return (int)(at - out) + sprintf(at, "e%c%d", n > 0 ? '+' : '-', abs(n - 1));
	}
	if (n <= 0) {
		*at++ = '0';
		*at++ = '.';
		for (int i = n; i < 0; i++)
			*at++ = '0';
	}
	for (int i = 0; i < count || i < n; i++) {
		if (i && i == n)
			*at++ = '.';
		*at++ = i < count ? digits[i] : '0';
	}
	*at = 0;
	return (int)(at - out);
}

int json_number(struct libmcp_text number, char out[JSON_NUMBER_SIZE])
{
	struct decimal decimal;
	char digits[24];
	bool minus;
	double x;
	int count;

	if (number.len > LONGEST)
		return -ERANGE;
	x = read_number(number);
	if (x > DBL_MAX || x < -DBL_MAX)
		return -ERANGE;
	if (x == 0)
		return sprintf(out, "0");
	minus = x < 0;
	decimal = shortest(minus ? -x : x);
	while (decimal.digits % 10 == 0) {
		decimal.digits /= 10;
		decimal.exponent++;
	}
	count = sprintf(digits, "%" PRIu64, decimal.digits);
	if (minus)
		*out = '-';
	return minus + lay_out(out + minus, digits, count, count + decimal.exponent);
}
