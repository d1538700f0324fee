// SPDX-License-Identifier: GPL-2.0
/*
 * Test of ../reboot_command.c, as a kselftest program: TAP on standard output,
 * exit status 0 when all passed. It runs on any machine.
 *
 * Usage: command_test [COUNT]    COUNT texts made at random (default 100000)
 */
#include "../reboot_command.c"

#include <stdio.h>
#include <stdlib.h>

static int tests, failures;

static void check(bool good, const char *what)
{
	tests++;
	failures += !good;
	printf("%sok %d %s\n", good ? "" : "not ", tests, what);
}

static void accepts(const char *text, u8 partition, bool tryboot)
{
	struct reboot_command command = { .partition = 99, .tryboot = !tryboot };
	int status = reboot_command_parse(text, &command);

	check(status == 0 && command.partition == partition && command.tryboot == tryboot,
	      text ? text : "(none)");
}

/* What is refused leaves the firmware's own choice, never half of a command. */
static void refuses(const char *text)
{
	struct reboot_command command = { .partition = 99, .tryboot = true };
	int status = reboot_command_parse(text, &command);

	check(status == -EINVAL && command.partition == 0 && !command.tryboot, text);
}

static void test_register(void)
{
	bool right = true;
	u8 partition;

	for (partition = 0; partition <= REBOOT_PARTITION_MAX; partition++) {
		u32 value = reboot_command_rsts(0xffffffff, partition), back = 0, bit;

		for (bit = 0; bit < 6; bit++)
			back |= (value >> (2 * bit) & 1) << bit;
		right &= back == partition && (value | 0x555) == 0x5affffff;
		right &= reboot_command_rsts(0x5a000555, partition) ==
			 reboot_command_rsts(0, partition);
	}
	check(right, "every partition goes to its bits and leaves the others");
	check(reboot_command_rsts(0x1000, 3) == 0x5a001005, "partition 3 after power-on");
}

/* Any text: one of the two answers, a partition in range, a try only where the word is there. */
static void test_random(long count)
{
	static const char letters[] = "0123456789 tryboot\t-+x\xff";
	long at, good = 0, taken = 0;

	srand(1);
	for (at = 0; at < count; at++) {
		struct reboot_command command;
		size_t length = (size_t)rand() % 14, i;
		char *text = malloc(length + 1); /* its own: one byte too far is seen */

		for (i = 0; i < length; i++)
			text[i] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		text[length] = '\0';
		switch (reboot_command_parse(text, &command)) {
		case 0:
			taken++;
			good += command.partition <= REBOOT_PARTITION_MAX &&
				command.tryboot == !!strstr(text, "tryboot");
			break;
		case -EINVAL:
			good += !command.partition && !command.tryboot &&
				strspn(text, " ") != length;
			break;
		}
		free(text);
	}
	printf("# %ld texts, %ld of them commands\n", count, taken);
	check(good == count && taken > 0, "texts made at random");
}

int main(int argc, char **argv)
{
	accepts(NULL, 0, false);
	accepts("", 0, false);
	accepts("0", 0, false);
	accepts("3", 3, false);
	accepts("62", 62, false);
	accepts("tryboot", 0, true);
	accepts("0 tryboot", 0, true);
	accepts("3 tryboot", 3, true);
	accepts("  3   tryboot  ", 3, true);
	accepts("03", 3, false);
	refuses("63");
	refuses("64");
	refuses("100");
	refuses("003");
	refuses("-1");
	refuses("0x3");
	refuses("3tryboot");
	refuses("3 4");
	refuses("tryboot 3");
	refuses("tryboot tryboot");
	refuses("3 tryboots");
	refuses("3 try");
	refuses("0\ttryboot");
	refuses("0 tryboot\n");
	refuses("bootloader");
	refuses("kexec reboot");
	refuses("99999999999999999999");
	test_register();
	test_random(argc > 1 ? atol(argv[1]) : 100000);
	printf("1..%d\n", tests);
	return failures ? 1 : 0;
}
