/* SPDX-License-Identifier: GPL-2.0 */
/* The argument of reboot(2) with LINUX_REBOOT_CMD_RESTART2, taken apart. */
#ifndef PROTOPI_REBOOT_COMMAND_H
#define PROTOPI_REBOOT_COMMAND_H

#include <linux/types.h>

/* The firmware takes 63 for "halt"; 0 is the partition that it would take anyway. */
#define REBOOT_PARTITION_MAX 62

/**
 * struct reboot_command - what a restart asks of the firmware
 * @partition: the partition to boot from; 0: the firmware's choice
 * @tryboot: whether the next boot, and that one alone, is a try
 */
struct reboot_command {
	u8 partition;
	bool tryboot;
};

int reboot_command_parse(const char *text, struct reboot_command *command);
u32 reboot_command_rsts(u32 rsts, u8 partition);

#endif
