// SPDX-License-Identifier: GPL-2.0
/*
 * Test of authority: handles that are opened, narrowed, passed on and taken.
 *
 * Usage: handle_test            on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_side.h"

/* So long that even a machine under every checker sends, and delivers, before it. */
#define EXPIRY_NS	1000000000ull

/* What fdinfo says of bytes when nobody has limited them: as many units as are counted. */
#define NO_LIMIT	(~0u * 256ull)

/* Sends a request that is at once cancelled, and answers what sending it gave. */
static int try_call(struct pair *pair, int handle, unsigned int tool)
{
	struct mcp_frame frame = frame_request(handle, tool, "x", 1);
	struct message message;
	__u64 cookie;
	int result;

	result = side_send(&pair->client, &frame, &cookie);
	if (result)
		return result;
	frame = frame_cancel(cookie);
	side_send(&pair->client, &frame, NULL);
	if (!side_next(&pair->client, &message, SOON))
		return -ETIME;
	if (message.slot)
		side_release(&pair->client, &message);
	return 0;
}

static int open_with(struct pair *pair, unsigned int rights)
{
	return open_handle(&pair->client.port, pair->name, rights, NULL);
}

static int narrow(struct pair *pair, int handle, unsigned int rights)
{
	struct mcp_grant args = grant_args(handle, rights);

	return grant(&pair->client.port, &args);
}

/* ---- OPEN ---------------------------------------------------------------- */

static void test_open_arguments(struct pair *pair)
{
	const struct mcp_open good = open_args(pair->name, MCP_RIGHT_READ);
	struct {
		const char *what;
		struct mcp_open args;
		int error;
	} rows[] = {
		{ "a flag", good, EINVAL },
		{ "no rights", good, EINVAL },
		{ "an unknown right", good, EINVAL },
		{ "pins of no size", good, EINVAL },
		{ "a size too small", good, EINVAL },
		{ "a size too large", good, E2BIG },
		{ "an empty name", good, EINVAL },
		{ "a space in the name", good, EINVAL },
		{ "something behind the name's end", good, EINVAL },
		{ "a name that nobody serves", good, ENOENT },
		{ "another generation", good, ESTALE },
		{ "pins at a bad address", good, EFAULT },
		{ "more pins than there are tools", good, EINVAL },
	};
	struct mcp_pin pin = { .tool = TOOL_READ };
	int fd = pair->client.port.fd;

	rows[0].args.flags = 1;
	rows[1].args.rights = 0;
	rows[2].args.rights |= 1u << 31;
	rows[3].args.npins = 1;
	rows[3].args.pins = address(&pin);
	rows[3].args.pin_size = 0;
	rows[4].args.size = 8;
	rows[5].args.size = 8192;
	memset(rows[6].args.name, 0, MCP_NAME_SIZE);
	rows[7].args.name[2] = ' ';
	rows[8].args.name[MCP_NAME_SIZE - 1] = 'x';
	rows[9].args.name[0] = 'T';
	rows[10].args.generation = ~0ull;
	rows[11].args.npins = 1;
	rows[11].args.pins = 8;
	rows[12].args.npins = MCP_TOOL_ID_MAX + 1;
	rows[12].args.pins = address(rows);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_errno(call(fd, MCP_IOC_OPEN, &rows[i].args), rows[i].error, "OPEN with %s",
			    rows[i].what);
	check_errno(call(fd, MCP_IOC_OPEN, NULL), EFAULT, "OPEN of nothing");
}

static void test_open(struct pair *pair)
{
	__u64 first, second;
	int handle = open_handle(&pair->client.port, pair->name, MCP_RIGHT_READ, &first);
	int other = open_handle(&pair->client.port, pair->name, MCP_RIGHT_READ, &second);
	char byte;

	check_errno(handle, 0, "OPEN gives a handle");
	check(fcntl(handle, F_GETFD) == FD_CLOEXEC, "with close-on-exec");
	check(first && second && first != second && first != pair->endpoint_id,
	      "each handle has an id of its own");
	check(read(handle, &byte, 1) < 0 && write(handle, &byte, 1) < 0 &&
	      call(handle, MCP_IOC_INFO, &byte) == -ENOTTY, "it does nothing by itself");
	check(!handle_dead(handle, 0), "it is not dead");
	close(handle);
	close(other);
}

