// SPDX-License-Identifier: MIT
/*
 * The BCM2711 system timer.
 *
 * Concern: one reading of a free-running hardware counter, for "power-on to ready" on a real board.
 * Context: PID 1, after ready; needs /sys and a kernel that allows /dev/mem on device registers - where it does not,
 * the timer is not known, which is an answer too.
 */
#include "clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "counters.h"
#include "util.h"

#define BCM2711_TIMER_PAGE 0xfe003000
#define TIMER_LOW 1  /* 32-bit words from the start of the page */
#define TIMER_HIGH 2

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
	int fd AUTO_CLOSE = -1;
	volatile const uint32_t *page;
	uint32_t high, low;

	if (!is_bcm2711())
		return timer;
	fd = open("/dev/mem", O_RDONLY | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return timer;
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, BCM2711_TIMER_PAGE);
	if (page == MAP_FAILED)
		return timer;
	do { /* the high half may move between the two reads, once in 71 minutes */
		high = page[TIMER_HIGH];
		low = page[TIMER_LOW];
	} while (high != page[TIMER_HIGH]);
	timer = (struct system_timer){
		.known = true,
		.microseconds = (uint64_t)high << 32 | low,
		.cntvct = read_cntvct(),
	};
	munmap((void *)page, 4096);
	return timer;
}
