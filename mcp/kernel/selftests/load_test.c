// SPDX-License-Identifier: GPL-2.0
/*
 * Test of loading and unloading mcp.ko, again and again: each time it serves one
 * call, with ids that are not those of the time before, and the kernel's memory
 * is as large after as before.
 *
 * Usage: load_test [CYCLES]    on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mcp_module.h"
#include "mcp_side.h"

#define CYCLES	50
/* Caches grow until they are warm: what comes before is not counted. */
#define WARM	20
/*
 * Of all the kernel's slabs, in KiB. 2,000 cycles were measured at 4, and at up
 * to 64 beside other programs; a leak of 256 bytes a cycle would be 500.
 */
#define MOST	200

static long slab_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Slab: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/* What can be given back is, so that what is left tells. */
static long settled_kib(void)
{
	int fd;

	sleep_ms(300);
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "3", 1);
		close(fd);
	}
	sleep_ms(300);
	return slab_kib();
}

/* One call, so that every cache of the module's has had an object. *@first: who serves. */
static bool works(__u64 *first)
{
	struct mcp_frame frame;
	struct message request, note, response;
	bool good = false;
	struct pair pair;

	pair_need(&pair, BY_RW, BY_RW);
	*first = pair.endpoint_id;
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	frame.envelope.credit = 1;
	if (pair_request(&pair, &frame, &request)) {
		frame = frame_notify(request.envelope.cookie, "n", 1);
		good = !side_send(&pair.server, &frame, NULL) &&
		       side_next(&pair.client, &note, SOON);
		frame = frame_response(request.envelope.cookie, "y", 1);
		good = good && !side_send(&pair.server, &frame, NULL) &&
		       side_next(&pair.client, &response, SOON);
	}
	pair_close(&pair);
	return good;
}

/* Who keeps an id over a reload must not meet it as somebody else's: it does not begin again. */
static bool cycle(int *repeated)
{
	static __u64 last;
	__u64 first;

	if (!works(&first))
		return false;
	*repeated += first == last;
	last = first;
	return module_reload();
}

int main(int count, char **words)
{
	int cycles = count > 1 ? atoi(words[1]) : CYCLES, done, repeated = 0;
	long before, after;

	test_begin();
	if (!module_path())
		skip_all("mcp.ko is not where it can be loaded from");
	for (done = 0; done < WARM && cycle(&repeated); done++)
		;
	check(done == WARM, "it is loaded, called and unloaded %d times", done);
	before = settled_kib();
	for (done = 0; done < cycles && cycle(&repeated); done++)
		;
	check(done == cycles, "and %d times more", done);
	check(!repeated, "each time with a first id that is not the one before (%d are)", repeated);
	after = settled_kib();
	check(before > 0 && after - before < MOST, "the kernel's slabs are %ld KiB, then %ld KiB",
	      before, after);
	return test_end();
}
