// SPDX-License-Identifier: GPL-2.0
/*
 * The argument of a restart.
 *
 * Concern: "PARTITION", "PARTITION tryboot" or "tryboot", and the register
 *          bits that a partition becomes. Nothing here touches hardware, so
 *          that selftests/command_test.c runs all of it on any machine.
 * Context: any. Locking: none; works on its arguments alone.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>

#include "reboot_command.h"

/* PM_RSTS: the partition's bits 0 to 5 are the register's bits 0, 2, .. 10. */
#define RSTS_PARTITION_BITS 0x555
#define RSTS_PASSWORD_MASK 0xff000000
#define RSTS_PASSWORD 0x5a000000

static bool parse_partition(const char *word, size_t length, u8 *partition)
{
	unsigned int value = 0;
	size_t i;

	if (length < 1 || length > 2)
		return false;
	for (i = 0; i < length; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		value = value * 10 + word[i] - '0';
	}
	if (value > REBOOT_PARTITION_MAX)
		return false;
	*partition = value;
	return true;
}

/**
 * reboot_command_parse() - take the argument of a restart apart
 * @text: the argument; NULL or empty when there is none
 * @command: the answer; the firmware's own choice when @text is not understood
 *
 * One partition number at most and only in the first place, then "tryboot",
 * with one or more blanks between. Half of a command is never taken: a try
 * that boots from elsewhere is no try.
 *
 * Return: 0, or -EINVAL when @text says anything else.
 */
int reboot_command_parse(const char *text, struct reboot_command *command)
{
	struct reboot_command found = {};
	bool first = true;

	*command = found;
	if (!text)
		return 0;
	for (;;) {
		size_t length;

		text += strspn(text, " ");
		length = strcspn(text, " ");
		if (!length)
			break;
		if (length == 7 && !memcmp(text, "tryboot", 7) && !found.tryboot)
			found.tryboot = true;
		else if (!first || !parse_partition(text, length, &found.partition))
			return -EINVAL;
		first = false;
		text += length;
	}
	*command = found;
	return 0;
}

/**
 * reboot_command_rsts() - what to write to PM_RSTS
 * @rsts: what was read from it
 * @partition: the partition to boot from, 0 to 62
 *
 * Return: the register with its password, this partition, and all other bits
 * as they were.
 */
u32 reboot_command_rsts(u32 rsts, u8 partition)
{
	unsigned int bit;

	rsts &= ~(RSTS_PASSWORD_MASK | RSTS_PARTITION_BITS);
	for (bit = 0; bit < 6; bit++)
		if (partition & (1U << bit))
			rsts |= 1U << (2 * bit);
	return rsts | RSTS_PASSWORD;
}
