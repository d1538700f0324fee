// SPDX-License-Identifier: GPL-2.0
/*
 * Test of descriptors that travel with a message: which may, how they arrive,
 * and that each is closed when its message is dropped.
 *
 * Usage: fds_test            on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mcp_side.h"

static struct mcp_frame with_fds(struct mcp_frame frame, const __s32 *fds, unsigned int count)
{
	frame.envelope.nfds = count;
	frame.fds = address(fds);
	return frame;
}

static bool same_file(int one, int other)
{
	struct stat a, b;

	return !fstat(one, &a) && !fstat(other,
					 &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino &&
	       a.st_mode == b.st_mode;
}

static void close_all(const __s32 *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Whether all write ends of a pipe are closed. */
static bool hangs_up(int reader)
{
	struct pollfd wait = { .fd = reader, .events = POLLIN };

	return poll(&wait, 1, SOON) == 1 && (wait.revents & POLLHUP);
}

static bool stays_open(int reader)
{
	struct pollfd wait = { .fd = reader, .events = POLLIN };

	return poll(&wait, 1, NEVER) == 0;
}

/* ---- Arriving ------------------------------------------------------------ */

static void test_arrive(enum path path)
{
	struct message request, response = { 0 };
	struct mcp_frame frame;
	struct pair pair;
	int ends[2], memory;
	__u64 cookie = 0;
	char byte = 0;

	pair_need(&pair, path, path);
	memory = memfd_create("fds_test", MFD_CLOEXEC);
	if (memory < 0 || pipe(ends))
		bail_out("a memfd and a pipe");
	__s32 fds[] = { memory, ends[0], ends[1], pair.handle };

	/* A body of 5 bytes: the numbers lie behind it, at a multiple of 4. */
	frame = with_fds(frame_request(pair.handle, TOOL_READ, "hello", 5), fds, ARRAY_SIZE(fds));
	check_errno(side_send(&pair.client, &frame, &cookie), 0,
		    "%s: a memfd, a pipe and a handle are sent", pair.path);
	if (!check(side_next(&pair.server, &request, SOON) && has_body(&request, "hello", 5) &&
		   request.envelope.nfds == ARRAY_SIZE(fds) && !request.envelope.flags,
		   "%s: they arrive", pair.path))
		goto out;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		check(request.fds[i] > 2 && request.fds[i] != fds[i] &&
		      same_file(request.fds[i], fds[i]) &&
		      fcntl(request.fds[i], F_GETFD) == FD_CLOEXEC,
		      "%s: descriptor %zu is the same file, with close-on-exec", pair.path, i);
	check(write(request.fds[2], "!", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == '!',
	      "%s: what is written there comes out here", pair.path);
	/* The handle that came is authority: no right to FDS is asked of what it came with. */
	check(!handle_dead(request.fds[3], 0), "%s: the handle lives", pair.path);

	frame = with_fds(frame_response(cookie, "back", 4), fds, 2);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "%s: two go back", pair.path);
	/* The request's slot is free now, but its numbers were read before. */
	check(side_next(&pair.client, &response, SOON) && has_body(&response, "back", 4) &&
	      response.envelope.nfds == 2 && same_file(response.fds[0], memory) &&
	      same_file(response.fds[1], ends[0]), "%s: and arrive", pair.path);
	close_all(response.fds, 2);
	close_all(request.fds, ARRAY_SIZE(fds));
out:
	close(memory);
	close(ends[0]);
	close(ends[1]);
	pair_close(&pair);
}

