// SPDX-License-Identifier: MIT
/*
 * The BCM2711 system timer.
 *
 * Concern: one reading of a free-running hardware counter, for "power-on to ready" on a real board.
 * Context: PID 1, after ready; needs /sys and the driver protopi_firmware, which is loaded here - where it does not
 * load, the timer is not known, which is an answer too.
 */
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "counters.h"
#include "util.h"

#define DRIVER "/usr/lib/protopi/protopi_firmware.ko"
#define TIMER "/sys/devices/platform/soc/fe003000.timer/system_timer_us"

/* `compatible` is a list of strings, each ended by a zero. Anything else may have other things at that address. */
static bool is_bcm2711(void)
{
	char list[256];
	ssize_t size = read_file("/sys/firmware/devicetree/base/compatible", list, sizeof(list));

	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1)
		if (strcmp(list + at, "brcm,bcm2711") == 0)
			return true;
	return false;
}

struct system_timer system_timer_read(void)
{
	struct system_timer timer = { .known = false };
	int driver AUTO_CLOSE = -1;
	uint64_t before, after;
	char text[32];

	if (!is_bcm2711())
		return timer;
	driver = open(DRIVER, O_RDONLY | O_CLOEXEC);
	if (driver < 0 || (syscall(SYS_finit_module, driver, "", 0) < 0 && errno != EEXIST))
		return timer;
	before = read_cntvct();
	if (read_file(TIMER, text, sizeof(text)) < 0)
		return timer;
	after = read_cntvct();
	/* The register was read somewhere between the two; the middle is off by half a file's reading at most. */
	timer.cntvct = before + (after - before) / 2;
	timer.known = parse_u64(text, &timer.microseconds) == 0;
	return timer;
}
