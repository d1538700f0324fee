// SPDX-License-Identifier: GPL-2.0
/*
 * Test of what a sender must not write: one table of malformed frames, sent on
 * every path, with the same errno and nothing delivered.
 *
 * Usage: envelope_test            on a machine where mcp.ko is loaded, as root
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mcp_side.h"

/* The layout that will be kept: of 32- and 64-bit callers. */
#define AT(type, member, offset) \
	static_assert(offsetof(struct type, member) == (offset), #type "." #member)

AT(mcp_envelope, magic, 0);
AT(mcp_envelope, version, 4);
AT(mcp_envelope, kind, 5);
AT(mcp_envelope, flags, 6);
AT(mcp_envelope, len, 8);
AT(mcp_envelope, tool, 12);
AT(mcp_envelope, method, 16);
AT(mcp_envelope, proto, 18);
AT(mcp_envelope, nfds, 20);
AT(mcp_envelope, credit, 21);
AT(mcp_envelope, reserved, 22);
AT(mcp_envelope, cookie, 24);
AT(mcp_envelope, parent, 32);
AT(mcp_envelope, sender, 40);
AT(mcp_envelope, deadline, 48);
AT(mcp_envelope, reserve, 56);
AT(mcp_envelope, status, 60);
static_assert(sizeof(struct mcp_envelope) == 64, "an envelope has 64 bytes");
AT(mcp_frame, body, 64);
AT(mcp_frame, fds, 72);
AT(mcp_frame, result, 80);
AT(mcp_frame, handle, 88);
AT(mcp_frame, slot, 92);
static_assert(sizeof(struct mcp_frame) == 96, "a frame has 96 bytes");

#define KIND(k)	(1u << (k))
#define ALL	(KIND(MCP_REQUEST) | KIND(MCP_RESPONSE) | KIND(MCP_NOTIFY) | KIND(MCP_CANCEL))
#define ANSWERS	(KIND(MCP_RESPONSE) | KIND(MCP_CANCEL))

/* One field of a good frame is set to a value. */
struct row {
	const char *what;
	unsigned int kinds;
	unsigned short offset, size;
	__u64 value;
	int error;
};

#define ROW(kinds, field, value, error, what) \
	{ what, kinds, offsetof(struct mcp_frame, field), \
	  sizeof(((struct mcp_frame *)0)->field), (__u64)(value), error }
#define ENV(kinds, field, value, error, what) \
	ROW(kinds, envelope.field, value, error, what)

static const struct row rows[] = {
	ENV(ALL, magic, 0, EINVAL, "no magic"),
	ENV(ALL, magic, 0x4d435031, EINVAL, "the magic of another byte order"),
	ENV(ALL, version, 0, EINVAL, "version 0"),
	ENV(ALL, version, 2, EINVAL, "a later version"),
	ENV(ALL, version, 255, EINVAL, "the last version"),
	ENV(ALL, kind, 0, EINVAL, "kind 0"),
	ENV(ALL, kind, 5, EINVAL, "an unknown kind"),
	ENV(ALL, kind, 255, EINVAL, "the last kind"),
	ENV(ALL, flags, MCP_F_KERNEL, EINVAL, "the kernel's flag"),
	ENV(ALL, flags, MCP_F_FDS_LOST, EINVAL, "the kernel's other flag"),
	ENV(ALL, flags, 1u << 2, EINVAL, "an unknown flag"),
	ENV(ALL, flags, 1u << 15, EINVAL, "the last flag"),
	ENV(ALL, reserved, 1, EINVAL, "reserved: the first bit"),
	ENV(ALL, reserved, 0x8000, EINVAL, "reserved: the last bit"),
	ENV(ALL, sender, 1, EINVAL, "a sender of one's own"),
	ENV(ALL, sender, 1ull << 63, EINVAL, "a sender of one bit"),
	ENV(ALL, status, EPIPE, EINVAL, "a status of one's own"),
	ENV(ALL, status, 1u << 31, EINVAL, "a status of one bit"),
	ENV(ALL & ~KIND(MCP_CANCEL), len, MCP_MAX_BODY + 1, EMSGSIZE, "a body too large"),
	ENV(ALL & ~KIND(MCP_CANCEL), len, ~0u, EMSGSIZE, "a body of 4 GiB"),
	ENV(KIND(MCP_CANCEL), len, 1, EINVAL, "a body in a CANCEL"),
	ENV(ALL, nfds, MCP_MAX_FDS + 1, EINVAL, "too many descriptors"),
	ENV(ALL, nfds, 255, EINVAL, "255 descriptors"),
	ENV(KIND(MCP_CANCEL), nfds, 1, EINVAL, "a descriptor in a CANCEL"),
	ENV(KIND(MCP_REQUEST), tool, MCP_TOOL_ID_MAX + 1, EINVAL, "a tool id above the last"),
	ENV(KIND(MCP_REQUEST), tool, ~0u, EINVAL, "the largest tool id"),
	ENV(KIND(MCP_REQUEST), tool, 7, EACCES, "a tool that is not in the table"),
	ENV(KIND(MCP_REQUEST), cookie, 1, EINVAL, "a cookie in a request"),
	ENV(KIND(MCP_REQUEST), reserve, MCP_MAX_BODY + 1, EMSGSIZE, "room for too large an answer"),
	ENV(KIND(MCP_REQUEST), reserve, ~0u, EMSGSIZE, "room for 4 GiB"),
	ENV(KIND(MCP_REQUEST), parent, 1, EINVAL, "a parent beside a handle"),
	ENV(ALL & ~KIND(MCP_REQUEST), tool, TOOL_READ, EINVAL, "a tool outside a request"),
	ENV(ALL & ~KIND(MCP_REQUEST), credit, 1, EINVAL, "credit outside a request"),
	ENV(ALL & ~KIND(MCP_REQUEST), deadline, ~0ull, EINVAL, "a deadline outside a request"),
	ENV(ALL & ~KIND(MCP_REQUEST), reserve, 1, EINVAL, "a reserve outside a request"),
	ENV(ANSWERS, cookie, 0, EINVAL, "no cookie"),
	ENV(ANSWERS, parent, 1, EINVAL, "a parent"),
	ENV(ANSWERS, method, MCP_METHOD_PING, EINVAL, "a method"),
	ENV(KIND(MCP_CANCEL), proto, 1, EINVAL, "a protocol in a CANCEL"),
	ENV(KIND(MCP_NOTIFY), cookie, 1, EINVAL, "a cookie in a notification"),
	ENV(KIND(MCP_NOTIFY), parent, 0, EINVAL, "a notification of nothing"),
	ENV(KIND(MCP_NOTIFY), parent, 1, ENOENT, "a notification of an unknown exchange"),
	ENV(ANSWERS, cookie, 1, ENOENT, "an unknown exchange"),
	ROW(KIND(MCP_REQUEST), handle, -1, EBADF, "no handle"),
	ROW(KIND(MCP_REQUEST), handle, -2, EBADF, "a handle of -2"),
	ROW(KIND(MCP_REQUEST), handle, 100000, EBADF, "a handle that is not open"),
	ROW(KIND(MCP_REQUEST), handle, STDOUT_FILENO, EBADF, "a handle that is none"),
	ROW(ALL & ~KIND(MCP_REQUEST), handle, 0, EINVAL, "a handle outside a request"),
	ROW(ALL & ~KIND(MCP_REQUEST), handle, -2, EINVAL, "a handle of -2 outside a request"),
	ROW(ALL, slot, 1, EINVAL, "a slot at an odd place"),
	ROW(ALL, slot, MCP_BODY_OFFSET, EINVAL, "a slot before the first"),
	ROW(ALL, slot, 128 << 10, EINVAL, "a slot that was not delivered"),
	ROW(ALL, slot, PAIR_ARENA, EINVAL, "a slot behind the arena"),
	ROW(ALL, slot, ~0u & ~255u, EINVAL, "the last slot"),
	ROW(KIND(MCP_CANCEL), body, 64, EINVAL, "an address of no body"),
	ROW(ALL, fds, 64, EINVAL, "an address of no descriptors"),
	ROW(ALL & ~KIND(MCP_REQUEST), result, 64, EINVAL, "a result outside a request"),
	ROW(ALL & ~KIND(MCP_CANCEL), body, 0, EFAULT, "a body at 0"),
	ROW(ALL & ~KIND(MCP_CANCEL), body, -4096ll, EFAULT, "a body in the kernel"),
};

/* A good frame of that kind in an open exchange. */
static struct mcp_frame good_frame(const struct pair *pair, unsigned int kind, __u64 cookie)
{
	switch (kind) {
	case MCP_REQUEST:
		return frame_request(pair->handle, TOOL_READ, "body", 4);
	case MCP_RESPONSE:
		return frame_response(cookie, "body", 4);
	case MCP_NOTIFY:
		return frame_notify(cookie, "body", 4);
	default:
		return frame_cancel(cookie);
	}
}

static bool quiet(struct pair *pair)
{
	struct message message;

	return !side_next(&pair->server, &message, 0) &&
	       (pair->client.running || !side_next(&pair->client, &message, 0));
}

static void test_rows(enum path path)
{
	struct message request, response;
	struct side other;
	struct mcp_frame frame;
	struct pair pair;
	__u64 cookie;

	/*
	 * The exchange that answers, notifications and cancels are for is called
	 * by one file; bad requests come from another, with the same handle.
	 */
	pair_need(&pair, path, path);
	side_need(&other, path, PAIR_ARENA);
	frame = frame_request(pair.handle, TOOL_READ, "open", 4);
	frame.envelope.credit = 1;
	if (!check(pair_request(&pair, &frame, &request), "%s: an open exchange", pair.path))
		goto out;
	cookie = request.envelope.cookie;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		for (unsigned int kind = MCP_REQUEST; kind <= MCP_CANCEL; kind++) {
			struct side *side = kind == MCP_REQUEST ? &other :
					    kind == MCP_CANCEL ? &pair.client : &pair.server;
			int result;

			if (!(row->kinds & KIND(kind)))
				continue;
			frame = good_frame(&pair, kind, cookie);
			memcpy((char *)&frame + row->offset, &row->value, row->size);
			result = side_send(side, &frame, NULL);
			check_errno(result, row->error, "%s: kind %u: %s", pair.path, kind,
				    row->what);
		}
	}
	check(quiet(&pair), "%s: nothing of all that was delivered", pair.path);
	frame = good_frame(&pair, MCP_NOTIFY, cookie);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "%s: a good notification", pair.path);
	check(side_next(&pair.client, &response, SOON) && is_kind(&response, MCP_NOTIFY, cookie),
	      "%s: is all that arrives", pair.path);
	frame = good_frame(&pair, MCP_RESPONSE, cookie);
	check_errno(side_send(&pair.server, &frame, NULL), 0, "%s: and a good response", pair.path);
	check(side_next(&pair.client, &response, SOON) && is_kind(&response, MCP_RESPONSE, cookie),
	      "%s: then the exchange is over", pair.path);