static void test_most(void)
{
	__s32 fds[MCP_MAX_FDS];
	struct message request;
	struct mcp_frame frame;
	struct pair pair;
	int memory;

	pair_need(&pair, BY_RW, BY_RW);
	memory = memfd_create("fds_test", MFD_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = memory;
	frame = with_fds(frame_request(pair.handle, TOOL_READ, NULL, 0), fds, MCP_MAX_FDS);
	if (check(pair_request(&pair, &frame, &request) && request.envelope.nfds == MCP_MAX_FDS,
		  "%d descriptors, the same one each time", MCP_MAX_FDS)) {
		bool good = true;

		for (unsigned int i = 0; i < MCP_MAX_FDS; i++)
			good &= same_file(request.fds[i], memory) &&
				(!i || request.fds[i] != request.fds[i - 1]);
		check(good, "each arrives with a number of its own");
		close_all(request.fds, MCP_MAX_FDS);
	}
	close(memory);
	pair_close(&pair);
}

/* ---- Refused ------------------------------------------------------------- */

static void test_kinds(enum path path)
{
	struct mcp_frame frame;
	struct message message;
	struct pair pair;
	struct ring ring;
	int sockets[2];

	pair_need(&pair, path, path);
	ring_need(&ring, 2, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		bail_out("sockets");
	struct {
		const char *what;
		__s32 fd;
		int error;
	} rows[] = {
		{ "a device", open("/dev/null", O_RDWR | O_CLOEXEC), EPERM },
		{ "a directory", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), EPERM },
		{ "a file by its path alone", open("/proc/self/exe", O_PATH | O_CLOEXEC), EBADF },
		{ "a socket", sockets[0], EPERM },
		{ "an eventfd", eventfd(0, EFD_CLOEXEC), EPERM },
		{ "an epoll", epoll_create1(EPOLL_CLOEXEC), EPERM },
		{ "a ring", ring.fd, EPERM },
		{ "an open /dev/mcp", pair.client.port.fd, EPERM },
		{ "the endpoint", pair.server.port.fd, EPERM },
		{ "no descriptor", -1, EBADF },
		{ "a descriptor that is not open", 100000, EBADF },
	};
	int memory = memfd_create("fds_test", MFD_CLOEXEC);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		__s32 fds[] = { memory, rows[i].fd };

		frame = with_fds(frame_request(pair.handle, TOOL_READ, "x", 1), fds, 2);
		check_errno(side_send(&pair.client, &frame, NULL), rows[i].error, "%s: %s",
			    pair.path,
			    rows[i].what);
	}
	check(!side_next(&pair.server, &message, NEVER), "%s: nothing of that arrives", pair.path);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].fd >= 0 && rows[i].fd < 100000 && rows[i].fd != ring.fd &&
		    rows[i].fd != pair.client.port.fd && rows[i].fd != pair.server.port.fd)
			close(rows[i].fd);
	close(sockets[1]);
	close(memory);
	ring_close(&ring);
	pair_close(&pair);
}

static void test_rights(enum path path)
{
	struct mcp_arena plain = { .size = sizeof(plain), .bytes = MCP_ARENA_MIN };
	struct message request, question;
	struct mcp_frame frame;
	struct pair pair;
	struct port bare;
	__u8 name[MCP_NAME_SIZE];
	__s32 memory;
	int handle;

	pair_need(&pair, path, path);
	memory = memfd_create("fds_test", MFD_CLOEXEC);
	handle = open_handle(&pair.client.port, pair.name, ALL_RIGHTS & ~MCP_RIGHT_FDS, NULL);
	frame = with_fds(frame_request(handle, TOOL_READ, "x", 1), &memory, 1);
	check_errno(side_send(&pair.client, &frame, NULL), EACCES,
		    "%s: a request on a handle without the right", pair.path);
	/* Within an exchange of such a handle. */
	frame = frame_request(handle, TOOL_READ, "x", 1);
	if (check(pair_request(&pair, &frame, &request), "%s: a request without any", pair.path)) {
		frame = with_fds(frame_notify(request.envelope.cookie, "x", 1), &memory, 1);
		if (path != BY_IOCTL)
			check_errno(side_send(&pair.client, &frame, NULL), EACCES,
				    "%s: a notification in its exchange", pair.path);
		frame = with_fds(frame_nested(request.envelope.cookie, "x", 1), &memory, 1);
		if (path != BY_IOCTL)
			check_errno(side_send(&pair.client, &frame, NULL), EACCES,
				    "%s: a nested request there", pair.path);
		if (path != BY_IOCTL) {
			frame = frame_nested(request.envelope.cookie, "?", 1);
			check(!side_send(&pair.server, &frame, NULL) &&
			      side_next(&pair.client, &question, SOON),
			      "%s: the server asks", pair.path);
			frame = frame_response(question.envelope.cookie, "x", 1);
			frame = with_fds(frame, &memory, 1);
			check_errno(side_send(&pair.client, &frame, NULL), EACCES,
				    "%s: an answer to that", pair.path);
			frame = frame_response(question.envelope.cookie, "x", 1);
			check(!side_send(&pair.client, &frame, NULL) &&
			      side_next(&pair.server, &question, SOON),
			      "%s: but for one without", pair.path);
		}
		frame = with_fds(frame_response(request.envelope.cookie, "x", 1), &memory, 1);
		check_errno(side_send(&pair.server, &frame, NULL), 0,
			    "%s: the server needs no right to answer with one", pair.path);
	}
	close(handle);

	port_need(&bare, 0);
	if (call(bare.fd, MCP_IOC_ARENA, &plain))
		bail_out("an arena");
	test_name(name, "bare");
	serve_need(&bare, name);
	handle = open_handle(&pair.server.port, name, ALL_RIGHTS, NULL);
	frame = with_fds(frame_request(handle, TOOL_READ, "x", 1), &memory, 1);
	check_errno(side_send(&pair.server, &frame, NULL), EPERM,
		    "%s: a receiver that takes no descriptors", pair.path);
	close(handle);
	close(memory);
	port_close(&bare);
	pair_close(&pair);
}