static void test_rights(struct pair *pair)
{
	static const struct {
		unsigned int rights, tool;
		int error;
		const char *what;
	} rows[] = {
		{ MCP_RIGHT_QUERY, 0, 0, "QUERY: no tool" },
		{ MCP_RIGHT_QUERY, TOOL_READ, EACCES, "QUERY: a tool that reads" },
		{ MCP_RIGHT_QUERY, TOOL_WRITE, EACCES, "QUERY: a tool that writes" },
		{ MCP_RIGHT_READ, 0, EACCES, "READ: no tool" },
		{ MCP_RIGHT_READ, TOOL_READ, 0, "READ: a tool that reads" },
		{ MCP_RIGHT_READ, TOOL_WRITE, EACCES, "READ: a tool that writes" },
		{ MCP_RIGHT_WRITE, 0, EACCES, "WRITE: no tool" },
		{ MCP_RIGHT_WRITE, TOOL_WRITE, 0, "WRITE: a tool that writes" },
		{ MCP_RIGHT_WRITE, TOOL_LAST, 0, "WRITE: the tool of the last id" },
		{ MCP_RIGHT_GRANT, 0, EACCES, "GRANT alone: no tool" },
		{ MCP_RIGHT_GRANT, TOOL_READ, EACCES, "GRANT alone: a tool" },
		{ MCP_RIGHT_FDS, 0, EACCES, "FDS alone: no tool" },
		{ ALL_RIGHTS, 7, EACCES, "all: a tool that is not there" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int handle = open_with(pair, rows[i].rights);

		check_errno(try_call(pair, handle, rows[i].tool), rows[i].error, "%s: %s",
			    pair->path, rows[i].what);
		close(handle);
	}
}

/* ---- GRANT --------------------------------------------------------------- */

static void test_grant_arguments(struct pair *pair)
{
	int giver = open_with(pair, ALL_RIGHTS & ~MCP_RIGHT_WRITE);
	int plain = open_with(pair, MCP_RIGHT_READ), fd = pair->client.port.fd;
	const struct mcp_grant good = grant_args(giver, MCP_RIGHT_READ);
	struct mcp_pin pin = { .tool = TOOL_READ };
	struct {
		const char *what;
		struct mcp_grant args;
		int error;
	} rows[] = {
		{ "a flag", good, EINVAL },
		{ "pins of no size", good, EINVAL },
		{ "no rights", good, EINVAL },
		{ "an unknown right", good, EINVAL },
		{ "a right that the giver lacks", good, EACCES },
		{ "a handle without the right to", good, EACCES },
		{ "no handle", good, EBADF },
		{ "a descriptor that is none", good, EBADF },
		{ "a space in the label", good, EINVAL },
		{ "a quote in the label", good, EINVAL },
		{ "something behind the label's end", good, EINVAL },
		{ "an expiry that is over", good, EINVAL },
		{ "an expiry that is no time", good, EINVAL },
		{ "pins at a bad address", good, EFAULT },
		{ "a size too small", good, EINVAL },
		{ "a size too large", good, E2BIG },
	};

	rows[0].args.flags = 1u << 31;
	rows[1].args.npins = 1;
	rows[1].args.pins = address(&pin);
	rows[1].args.pin_size = 0;
	rows[2].args.rights = 0;
	rows[3].args.rights = 1u << 5;
	rows[4].args.rights = MCP_RIGHT_WRITE;
	rows[5].args.handle = plain;
	rows[6].args.handle = -1;
	rows[7].args.handle = fd;
	memcpy(rows[8].args.label, "a b", 3);
	memcpy(rows[9].args.label, "a\"b", 3);
	rows[10].args.label[MCP_LABEL_SIZE - 1] = 'x';
	rows[11].args.expiry = 1;
	rows[12].args.expiry = 1ull << 63;
	rows[13].args.npins = 1;
	rows[13].args.pins = 8;
	rows[14].args.size = 8;
	rows[15].args.size = 8192;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_errno(call(fd, MCP_IOC_GRANT, &rows[i].args), rows[i].error, "GRANT with %s",
			    rows[i].what);
	close(giver);
	close(plain);
}

static void test_narrower(struct pair *pair)
{
	struct mcp_pin pins[] = { { .tool = TOOL_WRITE }, { .tool = TOOL_READ } };
	int wide = open_with(pair, ALL_RIGHTS), one, none, both;
	struct mcp_grant args = grant_args(wide,
					   MCP_RIGHT_READ | MCP_RIGHT_WRITE | MCP_RIGHT_GRANT);

	args.pins = address(pins);
	args.npins = 1;
	one = grant(&pair->client.port, &args);
	check_errno(one, 0, "a handle for one tool");
	check_errno(try_call(pair, one, TOOL_WRITE), 0, "it calls that tool");
	check_errno(try_call(pair, one, TOOL_READ), EACCES, "and no other");
	check_errno(try_call(pair, one, 0), EACCES, "nor without a tool");
	check_errno(try_call(pair, wide, TOOL_READ), 0, "what it came from still does");

	/* Two tools from a handle for one. */
	args = grant_args(one, MCP_RIGHT_READ | MCP_RIGHT_WRITE);
	args.pins = address(pins);
	args.npins = 2;
	both = grant(&pair->client.port, &args);
	check_errno(both, EACCES, "a tool that the giver does not lead to");
	args.npins = 0;
	args.pins = 0;
	args.rights = MCP_RIGHT_READ;
	none = grant(&pair->client.port, &args);
	check_errno(none, 0, "fewer rights of a handle for one tool");
	check_errno(try_call(pair, none, TOOL_WRITE), EACCES, "the right is missing");
	check_errno(try_call(pair, none, TOOL_READ), EACCES, "the tool is missing");
	check_errno(narrow(pair, none, MCP_RIGHT_READ), EACCES, "without GRANT nothing is derived");
	close(none);
	close(one);
	close(wide);
}

static void test_depth(struct pair *pair)
{
	int handles[MCP_MAX_DEPTH + 2];

	handles[0] = open_with(pair, ALL_RIGHTS);
	for (int i = 1; i <= MCP_MAX_DEPTH; i++) {
		handles[i] = narrow(pair, handles[i - 1], ALL_RIGHTS);
		check_errno(handles[i], 0, "a grant of depth %d", i);
	}
	check_errno(narrow(pair, handles[MCP_MAX_DEPTH], MCP_RIGHT_READ), ELOOP, "one deeper");
	/* Closing what is above takes nothing from below. */
	for (int i = 0; i < MCP_MAX_DEPTH; i++)
		close(handles[i]);
	check_errno(try_call(pair, handles[MCP_MAX_DEPTH], TOOL_WRITE), 0,
		    "the last one works when all above are closed");
	close(handles[MCP_MAX_DEPTH]);
}

/* ---- Labels, fdinfo ------------------------------------------------------ */

/* What fdinfo says of a handle: its lines that are ours. */
static void read_fdinfo(int fd, char *text, size_t bytes)
{
	char path[64], line[256];
	size_t used = 0;
	FILE *file;

	text[0] = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "mcp-", 4) && used + strlen(line) < bytes)
			used += snprintf(text + used, bytes - used, "%s", line);
	if (file)
		fclose(file);
}