out:
	side_close(&other);
	pair_close(&pair);
}

/* Addresses that are good at their start and bad at their end. */
static void test_edges(enum path path)
{
	long page = sysconf(_SC_PAGESIZE);
	char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	int memory = memfd_create("envelope_test", MFD_CLOEXEC);
	struct message request;
	struct mcp_frame frame;
	struct pair pair;
	__u64 cookie;

	if (two == MAP_FAILED || mprotect(two + page, page, PROT_NONE))
		bail_out("two pages");
	pair_need(&pair, path, path);
	frame = frame_request(pair.handle, TOOL_READ, two + page - 8, 9);
	check_errno(side_send(&pair.client, &frame, NULL), EFAULT,
		    "%s: a body that leaves its page",
		    pair.path);
	frame = frame_request(pair.handle, TOOL_READ, two, page + 1);
	check_errno(side_send(&pair.client, &frame, NULL), EFAULT,
		    "%s: a body of a page and a byte",
		    pair.path);
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	frame.envelope.nfds = 2;
	memcpy(two + page - 4, &memory, sizeof(memory));
	frame.fds = address(two + page - 4);
	check_errno(side_send(&pair.client, &frame, NULL), EFAULT, "%s: descriptors that leave it",
		    pair.path);
	check(!side_next(&pair.server, &request, 0), "%s: nothing of that is delivered", pair.path);
	frame = frame_request(pair.handle, TOOL_READ, two + page - 8, 8);
	if (check(!side_send(&pair.client, &frame, &cookie) &&
		  side_next(&pair.server, &request, SOON) && request.envelope.len == 8,
		  "%s: a body at the end of its page", pair.path)) {
		frame = frame_response(cookie, two + page - 8, 9);
		check_errno(side_send(&pair.server, &frame, NULL), EFAULT,
			    "%s: an answer that leaves it", pair.path);
		frame = frame_response(cookie, two + page - 8, 8);
		check_errno(side_send(&pair.server, &frame, NULL), 0,
			    "%s: the exchange is still open",
			    pair.path);
	}
	munmap(two, 2 * page);
	close(memory);
	pair_close(&pair);
}