/* ---- Closed on every path that drops them -------------------------------- */

enum drop {
	DROP_EFAULT,		/* the body cannot be read */
	DROP_NO_ROOM,		/* above a quarter of the arena */
	DROP_CANCEL,		/* before delivery */
	DROP_DEADLINE,
	DROP_REVOKED,
	DROP_SERVER,		/* the server dies with it in its queue */
	DROP_CLIENT,		/* the client dies before delivery */
	DROP_RESPONSE,		/* a late answer */
	DROP_UNREAD_RESPONSE,	/* an answer that the caller never takes */
	DROP_NOTIFY,		/* in the queue of a caller that dies */
	DROP_NO_CREDIT,
	DROPS,
};

static const char *const drop_names[DROPS] = {
	"the body faults", "no room", "cancelled", "the deadline is over", "the handle is revoked",
	"the server dies", "the client dies", "a late answer", "an answer that nobody takes",
	"a notification that nobody takes", "a notification without credit",
};

/* An exchange that the server has received, for what is sent within it. */
static __u64 open_exchange(struct pair *pair, unsigned int credit)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request;

	frame.envelope.credit = credit;
	if (!pair_request(pair, &frame, &request))
		bail_out("an exchange");
	return request.envelope.cookie;
}

static void test_drop(enum path path, enum drop drop)
{
	struct mcp_frame frame;
	__u64 cookie = 0;
	struct pair pair;
	int ends[2];

	pair_need(&pair, path, path);
	if (pipe(ends))
		bail_out("a pipe");
	__s32 fds[] = { ends[1], ends[1] };

	/* Mostly two, and one too: what is done in a loop has to be done the first time. */
	frame = with_fds(frame_request(pair.handle, TOOL_READ, "x", 1), fds,
			 drop == DROP_CANCEL ? 1 : 2);
	switch (drop) {
	case DROP_EFAULT:
		frame.body = 64;
		check_errno(side_send(&pair.client, &frame, NULL), EFAULT, "%s: %s", pair.path,
			    drop_names[drop]);
		break;
	case DROP_NO_ROOM:
		frame.envelope.len = PAIR_ARENA / 4;
		check_errno(side_send(&pair.client, &frame, NULL), EMSGSIZE, "%s: %s", pair.path,
			    drop_names[drop]);
		break;
	case DROP_CANCEL:
		side_send(&pair.client, &frame, &cookie);
		frame = frame_cancel(cookie);
		side_send(&pair.client, &frame, NULL);
		break;
	case DROP_DEADLINE:
		frame.envelope.deadline = now_ns() + 50000000;
		side_send(&pair.client, &frame, &cookie);
		break;
	case DROP_REVOKED:
		side_send(&pair.client, &frame, &cookie);
		revoke(&pair.server.port, -1, pair.handle_id);
		break;
	case DROP_SERVER:
		side_send(&pair.client, &frame, &cookie);
		side_close(&pair.server);
		break;
	case DROP_CLIENT:
		side_send(&pair.client, &frame, &cookie);
		side_close(&pair.client);
		break;
	case DROP_RESPONSE:
		cookie = open_exchange(&pair, 0);
		frame = frame_cancel(cookie);
		side_send(&pair.client, &frame, NULL);
		frame = with_fds(frame_response(cookie, "x", 1), fds, 2);
		check_errno(side_send(&pair.server, &frame, NULL), ECANCELED, "%s: %s", pair.path,
			    drop_names[drop]);
		break;
	case DROP_UNREAD_RESPONSE:
		cookie = open_exchange(&pair, 0);
		side_interrupt(&pair.client);
		frame = with_fds(frame_response(cookie, "x", 1), fds, 2);
		side_send(&pair.server, &frame, NULL);
		close(ends[1]);
		check(stays_open(ends[0]), "%s: %s: it waits", pair.path, drop_names[drop]);
		side_close(&pair.client);
		break;
	case DROP_NOTIFY:
		cookie = open_exchange(&pair, 1);
		side_interrupt(&pair.client);
		frame = with_fds(frame_notify(cookie, "x", 1), fds, 2);
		side_send(&pair.server, &frame, NULL);
		close(ends[1]);
		check(stays_open(ends[0]), "%s: %s: it waits", pair.path, drop_names[drop]);
		side_close(&pair.client);
		break;
	default:
		cookie = open_exchange(&pair, 0);
		frame = with_fds(frame_notify(cookie, "x", 1), fds, 2);
		side_send(&pair.server, &frame, NULL);
		break;
	}
	if (drop != DROP_UNREAD_RESPONSE && drop != DROP_NOTIFY)
		close(ends[1]);
	check(hangs_up(ends[0]), "%s: %s: descriptors are closed", pair.path, drop_names[drop]);
	close(ends[0]);
	pair_close(&pair);
}