static bool fdinfo_has(int fd, const char *line)
{
	char text[1024];

	read_fdinfo(fd, text, sizeof(text));
	return strstr(text, line);
}

/* All of a handle, so that a line that comes or goes is noticed. */
static void fdinfo_is(int fd, const char *wanted, const char *what)
{
	char text[1024];

	read_fdinfo(fd, text, sizeof(text));
	if (!check(!strcmp(text, wanted), "fdinfo tells all of %s", what))
		printf("# got:\n%s# wanted:\n%s", text, wanted);
}

static void test_fdinfo(struct pair *pair)
{
	struct mcp_pin pins[] = { { .tool = TOOL_READ }, { .tool = TOOL_WRITE },
				  { .tool = TOOL_LAST } };
	__u64 expiry = now_ns() + 3600000000000ull, cookie = 0;
	struct mcp_grant args = grant_args(pair->handle, MCP_RIGHT_READ | MCP_RIGHT_GRANT);
	const char *name = (const char *)pair->name;
	struct mcp_frame frame;
	char wanted[512];
	int fd, child;

	snprintf(wanted, sizeof(wanted), "mcp-endpoint:\t%s\nmcp-sender:\t%llu\nmcp-label:\t\n"
		 "mcp-rights:\t%s\nmcp-depth:\t0\nmcp-expiry:\t0\n"
		 "mcp-error:\t0\nmcp-inflight:\t0 of %u\nmcp-bytes:\t0 of %llu\nmcp-tools:\tall\n",
		 name, (unsigned long long)pair->handle_id, "query read write fds grant ",
		 MCP_MAX_INFLIGHT, NO_LIMIT);
	fdinfo_is(pair->handle, wanted, "a handle that was opened");

	args.pins = address(pins);
	args.npins = ARRAY_SIZE(pins);
	args.expiry = expiry;
	args.max_inflight = 3;
	args.max_bytes = 4096;
	memcpy(args.label, "agent-7", 7);
	fd = grant(&pair->client.port, &args);
	check_errno(fd, 0, "a handle with a limit of each kind");
	frame = frame_request(fd, TOOL_READ, "x", 1);
	check_errno(side_send(&pair->client, &frame, &cookie), 0, "with a request in flight");
	/* Space comes in units of 256 bytes, of which the envelope takes 128. */
	snprintf(wanted, sizeof(wanted), "mcp-endpoint:\t%s\nmcp-sender:\t%llu\n"
		 "mcp-label:\tagent-7\nmcp-rights:\t%s\nmcp-depth:\t1\n"
		 "mcp-expiry:\t%llu\nmcp-error:\t0\nmcp-inflight:\t1 of 3\n"
		 "mcp-bytes:\t256 of 4096\nmcp-tools:\t%d-%d,%d\n", name,
		 (unsigned long long)args.sender, "read grant ", (unsigned long long)expiry,
		 TOOL_READ, TOOL_WRITE, TOOL_LAST);
	fdinfo_is(fd, wanted, "one that was derived");
	child = narrow(pair, fd, MCP_RIGHT_READ);
	check(fdinfo_has(child, "mcp-depth:\t2\n") && fdinfo_has(child, "mcp-rights:\tread "),
	      "one derived from that is one deeper");

	check_errno(revoke(&pair->client.port, pair->handle, args.sender), 0, "it is revoked");
	snprintf(wanted, sizeof(wanted), "mcp-error:\t%d\n", EKEYREVOKED);
	check(fdinfo_has(fd, wanted) && fdinfo_has(child, wanted),
	      "then fdinfo tells why no call is possible, of both");
	check(fdinfo_has(fd, "mcp-inflight:\t0 of 3\n"), "and that nothing is in flight");
	check(fdinfo_has(pair->handle, "mcp-error:\t0\n"), "but not of what they came from");
	close(child);
	close(fd);

	args = grant_args(pair->handle, MCP_RIGHT_READ);
	args.expiry = now_ns() + EXPIRY_NS;
	fd = grant(&pair->client.port, &args);
	snprintf(wanted, sizeof(wanted), "mcp-error:\t%d\n", EKEYEXPIRED);
	check(handle_dead(fd, SOON) && fdinfo_has(fd, wanted), "or that the time is over");
	close(fd);
}

