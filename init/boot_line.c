// SPDX-License-Identifier: MIT
/*
 * The framed lines of the console.
 *
 * Concern: their text. The CRC-32 covers the JSON exactly as it stands between the two spaces.
 * Context: PID 1, after ready. Lifetime: the text of @boot is kept in /run/protopi/boot for the report service.
 */
#include "boot_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "crc32.h"
#include "util.h"

static size_t fits(int length)
{
	return length > 0 && length < BOOT_LINE_SIZE ? (size_t)length : 0;
}

size_t frame_line(char *line, const char *word, const char *json)
{
	return fits(snprintf(line, BOOT_LINE_SIZE, "@%s %s %08" PRIx32 "\n", word, json, crc32(json, strlen(json))));
}

uint64_t system_timer_at(const struct system_timer *timer, uint64_t cntvct, uint64_t cntfrq)
{
	return timer->microseconds - (timer->cntvct - cntvct) * UINT64_C(1000000) / cntfrq;
}

size_t boot_json(char *json, const struct boot_facts *facts)
{
	char timer[64] = "{\"init\":null,\"ready\":null}";

	if (facts->timer.known)
		snprintf(timer, sizeof(timer), "{\"init\":%" PRIu64 ",\"ready\":%" PRIu64 "}",
			 system_timer_at(&facts->timer, facts->init.cntvct, facts->cntfrq),
			 system_timer_at(&facts->timer, facts->ready.cntvct, facts->cntfrq));
	return fits(snprintf(json, BOOT_LINE_SIZE,
			     "{\"v\":1,\"cntfrq\":%" PRIu64 ",\"cntvct\":{\"init\":%" PRIu64 ",\"ready\":%" PRIu64 "}"
			     ",\"uptime_ns\":{\"init\":%" PRIu64 ",\"ready\":%" PRIu64 "},\"st_us\":%s"
			     ",\"root_sectors\":%" PRIu64 ",\"mcp\":{\"abi\":%" PRIu32 ",\"features\":%" PRIu64 "}}",
			     facts->cntfrq, facts->init.cntvct, facts->ready.cntvct, facts->init.uptime_ns,
			     facts->ready.uptime_ns, timer, facts->root_sectors, facts->abi, facts->features));
}

size_t fail_json(char *json, const char *stage, int error)
{
	return fits(snprintf(json, BOOT_LINE_SIZE, "{\"v\":1,\"stage\":\"%s\",\"errno\":%d}", stage, error));
}

uint64_t root_sectors_read(void)
{
	struct stat root;
	char path[64], text[256], *field = text;
	uint64_t sectors;

	if (stat("/", &root) < 0)
		return 0;
	/* A partition's folder lies in its disk's; a root that is a whole disk has its own numbers. */
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(root.st_dev), minor(root.st_dev));
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s", major(root.st_dev), minor(root.st_dev),
		 access(path, F_OK) == 0 ? "/../stat" : "/stat");
	if (read_file(path, text, sizeof(text)) < 0)
		return 0;
	for (int i = 0; i < 2; i++) { /* requests, merged requests, then sectors */
		field += strspn(field, " ");
		field += strcspn(field, " ");
	}
	field += strspn(field, " ");
	return parse_u64(field, &sectors) < 0 ? 0 : sectors;
}