/* ---- No room in the receiver's table ------------------------------------- */

static void test_full_table(void)
{
	struct rlimit before, tight;
	struct message request;
	struct mcp_frame frame;
	struct pair pair;
	int ends[2], next;
	bool sent;

	pair_need(&pair, BY_RW, BY_RW);
	if (pipe(ends))
		bail_out("a pipe");
	__s32 fds[] = { ends[1], ends[1], ends[1] };

	frame = with_fds(frame_request(pair.handle, TOOL_READ, "x", 1), fds, 3);
	sent = !side_send(&pair.client, &frame, NULL);
	next = dup(ends[0]);
	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	tight = (struct rlimit){ next + 1, before.rlim_max };
	setrlimit(RLIMIT_NOFILE, &tight);
	check(sent && side_next(&pair.server, &request, SOON),
	      "a message with three descriptors, and room for one");
	setrlimit(RLIMIT_NOFILE, &before);
	check(request.envelope.flags == MCP_F_FDS_LOST && request.envelope.nfds == 3,
	      "the envelope says that some are lost");
	check(request.fds[0] == next && request.fds[1] == -EMFILE && request.fds[2] == -EMFILE,
	      "their places say EMFILE (%d %d %d)", request.fds[0], request.fds[1], request.fds[2]);
	check(has_body(&request, "x", 1), "the body is there");
	close(ends[1]);
	check(stays_open(ends[0]), "the one that arrived is open");
	close(request.fds[0]);
	check(hangs_up(ends[0]), "the others were closed");
	close(ends[0]);
	pair_close(&pair);
}

/* ---- Handles in messages to their own endpoint --------------------------- */

static void test_cycle(void)
{
	struct mcp_frame frame;
	struct pair pair;
	int ends[2], other;

	pair_need(&pair, BY_RW, BY_RW);
	if (pipe(ends))
		bail_out("a pipe");
	other = open_handle(&pair.client.port, pair.name, ALL_RIGHTS, NULL);
	__s32 fds[] = { pair.handle, other, ends[1] };

	for (int i = 0; i < 4; i++) {
		frame = with_fds(frame_request(i % 2 ? other : pair.handle, TOOL_READ, "x", 1),
				 fds, 3);
		check_errno(side_send(&pair.client, &frame, NULL), 0,
			    "handles in a message on themselves");
	}
	close(other);
	close(pair.handle);
	pair.handle = -1;
	close(ends[1]);
	check(stays_open(ends[0]), "they wait in the queue");
	side_close(&pair.server);
	check(hangs_up(ends[0]), "the endpoint's end closes what waits for it");
	close(ends[0]);
	pair_close(&pair);
}

/* Two endpoints, each with the other's handle in its queue. */
static void test_two_cycle(void)
{
	struct pair one, two;
	struct mcp_frame frame;
	int ends[2];

	pair_need(&one, BY_RW, BY_RW);
	pair_need(&two, BY_RW, BY_RW);
	if (pipe(ends))
		bail_out("a pipe");
	__s32 fds[] = { one.handle, two.handle, ends[1] };

	frame = with_fds(frame_request(one.handle, TOOL_READ, "x", 1), fds, 3);
	check_errno(side_send(&two.server, &frame, NULL), 0, "one endpoint sends to the other");
	frame = with_fds(frame_request(two.handle, TOOL_READ, "x", 1), fds, 3);
	check_errno(side_send(&one.server, &frame, NULL), 0, "and the other to the one");
	close(ends[1]);
	pair_close(&one);
	pair_close(&two);
	check(hangs_up(ends[0]), "with both, all is closed");
	close(ends[0]);
}

int main(void)
{
	test_begin();
	for (enum path path = 0; path < PATHS; path++) {
		test_arrive(path);
		test_kinds(path);
		test_rights(path);
		for (enum drop drop = 0; drop < DROPS; drop++)
			/* An answer is taken by the CALL that waits for it. */
			if (path != BY_URING_CALL || drop != DROP_UNREAD_RESPONSE)
				test_drop(path, drop);
	}
	test_most();
	test_full_table();
	test_cycle();
	test_two_cycle();
	return test_end();
}