static void test_label(struct pair *pair)
{
	int wide = open_with(pair, ALL_RIGHTS), fd;
	struct mcp_grant args = grant_args(wide, MCP_RIGHT_READ);
	struct mcp_peer peer = { .size = sizeof(peer) };
	struct mcp_frame frame;
	struct message request, message;
	__u64 cookie = 0;

	memcpy(args.label, "agent-7/planner.01234567890_ABCD", MCP_LABEL_SIZE);
	fd = grant(&pair->client.port, &args);
	check_errno(fd, 0, "%s: a label that fills its field", pair->path);
	check(fdinfo_has(fd, "mcp-label:\tagent-7/planner.01234567890_ABCD\n"),
	      "%s: fdinfo tells it", pair->path);
	frame = frame_request(fd, TOOL_READ, "x", 1);
	side_send(&pair->client, &frame, &cookie);
	if (check(side_next(&pair->server, &request, SOON), "%s: a request on it",
		  pair->path)) {
		peer.cookie = cookie;
		check_errno(call(pair->server.port.fd, MCP_IOC_PEER, &peer), 0, "%s: PEER of it",
			    pair->path);
		check(peer.sender == args.sender && peer.uid == 0 && peer.gid == 0 &&
		      peer.pid == (unsigned int)getpid() && peer.rights == MCP_RIGHT_READ &&
		      peer.start_time && !memcmp(peer.label, args.label, MCP_LABEL_SIZE),
		      "%s: tells who sent it", pair->path);
		peer.flags = 1;
		check_errno(call(pair->server.port.fd, MCP_IOC_PEER, &peer), EINVAL,
			    "%s: PEER with a flag", pair->path);
		peer.flags = 0;
		check_errno(call(pair->client.port.fd, MCP_IOC_PEER, &peer), ENOENT,
			    "%s: PEER by who did not receive it", pair->path);
		frame = frame_response(cookie, NULL, 0);
		side_send(&pair->server, &frame, NULL);
		side_next(&pair->client, &message, SOON);
		side_release(&pair->client, &message);
		check_errno(call(pair->server.port.fd, MCP_IOC_PEER, &peer), ENOENT,
			    "%s: PEER after the answer", pair->path);
	}
	close(fd);
	close(wide);
}

/* ---- Quota --------------------------------------------------------------- */

/*
 * A caller for each request: by ioctl a thread waits in one call. Who is asked
 * is the handle, whichever file a request comes by.
 */
#define CALLERS	3

/* Takes away what a caller has sent. */
static void take_back(struct side *caller, __u64 cookie)
{
	struct mcp_frame frame = frame_cancel(cookie);
	struct message message = { 0 };

	side_send(caller, &frame, NULL);
	side_next(caller, &message, SOON);
	if (message.slot)
		side_release(caller, &message);
}