static long as_errno(ssize_t result)
{
	return result < 0 ? -errno : result;
}

static void test_file_sizes(void)
{
	struct mcp_frame frames[2];
	struct message message;
	struct pair pair;
	int fd;

	pair_need(&pair, BY_RW, BY_RW);
	fd = pair.client.port.fd;
	frames[0] = frame_request(pair.handle, TOOL_READ, "x", 1);
	frames[1] = frames[0];
	static const size_t sizes[] = { 1, 64, 95, 97, sizeof(frames) };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		check_errno(as_errno(write(fd, frames, sizes[i])), EINVAL, "a write of %zu bytes",
			    sizes[i]);
	check_errno(as_errno(write(fd, (void *)-4096l, sizeof(frames[0]))), EFAULT,
		    "a write from the kernel's memory");
	check(!side_next(&pair.server, &message, NEVER), "nothing of that is sent");
	check(write(fd, frames, sizeof(frames[0])) == sizeof(frames[0]), "a write gives its size");
	check_errno(as_errno(read(pair.server.port.fd, frames, 95)), EINVAL, "a read of 95 bytes");
	check_errno(as_errno(read(pair.server.port.fd, (void *)-4096l, 96)), EFAULT,
		    "a read into the kernel's memory");
	check(side_next(&pair.server, &message, SOON) && message.envelope.kind == MCP_REQUEST,
	      "a read that failed has lost nothing");
	pair_close(&pair);
}

