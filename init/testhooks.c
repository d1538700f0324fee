// SPDX-License-Identifier: MIT
/*
 * Deliberate faults, in test images only.
 *
 * Concern: each rule of the gate has an image that must fail it.
 *   protopi.test=delay:MS   burn MS milliseconds before ready
 *   protopi.test=panic      kernel panic before ready
 *   protopi.test=badcrc     a wrong checksum in @boot
 *   protopi.test=noboot     no @boot line (the line is replaced by blanks)
 *   protopi.test=hang       PID 1 stops once the watchdog is open: it must reset the machine
 * Context: PID 1. Lifetime: the boot.
 */
#include "testhooks.h"

#ifdef PROTOPI_TEST

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "counters.h"
#include "util.h"

/* The value of protopi.test=, or NULL. */
static const char *wanted(void)
{
	static char text[4096];
	static const char key[] = "protopi.test=";
	char *at;

	if (read_file("/proc/cmdline", text, sizeof(text)) < 0 || !(at = strstr(text, key)))
		return NULL;
	at += sizeof(key) - 1;
	at[strcspn(at, " \n")] = '\0';
	return at;
}

static bool is_wanted(const char *word)
{
	const char *test = wanted();

	return test && strcmp(test, word) == 0;
}

void testhooks_before_ready(void)
{
	const char *test = wanted();
	uint64_t milliseconds, until;

	if (is_wanted("panic"))
		_exit(1); /* the kernel panics when process 1 ends */
	if (!test || strncmp(test, "delay:", 6) != 0 || parse_u64(test + 6, &milliseconds) < 0)
		return;
	until = read_cntvct() + read_cntfrq() * milliseconds / 1000;
	while (read_cntvct() < until)
		; /* busy on purpose: the gate has to see instructions, not idle time */
}

void testhooks_line(char *line, size_t length)
{
	if (is_wanted("badcrc"))
		line[length - 2] ^= 1; /* the last digit becomes another character */
	if (is_wanted("noboot"))
		memset(line, ' ', length - 1);
}

bool testhooks_hang(void)
{
	return is_wanted("hang");
}

#endif