static void quota_of_requests(struct pair *pair, struct side callers[CALLERS])
{
	struct mcp_grant args = grant_args(pair->handle, MCP_RIGHT_READ | MCP_RIGHT_GRANT);
	__u64 cookies[CALLERS];
	struct mcp_frame frame;
	int two, one;

	args.max_inflight = 2;
	two = grant(&pair->client.port, &args);
	check_errno(two, 0, "%s: a quota of two requests", pair->path);
	args = grant_args(two, MCP_RIGHT_READ);
	args.max_inflight = 3;
	check_errno(grant(&pair->client.port, &args), EACCES, "%s: a child with more requests",
		    pair->path);
	args.max_inflight = 0;
	one = grant(&pair->client.port, &args);
	check_errno(one, 0, "%s: a child with as many", pair->path);
	frame = frame_request(two, TOOL_READ, "x", 1);
	check_errno(side_send(&callers[0], &frame, &cookies[0]), 0, "%s: the first", pair->path);
	frame.handle = one;
	check_errno(side_send(&callers[1], &frame, &cookies[1]), 0,
		    "%s: the second, on a child", pair->path);
	check_errno(side_send(&callers[2], &frame, NULL), EDQUOT, "%s: a third on the child",
		    pair->path);
	frame.handle = two;
	check_errno(side_send(&callers[2], &frame, NULL), EDQUOT, "%s: a third on the handle",
		    pair->path);
	frame.handle = pair->handle;
	check_errno(side_send(&callers[2], &frame, &cookies[2]), 0,
		    "%s: its giver is not bound by it", pair->path);
	take_back(&callers[2], cookies[2]);
	take_back(&callers[0], cookies[0]);
	frame.handle = one;
	check_errno(side_send(&callers[0], &frame, &cookies[0]), 0, "%s: one ended: one more",
		    pair->path);
	check_errno(side_send(&callers[2], &frame, NULL), EDQUOT, "%s: and not two", pair->path);
	take_back(&callers[0], cookies[0]);
	take_back(&callers[1], cookies[1]);
	check_errno(try_call(pair, one, TOOL_READ), 0, "%s: all are given back", pair->path);
	close(one);
	close(two);
}

static void quota_of_bytes(struct pair *pair, struct side callers[CALLERS])
{
	struct mcp_grant args = grant_args(pair->handle, MCP_RIGHT_READ | MCP_RIGHT_GRANT);
	static const unsigned char body[8192];
	struct mcp_frame frame;
	__u64 cookie;
	int two;

	args.max_bytes = 4096;
	two = grant(&pair->client.port, &args);
	args = grant_args(two, MCP_RIGHT_READ);
	args.max_bytes = 4097;
	check_errno(grant(&pair->client.port, &args), EACCES, "%s: a child with more bytes",
		    pair->path);
	frame = frame_request(two, TOOL_READ, body, 3000);
	check_errno(side_send(&callers[0], &frame, &cookie), 0, "%s: 3000 of 4096 bytes",
		    pair->path);
	check_errno(side_send(&callers[1], &frame, NULL), EDQUOT, "%s: 3000 more", pair->path);
	take_back(&callers[0], cookie);
	check_errno(side_send(&callers[1], &frame, &cookie), 0, "%s: they are given back",
		    pair->path);
	take_back(&callers[1], cookie);
	frame = frame_request(two, TOOL_READ, body, sizeof(body));
	check_errno(side_send(&callers[0], &frame, NULL), EDQUOT,
		    "%s: one request of more than there is", pair->path);
	close(two);
}

static void test_quota(struct pair *pair)
{
	struct side callers[CALLERS];

	for (int i = 0; i < CALLERS; i++)
		side_need(&callers[i], pair->client.path, PAIR_ARENA);
	quota_of_requests(pair, callers);
	quota_of_bytes(pair, callers);
	for (int i = 0; i < CALLERS; i++)
		side_close(&callers[i]);
}

/* ---- Expiry -------------------------------------------------------------- */

/* Who sleeps in poll() is woken at the expiry, and not by its own timeout. */
static void test_expiry_wakes(struct pair *pair)
{
	int wide = open_with(pair, ALL_RIGHTS), brief, child;
	struct mcp_grant args = grant_args(wide, MCP_RIGHT_READ | MCP_RIGHT_GRANT);
	__u64 end = now_ns() + 300000000, woken;

	args.expiry = end;
	brief = grant(&pair->client.port, &args);
	args = grant_args(brief, MCP_RIGHT_READ);
	child = grant(&pair->client.port, &args);
	check(!handle_dead(child, 0), "a handle that will expire lives");
	bool dead = handle_dead(child, 100 * SOON);

	woken = now_ns();
	check(dead && woken >= end && woken < end + SOON * 1000000ull,
	      "who polls it is woken when it expires (%lld ms after)",
	      (long long)(woken - end) / 1000000);
	check(handle_dead(brief, 0), "so is what it came from");
	close(child);
	close(brief);
	close(wide);
}