static void test_wrong_call(void)
{
	struct mcp_frame frame;
	struct pair pair;
	int fd;

	pair_need(&pair, BY_IOCTL, BY_IOCTL);
	fd = pair.client.port.fd;
	check_errno(call(fd, MCP_IOC_CALL, NULL), EFAULT, "CALL without a frame");
	check_errno(call(fd, MCP_IOC_REPLY_WAIT, (void *)-4096l), EFAULT,
		    "REPLY_WAIT with a frame of the kernel");
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	check_errno(call(fd, MCP_IOC_REPLY_WAIT, &frame), EINVAL, "REPLY_WAIT sends no requests");
	frame.envelope.kind = 0;
	check_errno(call(fd, MCP_IOC_CALL, &frame), EINVAL, "CALL of kind 0 that is not empty");
	frame = frame_cancel(1);
	check_errno(call(fd, MCP_IOC_CALL, &frame), EINVAL, "CALL sends no CANCEL");
	frame = (struct mcp_frame){ .envelope.cookie = 1, .handle = 0 };
	check_errno(call(fd, MCP_IOC_CALL, &frame), EINVAL, "nothing to send, and a handle");
	pair_close(&pair);
}

/* A file without an arena can hold no answer. */
static void test_no_arena(enum path path)
{
	struct message message;
	struct mcp_frame frame;
	struct pair pair;
	struct side bare;

	pair_need(&pair, path, path);
	side_need(&bare, path, 0);
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	check_errno(side_send(&bare, &frame, NULL), ENOBUFS, "%s: a call without an arena",
		    pair.path);
	check(!side_next(&pair.server, &message, NEVER), "%s: is not received", pair.path);
	side_close(&bare);
	pair_close(&pair);
}

/* Nor can it receive: a message could not be put anywhere. */
static int receive_bare(void *argument)
{
	struct mcp_frame frame = { .handle = -1 };
	struct port port;

	alarm(2);	/* ends this child, if it waits for ever */
	signal(SIGALRM, SIG_DFL);
	if (port_open(&port, 0))
		return 99;
	if (argument)
		return read(port.fd, &frame, sizeof(frame)) < 0 ? errno : 0;
	return -call(port.fd, MCP_IOC_REPLY_WAIT, &frame);
}

static void test_receive_bare(void)
{
	check(in_child(receive_bare, NULL) == ENOBUFS, "REPLY_WAIT without an arena");
	check(in_child(receive_bare, "read") == ENOBUFS, "read without an arena");
}

int main(void)
{
	test_begin();
	test_receive_bare();
	for (enum path path = 0; path < PATHS; path++) {
		test_rows(path);
		test_edges(path);
		test_no_arena(path);
	}
	test_file_sizes();
	test_wrong_call();
	return test_end();
}
