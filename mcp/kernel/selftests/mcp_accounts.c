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

/* Of the one who asks, for 1,024 replies. */
#define ARENA		(8 << 20)
enum { MOST_HANDLES = 1024, MOST_REQUESTS = 1024 };
/* A ring ends in a worker, after its process. What has not come back by then is lost. */
#define PATIENCE_NS	10000000000ull

struct room {
	int handles, handle_error, requests, request_error;
};

static bool room_is_all(const struct room *room)
{
	return room->handles == MOST_HANDLES && room->handle_error == -EDQUOT &&
	       room->requests == MOST_REQUESTS && room->request_error == -EDQUOT;
}

/* How much fits now; none of it is left after this. */
static struct room room_now(const __u8 *name)
{
	static int opened[MOST_HANDLES + 1];
	struct room room = { 0 };
	struct port caller;

	port_need(&caller, ARENA);
	while (room.handles <= MOST_HANDLES) {
		int handle = open_handle(&caller, name, ALL_RIGHTS, NULL);

		if (handle < 0) {
			room.handle_error = handle;
			break;
		}
		opened[room.handles++] = handle;
	}
	while (room.handles && !room.request_error) {
		struct mcp_frame frame =
			frame_request(opened[room.requests % room.handles], TOOL_READ, "x", 1);

		frame.envelope.reserve = 1;
		if (write(caller.fd, &frame, sizeof(frame)) < 0)
			room.request_error = -errno;
		else
			room.requests++;
	}
	for (int i = 0; i < room.handles; i++)
		close(opened[i]);
	port_close(&caller);
	return room;
}

/* The user's accounts are empty: exactly as much fits as the limits say. */
void check_accounts(const __u8 *name)
{
	struct rlimit files = { 4096, 4096 };
	__u64 end = now_ns() + PATIENCE_NS;
	struct room room;

	setrlimit(RLIMIT_NOFILE, &files);
	for (;;) {
		room = room_now(name);
		if (room_is_all(&room) || now_ns() > end)
			break;
		sleep_ms(100);
	}
	check(room.handles == MOST_HANDLES && room.handle_error == -EDQUOT,
	      "no handle is left: %d more fit (%s)", room.handles, strerror(-room.handle_error));
	check(room.requests == MOST_REQUESTS && room.request_error == -EDQUOT,
	      "no request is left: %d more fit (%s)", room.requests, strerror(-room.request_error));
}