static void test_expiry(struct pair *pair)
{
	int wide = open_with(pair, ALL_RIGHTS), brief, child;
	struct mcp_grant args = grant_args(wide, MCP_RIGHT_READ | MCP_RIGHT_GRANT);
	struct message request, message = { 0 };
	struct mcp_frame frame;
	__u64 cookie = 0, end = now_ns() + EXPIRY_NS;

	args.expiry = end;
	brief = grant(&pair->client.port, &args);
	args = grant_args(brief, MCP_RIGHT_READ);
	args.expiry = end + 60000000000ull;
	check_errno(grant(&pair->client.port, &args), EACCES,
		    "%s: a later expiry than the giver's", pair->path);
	args.expiry = 0;
	child = grant(&pair->client.port, &args);
	check_errno(child, 0, "%s: a child with its giver's expiry", pair->path);
	frame = frame_request(child, TOOL_READ, "x", 1);
	check_errno(side_send(&pair->client, &frame, &cookie), 0, "%s: a call before the expiry",
		    pair->path);
	check(side_next(&pair->server, &request, SOON), "%s: is received", pair->path);
	check(side_next(&pair->client, &message, SOON) &&
	      is_kernel(&message, MCP_RESPONSE, cookie, EKEYEXPIRED) && now_ns() >= end,
	      "%s: the expiry ends it", pair->path);
	if (message.slot)
		side_release(&pair->client, &message);
	check(side_next(&pair->server, &message, SOON) &&
	      is_kernel(&message, MCP_CANCEL, cookie, EKEYEXPIRED), "%s: the server gets a CANCEL",
	      pair->path);
	frame = frame_response(cookie, NULL, 0);
	check_errno(side_send(&pair->server, &frame, NULL), ECANCELED, "%s: a late answer",
		    pair->path);
	frame = frame_request(child, TOOL_READ, "x", 1);
	check_errno(side_send(&pair->client, &frame, NULL), EKEYEXPIRED,
		    "%s: a call after the expiry", pair->path);
	check_errno(narrow(pair, brief, MCP_RIGHT_READ), EKEYEXPIRED,
		    "%s: a grant after the expiry", pair->path);
	check(handle_dead(child, SOON) && handle_dead(brief, SOON),
	      "%s: poll() says that both are dead", pair->path);
	check(!handle_dead(wide, 0), "%s: what they came from lives", pair->path);
	close(child);
	close(brief);
	close(wide);
}

/* ---- UPDATE -------------------------------------------------------------- */

/* The endpoint's tools, of which one has another definition than it had. */
static int change_tool(struct pair *pair)
{
	struct mcp_tool tools[] = {
		tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 0x11, "look"),
		tool_row(TOOL_WRITE, 0, 0x99, "change"),
		tool_row(TOOL_LAST, 0, 0x33, "last"),
	};
	struct mcp_update args = { .size = sizeof(args), .ntools = ARRAY_SIZE(tools),
				   .tool_size = sizeof(tools[0]), .tools = address(tools) };

	return call(pair->server.port.fd, MCP_IOC_UPDATE, &args);
}

/* A handle for TOOL_WRITE by name. */
static int grant_write(struct pair *pair, int giver)
{
	struct mcp_pin pin = { .tool = TOOL_WRITE };
	struct mcp_grant args = grant_args(giver, MCP_RIGHT_WRITE);

	args.pins = address(&pin);
	args.npins = 1;
	return grant(&pair->client.port, &args);
}

/* "Stale until granted again": by who has agreed to what the tool is now. */
static void test_stale(struct pair *pair)
{
	int old = open_with(pair, ALL_RIGHTS), pinned = grant_write(pair, old), fresh, child;

	check_errno(try_call(pair, pinned, TOOL_WRITE), 0, "%s: a tool as it was agreed to",
		    pair->path);
	check_errno(change_tool(pair), 0, "%s: the tool changes", pair->path);
	check_errno(try_call(pair, old, TOOL_WRITE), ESTALE, "%s: it is stale", pair->path);
	check_errno(try_call(pair, pinned, TOOL_WRITE), ESTALE, "%s: for who named it, too",
		    pair->path);
	check_errno(try_call(pair, old, TOOL_READ), 0, "%s: another tool is not", pair->path);

	check_errno(grant_write(pair, old), ESTALE, "%s: who has it stale does not grant it",
		    pair->path);
	child = narrow(pair, old, MCP_RIGHT_READ | MCP_RIGHT_WRITE);
	check_errno(try_call(pair, child, TOOL_WRITE), ESTALE, "%s: nor with all that it has",
		    pair->path);
	check_errno(try_call(pair, child, TOOL_READ), 0, "%s: but what is as it was", pair->path);
	close(child);

	fresh = open_with(pair, ALL_RIGHTS);
	check_errno(try_call(pair, fresh, TOOL_WRITE), 0, "%s: opened again it is good",
		    pair->path);
	child = grant_write(pair, fresh);
	check_errno(try_call(pair, child, TOOL_WRITE), 0, "%s: and so it is granted again",
		    pair->path);
	check_errno(try_call(pair, pinned, TOOL_WRITE), ESTALE, "%s: the old one stays stale",
		    pair->path);
	close(child);
	close(fresh);
	close(pinned);
	close(old);
}

/* ---- REVOKE -------------------------------------------------------------- */

