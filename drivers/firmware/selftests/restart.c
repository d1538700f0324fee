// SPDX-License-Identifier: GPL-2.0
/*
 * Restarts the machine at once with an argument for the firmware, as `reboot
 * "0 tryboot"` of Raspberry Pi OS does: nothing is stopped, nothing is
 * unmounted. For tests of the way from here to the firmware.
 *
 * Usage: restart [ARGUMENT]
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/reboot.h>

int main(int argc, char **argv)
{
	unsigned int how = argc > 1 ? LINUX_REBOOT_CMD_RESTART2 : LINUX_REBOOT_CMD_RESTART;
	const char *argument = argc > 1 ? argv[1] : NULL;

	sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, how, argument);
	perror("reboot");
	return 1;
}
