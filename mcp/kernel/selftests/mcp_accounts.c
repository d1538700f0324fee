// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: a user's accounts, measured by how much still fits.
 * Context: user space, root.
 * Locking: none.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mcp_accounts.h"

/* The user's accounts are empty: exactly as much fits as the limits say. */
void check_accounts(const struct port *keeper, const __u8 *name)
{
	enum { MOST_HANDLES = 1024, MOST_REQUESTS = 1024 };
	static int opened[MOST_HANDLES + 1];
	struct rlimit files = { 4096, 4096 };
	int count = 0, sent = 0, error;

	setrlimit(RLIMIT_NOFILE, &files);
	/* The keeper's own handle is closed by now. */
	while (count <= MOST_HANDLES) {
		opened[count] = open_handle(keeper, name, ALL_RIGHTS, NULL);
		if (opened[count] < 0)
			break;
		count++;
	}
	check(count == MOST_HANDLES && opened[count] == -EDQUOT,
	      "no handle is left: %d more fit (%s)", count,
	      strerror(opened[count] < 0 ? -opened[count] : 0));
	for (;;) {
		struct mcp_frame frame = frame_request(opened[sent % count], TOOL_READ, "x", 1);

		frame.envelope.reserve = 1;
		error = write(keeper->fd, &frame, sizeof(frame)) < 0 ? -errno : 0;
		if (error)
			break;
		sent++;
	}
	check(sent == MOST_REQUESTS && error == -EDQUOT,
	      "no request is left: %d more fit (%s)", sent, strerror(-error));
	while (count)
		close(opened[--count]);
}
