// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the 30 seconds in which a freed name is its last user's. It waits for
 * their end; serve_test has the rest.
 *
 * Usage: hold_test             on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <stdio.h>

#include "mcp_test.h"

#define USER		3001
#define OTHER_USER	3002
#define HOLD_MS		30000
#define SLACK_MS	500
#define MANY		300

static int try_serve(void *argument)
{
	struct mcp_serve args = serve_args(argument);
	struct port port;

	if (port_open(&port, MCP_ARENA_MIN))
		return 99;
	return -call(port.fd, MCP_IOC_SERVE, &args);
}

static bool serves(uid_t uid, __u8 *name)
{
	return as_user(uid, uid, 0, try_serve, name) == 0;
}

static bool is_held(uid_t uid, __u8 *name)
{
	return as_user(uid, uid, 0, try_serve, name) == EADDRINUSE;
}

/* In a child: serves and gives up more names than are held. */
static int try_many(void *argument)
{
	struct mcp_serve args = serve_args(argument);
	char suffix[16];

	for (int i = 0; i < MANY; i++) {
		struct port port;

		snprintf(suffix, sizeof(suffix), "many.%d", i);
		test_name(args.name, suffix);
		if (port_open(&port, MCP_ARENA_MIN) || call(port.fd, MCP_IOC_SERVE, &args))
			return 1;
		port_close(&port);
	}
	return 0;
}

static int since_ms(__u64 start)
{
	return (now_ns() - start) / 1000000;
}

static void sleep_until_ms(__u64 start, int milliseconds)
{
	int left = milliseconds - since_ms(start);

	if (left > 0)
		sleep_ms(left);
}

/*
 * Whether it is held; where asking took until the end of its time, which a slow
 * machine's checkers make it do, nothing is told by its being free.
 */
static bool is_held_since(__u64 start, uid_t uid, __u8 *name)
{
	return is_held(uid, name) || since_ms(start) >= HOLD_MS;
}

int main(void)
{
	__u8 freed[MCP_NAME_SIZE], again[MCP_NAME_SIZE], late[MCP_NAME_SIZE];
	__u64 before, after, renewed;

	test_begin();
	test_name(freed, "freed");
	test_name(again, "again");
	test_name(late, "late");
	before = now_ns();
	check(serves(USER, freed) && serves(USER, again), "a user serves two names, and ends");
	after = now_ns();
	check(is_held(OTHER_USER, freed) && is_held(OTHER_USER, again) && is_held(0, freed),
	      "at once they are nobody else's");
	check(serves(USER, again), "the same user serves one again");
	check(as_user(OTHER_USER, OTHER_USER, 0, try_many, freed) == 0 &&
	      is_held_since(before, OTHER_USER, freed),
	      "another who gives up %d names does not drive it out (%d ms)", MANY,
	      since_ms(before));
	renewed = now_ns();
	check(serves(USER, late) && is_held_since(renewed, OTHER_USER, late) &&
	      is_held_since(before, OTHER_USER, freed),
	      "nor does one more of the first user's drive out its own");
	sleep_until_ms(before, HOLD_MS / 2);
	renewed = now_ns();
	check(serves(USER, again), "and again after half of the time");
	check(is_held_since(before, OTHER_USER, freed), "the other is still held then");

	sleep_until_ms(before, HOLD_MS - SLACK_MS);
	check(is_held_since(before, OTHER_USER, freed),
	      "shortly before the end it is held (%d ms)", since_ms(before));
	sleep_until_ms(after, HOLD_MS + SLACK_MS);
	check(serves(OTHER_USER, freed), "after it, another user serves it (%d ms)",
	      since_ms(after));
	check(is_held(USER, freed), "and it is held for that one now");
	check(is_held_since(renewed, OTHER_USER, again),
	      "the time runs from the last end of a name");
	return test_end();
}