static void test_revoke_arguments(struct pair *pair)
{
	int fd = pair->client.port.fd, wide, plain;
	struct mcp_revoke good, args;
	__u64 id, plain_id;

	wide = open_handle(&pair->client.port, pair->name, ALL_RIGHTS, &id);
	plain = open_handle(&pair->client.port, pair->name, MCP_RIGHT_READ, &plain_id);
	good = (struct mcp_revoke){ .size = sizeof(good), .handle = wide, .sender = id };
	args = good;
	args.flags = 1;
	check_errno(call(fd, MCP_IOC_REVOKE, &args), EINVAL, "REVOKE with a flag");
	args = good;
	args.reserved = 1;
	check_errno(call(fd, MCP_IOC_REVOKE, &args), EINVAL, "REVOKE with something in reserved");
	args = good;
	args.handle = fd;
	check_errno(call(fd, MCP_IOC_REVOKE, &args), EBADF, "REVOKE with no handle");
	check_errno(revoke(&pair->client.port, -1, id), ENOTCONN, "REVOKE by who serves nothing");
	check_errno(revoke(&pair->client.port, plain, plain_id), EACCES,
		    "REVOKE with a handle that lacks GRANT");
	check_errno(revoke(&pair->client.port, wide, plain_id), ENOENT,
		    "REVOKE of a handle that was not derived from it");
	check_errno(revoke(&pair->client.port, wide, 0), EINVAL, "REVOKE of nobody");
	check_errno(try_call(pair, wide, TOOL_READ), 0, "none of that took a thing");
	close(wide);
	close(plain);
}

static void test_revoke_tree(struct pair *pair)
{
	struct mcp_grant args;
	int root, left, right, leaf;
	__u64 left_id, root_id;

	root = open_handle(&pair->client.port, pair->name, ALL_RIGHTS, &root_id);
	args = grant_args(root, ALL_RIGHTS);
	left = grant(&pair->client.port, &args);
	left_id = args.sender;
	right = narrow(pair, root, ALL_RIGHTS);
	leaf = narrow(pair, left, ALL_RIGHTS);

	check_errno(revoke(&pair->client.port, left, root_id), ENOENT,
		    "a child's holder cannot take its giver");
	check_errno(revoke(&pair->client.port, right, left_id), ENOENT, "nor its sibling");
	check_errno(revoke(&pair->client.port, root, left_id), 0, "the giver takes a child");
	check_errno(try_call(pair, left, TOOL_READ), EKEYREVOKED, "it is dead");
	check_errno(try_call(pair, leaf, TOOL_READ), EKEYREVOKED, "with what came from it");
	check_errno(try_call(pair, right, TOOL_READ), 0, "its sibling lives");
	check_errno(try_call(pair, root, TOOL_READ), 0, "the giver lives");
	check(handle_dead(left, SOON) && handle_dead(leaf, SOON) && !handle_dead(right, 0),
	      "poll() says the same");
	check_errno(narrow(pair, leaf, MCP_RIGHT_READ), EKEYREVOKED,
		    "nothing is derived from a dead one");
	check_errno(revoke(&pair->client.port, leaf, root_id), ENOENT, "or takes what is above");
	check_errno(revoke(&pair->server.port, -1, root_id), 0, "the endpoint takes the root");
	check_errno(try_call(pair, right, TOOL_READ), EKEYREVOKED, "and all below");
	close(root);
	close(left);
	close(right);
	close(leaf);
}

/* A grand-child, when what is between them was closed. */
static void test_revoke_closed(struct pair *pair)
{
	struct mcp_grant args;
	int root, middle, leaf;
	__u64 middle_id;

	root = open_with(pair, ALL_RIGHTS);
	args = grant_args(root, ALL_RIGHTS);
	middle = grant(&pair->client.port, &args);
	middle_id = args.sender;
	leaf = narrow(pair, middle, MCP_RIGHT_READ);
	close(middle);
	check_errno(try_call(pair, leaf, TOOL_READ), 0, "closing a handle takes nothing");
	check_errno(revoke(&pair->client.port, root, middle_id), 0, "but it can be revoked");
	check_errno(try_call(pair, leaf, TOOL_READ), EKEYREVOKED, "with what came from it");
	close(leaf);
	close(root);
}

