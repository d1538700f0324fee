// SPDX-License-Identifier: GPL-2.0
/*
 * Test of protopi_firmware's system_timer_us, as a kselftest program: TAP on
 * standard output, exit status 0 when all passed.
 *
 * Usage: timer_test           on a Pi 4 (or its stand-in) where the module is loaded
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMER "/sys/devices/platform/soc/fe003000.timer/system_timer_us"

static int tests, failures;

static void check(bool good, const char *what)
{
	tests++;
	failures += !good;
	printf("%sok %d %s\n", good ? "" : "not ", tests, what);
	fflush(stdout);
}

/* The timer, or 0 when it cannot be read or is no number in one line. */
static unsigned long long timer(void)
{
	char text[64], *end;
	int fd = open(TIMER, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned long long value;

	if (fd >= 0)
		close(fd);
	if (size < 2)
		return 0;
	text[size] = '\0';
	value = strtoull(text, &end, 10);
	return end == text + size - 1 && *end == '\n' ? value : 0;
}

static unsigned long long clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

int main(void)
{
	struct timespec nap = { .tv_nsec = 200000000 };
	unsigned long long first, last, before, after, passed, span;
	bool forward = true;
	int i, fd;

	first = timer();
	check(first > 0, "it is one number in one line");
	last = first;
	for (i = 0; i < 1000; i++) {
		unsigned long long now = timer();

		forward &= now >= last;
		last = now;
	}
	check(forward && last > first, "it never goes back, and moves");

	/* One crystal drives both clocks: the spans differ by the time of the readings alone. */
	before = clock_us();
	first = timer();
	nanosleep(&nap, NULL);
	last = timer();
	after = clock_us();
	passed = last - first;
	span = after - before;
	printf("# %llu us on the timer, %llu us around it\n", passed, span);
	check(passed <= span + 1 && passed + 2000 >= span && passed >= 200000,
	      "its unit is the microsecond");

	fd = open(TIMER, O_WRONLY | O_CLOEXEC);
	check(fd < 0 || (write(fd, "0\n", 2) < 0 && errno == EIO), "it cannot be written");
	printf("1..%d\n", tests);
	return failures ? 1 : 0;
}
