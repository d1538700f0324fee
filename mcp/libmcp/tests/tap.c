// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: TAP on standard output. Context: one thread of one process.
 * Locking: none. Lifetime: the program's.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#define ALARM_SECONDS	300

static int tests, failures;

static void on_alarm(int signal)
{
	static const char text[] = "Bail out! the program hangs\n";

	(void)signal;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

void tap_alarm(void)
{
	signal(SIGALRM, on_alarm);
	alarm(ALARM_SECONDS);
}

void tap_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13");
	tap_alarm();
}

int tap_end(void)
{
	printf("1..%d\n", tests);
	return failures || !tests;
}

static void report(bool good, const char *format, va_list arguments)
{
	tests++;
	failures += !good;
	printf("%sok %d ", good ? "" : "not ", tests);
	vprintf(format, arguments);
	putchar('\n');
}

bool check(bool good, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(good, format, arguments);
	va_end(arguments);
	return good;
}

bool check_is(long got, long wanted, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(got == wanted, format, arguments);
	va_end(arguments);
	if (got != wanted)
		printf("# got %ld, wanted %ld\n", got, wanted);
	return got == wanted;
}

void bail_out(const char *why, int error)
{
	printf("Bail out! %s: %s\n", why, strerror(error < 0 ? -error : error));
	exit(1);
}

void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(4);
}