static void test_revoke_call(enum path path)
{
	struct message request, message = { 0 };
	struct mcp_grant args;
	struct mcp_frame frame;
	struct pair pair;
	__u64 cookie = 0;
	int leaf;

	pair_need(&pair, path, path);
	args = grant_args(pair.handle, MCP_RIGHT_READ);
	leaf = grant(&pair.client.port, &args);
	frame = frame_request(leaf, TOOL_READ, "x", 1);
	check_errno(side_send(&pair.client, &frame, &cookie), 0, "%s: a call", pair.path);
	check(side_next(&pair.server, &request, SOON), "%s: is received", pair.path);
	check_errno(revoke(&pair.client.port, pair.handle, args.sender), 0,
		    "%s: its handle is revoked", pair.path);
	check(side_next(&pair.client, &message, SOON) &&
	      is_kernel(&message, MCP_RESPONSE, cookie, EKEYREVOKED),
	      "%s: the call ends with EKEYREVOKED", pair.path);
	check(side_next(&pair.server, &message, SOON) &&
	      is_kernel(&message, MCP_CANCEL, cookie, EKEYREVOKED),
	      "%s: the server gets a CANCEL", pair.path);
	frame = frame_response(cookie, NULL, 0);
	check_errno(side_send(&pair.server, &frame, NULL), ECANCELED, "%s: a late answer",
		    pair.path);
	check_errno(try_call(&pair, pair.handle, TOOL_READ), 0, "%s: the giver still calls",
		    pair.path);
	close(leaf);
	pair_close(&pair);
}

/* ---- Passing ------------------------------------------------------------- */

static int send_fd(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control) };
	struct cmsghdr *part = CMSG_FIRSTHDR(&header);

	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(part), &fd, sizeof(fd));
	return sendmsg(socket, &header, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(socket, &header, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&header))
		return -errno;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
	return fd;
}

/* Another user calls on a handle that was passed to it, and answers 0 if it may. */
static int call_on_passed(void *argument)
{
	struct mcp_frame frame;
	struct port port;
	int handle;

	handle = receive_fd(*(int *)argument);
	if (handle < 0 || port_open(&port, MCP_ARENA_MIN))
		return 50;
	frame = frame_request(handle, TOOL_READ, "x", 1);
	if (write(port.fd, &frame, sizeof(frame)) != sizeof(frame))
		return 51;
	if (read(port.fd, &frame, sizeof(frame)) != sizeof(frame) ||
	    frame.envelope.kind != MCP_RESPONSE || frame.envelope.flags)
		return 52;
	frame = frame_request(handle, TOOL_WRITE, "x", 1);
	if (write(port.fd, &frame, sizeof(frame)) >= 0 || errno != EACCES)
		return 53;
	return 0;
}

static void test_passing(struct pair *pair)
{
	int sockets[2], handle = open_with(pair, MCP_RIGHT_READ), status;
	struct message request;
	struct mcp_frame frame;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets))
		bail_out("a pair of sockets");
	check_errno(send_fd(sockets[0], handle), 0, "a handle goes through a socket");
	close(handle); /* the one on its way keeps it */
	child = fork();
	if (!child)
		_exit(as_user(1000, 1000, 0, call_on_passed, &sockets[1]));
	if (check(side_next(&pair->server, &request, SOON), "another user calls on it")) {
		struct mcp_peer peer = { .size = sizeof(peer), .cookie = request.envelope.cookie };

		check(!call(pair->server.port.fd, MCP_IOC_PEER, &peer) && peer.uid == 1000 &&
		      peer.gid == 1000, "PEER tells that user");
		frame = frame_response(request.envelope.cookie, NULL, 0);
		check_errno(side_send(&pair->server, &frame, NULL), 0, "it is answered");
	}
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	      "and may no more than the handle says (%d)", WEXITSTATUS(status));
	close(sockets[0]);
	close(sockets[1]);
}

/* After exec() it is closed; after fork() both have it. */
static int use_inherited(void *argument)
{
	struct pair *pair = argument;
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct port port;

	if (port_open(&port, MCP_ARENA_MIN))
		return 50;
	return write(port.fd, &frame, sizeof(frame)) == sizeof(frame) ? 0 : 51;
}

static void test_fork(struct pair *pair)
{
	struct message message;

	check(in_child(use_inherited, pair) == 0, "a child of fork() calls on the handle");
	/* It was taken away with the child's file. */
	check(!side_next(&pair->server, &message, NEVER), "its call ends with it");
	check_errno(try_call(pair, pair->handle, TOOL_READ), 0, "the parent's handle lives");
}

static void run(void (*const scenes[])(struct pair *), size_t count, enum path path)
{
	for (size_t i = 0; i < count; i++) {
		struct pair pair;

		pair_need(&pair, path, path);
		scenes[i](&pair);
		pair_close(&pair);
	}
}

int main(void)
{
	static void (*const once[])(struct pair *) = {
		test_open_arguments, test_open, test_grant_arguments, test_narrower, test_depth,
		test_fdinfo, test_expiry_wakes, test_revoke_arguments, test_revoke_tree,
		test_revoke_closed, test_passing, test_fork,
	};
	/* What may be sent is the same whichever way it is sent. */
	static void (*const each_path[])(struct pair *) = {
		test_rights, test_label, test_quota, test_expiry, test_stale,
	};

	test_begin();
	run(once, ARRAY_SIZE(once), BY_RW);
	for (enum path path = 0; path < PATHS; path++) {
		run(each_path, ARRAY_SIZE(each_path), path);
		test_revoke_call(path);
	}
	return test_end();
}
