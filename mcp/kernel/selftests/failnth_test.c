// SPDX-License-Identifier: GPL-2.0
/*
 * Sweep of injected faults: each call is made with its first allocation or copy
 * failing, then its second, until none is left to fail. A call that fails says
 * why with an errno that docs/uapi.md has, and after it the same call succeeds.
 * What was made to fail is read from the kernel's log and printed.
 *
 * Usage: failnth_test          on a kernel with fault injection (the debug
 *                              kernel) where mcp.ko is loaded, as root; it is
 *                              unloaded and loaded, too
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_accounts.h"
#include "mcp_genl.h"
#include "mcp_module.h"
#include "mcp_ring.h"
#include "mcp_test.h"

#define DEBUGFS		"/sys/kernel/debug"
#define MOST_FAULTS	4000
#define MANY		1000000	/* more than any call can have */
#define ARENA		(256u << 10)
#define SITES		128

/* ---- Fault injection ----------------------------------------------------- */

static int fail_fd = -1, log_fd = -1;

static void set_knob(const char *fault, const char *file, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", fault, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		bail_out(path);
	close(fd);
}

static void faults_need(void)
{
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		skip_all("this kernel has no fault injection");
	mount("none", DEBUGFS, "debugfs", 0, NULL);
	/* Allocations that may sleep, of any size, and every one of them in the log. */
	set_knob("failslab", "ignore-gfp-wait", "N");
	set_knob("fail_page_alloc", "ignore-gfp-wait", "N");
	set_knob("fail_page_alloc", "min-order", "0");
	set_knob("failslab", "verbose_ratelimit_interval_ms", "0");
	set_knob("fail_page_alloc", "verbose_ratelimit_interval_ms", "0");
	set_knob("fail_usercopy", "verbose_ratelimit_interval_ms", "0");
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd < 0)
		bail_out("/dev/kmsg");
}

static unsigned int armed;

static void arm(unsigned int nth)
{
	char text[16];

	armed = nth;
	lseek(log_fd, 0, SEEK_END);
	snprintf(text, sizeof(text), "%u", nth);
	if (pwrite(fail_fd, text, strlen(text), 0) < 0)
		bail_out("fail-nth");
}

/* Whether a fault was injected since arm(). */
static bool disarm(void)
{
	char text[16] = "";
	ssize_t got = pread(fail_fd, text, sizeof(text) - 1, 0);

	/* Copies to and from here are faulted too: then the call was not. */
	if (got < 0 && errno != EFAULT)
		bail_out("fail-nth");
	while (pwrite(fail_fd, "0", 1, 0) < 0)
		if (errno != EFAULT)
			bail_out("fail-nth");
	return got > 0 && !atoi(text);
}

/* Where the fault was injected: its kind, and the function of ours nearest to it. */
static void read_site(char site[96])
{
	char record[1024], kind[32] = "?", *text, *end;
	ssize_t got;

	/* Whoever asks for no warning gets none: an arena's pages, and the checkers' own memory. */
	snprintf(site, 96, "a silent one");
	for (;;) {
		got = read(log_fd, record, sizeof(record) - 1);
		if (got < 0 && errno == EPIPE)
			continue; /* overwritten meanwhile */
		if (got <= 0)
			return;
		record[got] = 0;
		text = strchr(record, ';');
		if (!text)
			continue;
		text++;
		if (strstr(text, "forcing a failure")) {
			end = strstr(text, "name ");
			if (end)
				sscanf(end, "name %31[a-z_]", kind);
			snprintf(site, 96, "%s outside of mcp", kind);
		}
		if (strstr(text, "[mcp]") && strstr(site, " outside of mcp")) {
			while (*text == ' ')
				text++;
			text[strcspn(text, "+\n ")] = 0;
			snprintf(site, 96, "%s in %s", kind, text);
		}
	}
}

/* ---- A scene ------------------------------------------------------------- */

struct scene {
	struct port server, client, fresh;
	__u8 name[MCP_NAME_SIZE];
	int handle, made, memory;
	__u64 sender, cookie;
	__u64 now;		/* before the fault: asking for the time copies, too */
	__u32 slot;
	struct ring ring;
	struct mcp_frame frame;
};

static long put(int fd, const struct mcp_frame *frame)
{
	return write(fd, frame, sizeof(*frame)) < 0 ? -errno : 0;
}

static long release(int fd, __u32 slot)
{
	return call(fd, MCP_IOC_RELEASE, (void *)(uintptr_t)slot);
}

/* Receives what there is, and releases it; descriptors are closed. */
static void drain(const struct port *port)
{
	struct mcp_frame frame;
	int flags = fcntl(port->fd, F_GETFL);

	fcntl(port->fd, F_SETFL, flags | O_NONBLOCK);
	while (read(port->fd, &frame, sizeof(frame)) == sizeof(frame)) {
		const __s32 *fds = (const __s32 *)(port->arena + frame.slot + MCP_BODY_OFFSET +
						   ((frame.envelope.len + 3) & ~3u));
		struct mcp_frame end = frame_response(frame.envelope.cookie, NULL, 0);

		for (unsigned int i = 0; frame.slot % 256 == 0 && i < frame.envelope.nfds; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (frame.envelope.kind == MCP_REQUEST)
			put(port->fd, &end);
		else if (frame.slot % 256 == 0)
			release(port->fd, frame.slot);
	}
	fcntl(port->fd, F_SETFL, flags);
}

static void none(struct scene *scene)
{
	(void)scene;
}

/*
 * What is parked is given a request each, until one comes by read(): a ring's
 * end is not at once, and the next sweep's requests are not for those.
 */
static void unpark(struct scene *scene)
{
	struct mcp_frame request = frame_request(scene->handle, TOOL_READ, "x", 1), frame;
	struct io_uring_cqe completion;
	int flags = fcntl(scene->server.fd, F_GETFL);
	bool parked = true;

	fcntl(scene->server.fd, F_SETFL, flags | O_NONBLOCK);
	for (int i = 0; i < 8 && parked; i++) {
		__u64 cookie = 0;

		request.result = address(&cookie);
		if (put(scene->client.fd, &request))
			bail_out("a request for what is parked");
		parked = read(scene->server.fd, &frame, sizeof(frame)) < 0;
		if (parked)
			ring_wait(&scene->ring, SOON, &completion);
		frame = frame_response(cookie, NULL, 0);
		if (put(scene->server.fd, &frame))
			bail_out("its answer");
	}
	fcntl(scene->server.fd, F_SETFL, flags);
}

static void clean(struct scene *scene)
{
	struct io_uring_cqe completion;

	scene->frame = (struct mcp_frame){ 0 };
	if (scene->fresh.fd > 0)
		port_close(&scene->fresh);
	scene->fresh.fd = -1;
	if (scene->made >= 0)
		close(scene->made);
	scene->made = -1;
	for (int i = 0; i < 2; i++) {
		drain(&scene->server);
		drain(&scene->client);
	}
	if (scene->ring.fd < 0)
		return;
	while (ring_wait(&scene->ring, 0, &completion))
		if (completion.res > 0)
			release(completion.user_data == MCP_CMD_CALL ? scene->client.fd :
				scene->server.fd, completion.res);
	unpark(scene);
	drain(&scene->client);
	ring_close(&scene->ring);
}

/* ---- What is swept ------------------------------------------------------- */

static long do_open(struct scene *scene)
{
	scene->fresh.fd = open(MCP_DEVICE, O_RDWR | O_CLOEXEC);
	return scene->fresh.fd < 0 ? -errno : 0;
}

static void bare(struct scene *scene)
{
	if (do_open(scene))
		bail_out("a port");
}

static long do_arena(struct scene *scene)
{
	struct mcp_arena arena = { .size = sizeof(arena), .bytes = ARENA };

	return call(scene->fresh.fd, MCP_IOC_ARENA, &arena);
}

static void with_arena(struct scene *scene)
{
	bare(scene);
	if (do_arena(scene))
		bail_out("an arena");
}

static long do_mmap(struct scene *scene)
{
	void *memory = mmap(NULL, ARENA, PROT_READ, MAP_SHARED, scene->fresh.fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	munmap(memory, ARENA);
	return 0;
}

static long do_serve(struct scene *scene)
{
	static struct mcp_tool tools[2];
	struct mcp_serve args;
	__u8 name[MCP_NAME_SIZE];

	tools[0] = tool_row(1, 0, 1, "one");
	tools[1] = tool_row(2, 0, 2, "two");
	test_name(name, "failnth.fresh");
	args = serve_args(name);
	args.tools = address(tools);
	args.ntools = 2;
	return call(scene->fresh.fd, MCP_IOC_SERVE, &args);
}

static void with_endpoint(struct scene *scene)
{
	with_arena(scene);
	if (do_serve(scene))
		bail_out("an endpoint");
}

/* A tool is taken out: that needs memory of its own. */
static long do_update(struct scene *scene)
{
	struct mcp_tool tool = tool_row(1, 0, 1, "one");
	struct mcp_update args = { .size = sizeof(args), .tools = address(&tool), .ntools = 1,
				   .tool_size = sizeof(tool) };

	return call(scene->fresh.fd, MCP_IOC_UPDATE, &args);
}

/* close() itself cannot fail, whatever it runs into. */
static long do_close(struct scene *scene)
{
	long result = close(scene->fresh.fd) ? -errno : 0;

	scene->fresh.fd = -1;
	return result;
}

static long do_open_handle(struct scene *scene)
{
	struct mcp_open args = open_args(scene->name, ALL_RIGHTS);
	struct mcp_pin pin = { .tool = TOOL_READ };
	int error;

	args.npins = 1;
	args.pins = address(&pin);
	error = call(scene->client.fd, MCP_IOC_OPEN, &args);
	if (!error)
		scene->made = args.fd;
	return error;
}

static long do_grant(struct scene *scene)
{
	struct mcp_grant args = grant_args(scene->handle, MCP_RIGHT_READ);
	struct mcp_pin pin = { .tool = TOOL_READ };
	int fd;

	args.npins = 1;
	args.pins = address(&pin);
	args.expiry = scene->now + 60000000000ull;
	fd = grant(&scene->client, &args);
	if (fd < 0)
		return fd;
	scene->made = fd;
	scene->sender = args.sender;
	return 0;
}

static void granted(struct scene *scene)
{
	if (do_grant(scene))
		bail_out("a grant");
}

static long do_revoke(struct scene *scene)
{
	return revoke(&scene->client, scene->handle, scene->sender);
}

static struct mcp_frame request_with_fd(struct scene *scene)
{
	struct mcp_frame frame = frame_request(scene->handle, TOOL_WRITE, "x", 1);

	frame.envelope.nfds = 1;
	frame.envelope.credit = 2;
	frame.fds = address(&scene->memory);
	frame.envelope.deadline = scene->now + 60000000000ull;
	frame.result = address(&scene->cookie);
	return frame;
}

static long do_request(struct scene *scene)
{
	struct mcp_frame frame = request_with_fd(scene);

	return put(scene->client.fd, &frame);
}

static void sent(struct scene *scene)
{
	if (do_request(scene))
		bail_out("a request");
}

/* The deadline comes soon: nobody answers. */
static long do_call(struct scene *scene)
{
	struct mcp_frame frame = request_with_fd(scene);
	long result;

	frame.envelope.deadline = scene->now + 100000000;
	result = call(scene->client.fd, MCP_IOC_CALL, &frame);
	return result == -ETIMEDOUT ? 0 : result;
}

static long do_receive(struct scene *scene)
{
	struct mcp_frame frame = { .handle = -1 };
	long result = call(scene->server.fd, MCP_IOC_REPLY_WAIT, &frame);

	scene->slot = frame.slot;
	return result;
}

static long do_read(struct scene *scene)
{
	struct mcp_frame frame;

	return read(scene->server.fd, &frame, sizeof(frame)) < 0 ? -errno : 0;
}

static void take_request(struct scene *scene)
{
	struct mcp_frame frame;

	sent(scene);
	if (read(scene->server.fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("a request is received");
	scene->slot = frame.slot;
	close(*(const __s32 *)(scene->server.arena + frame.slot + MCP_BODY_OFFSET + 4));
}

static long do_respond(struct scene *scene)
{
	struct mcp_frame frame = frame_response(scene->cookie, "y", 1);

	frame.envelope.nfds = 1;
	frame.fds = address(&scene->memory);
	return put(scene->server.fd, &frame);
}

static long do_notify(struct scene *scene)
{
	struct mcp_frame frame = frame_notify(scene->cookie, "n", 1);

	frame.envelope.nfds = 1;
	frame.fds = address(&scene->memory);
	return put(scene->server.fd, &frame);
}

static long do_nested(struct scene *scene)
{
	struct mcp_frame frame = frame_nested(scene->cookie, "?", 1);

	return put(scene->server.fd, &frame);
}

static long do_cancel(struct scene *scene)
{
	struct mcp_frame frame = frame_cancel(scene->cookie);

	return put(scene->client.fd, &frame);
}

static long do_release(struct scene *scene)
{
	return release(scene->server.fd, scene->slot);
}

static long do_peer(struct scene *scene)
{
	struct mcp_peer peer = { .size = sizeof(peer), .cookie = scene->cookie };

	return call(scene->server.fd, MCP_IOC_PEER, &peer);
}

static long do_info(struct scene *scene)
{
	struct mcp_info info = { .size = sizeof(info) };

	return call(scene->client.fd, MCP_IOC_INFO, &info);
}

static long do_require(struct scene *scene)
{
	struct mcp_require args = { .size = sizeof(args) };
	char suffix[24];
	static unsigned int number;

	/* A new name each time, as long as there is room. */
	snprintf(suffix, sizeof(suffix), "failnth.%u", number++);
	test_name(args.name, suffix);
	return call(scene->client.fd, MCP_IOC_REQUIRE, &args);
}

/* ---- The same by io_uring ------------------------------------------------ */

static long submit(struct scene *scene, int fd, unsigned int number)
{
	int error;

	ring_command(&scene->ring, fd, number, number == MCP_CMD_RECV_PARK ? NULL : &scene->frame,
		     number);
	error = ring_submit(&scene->ring);
	return error < 0 ? error : 0;
}

/* After the fault is taken away: what came of the command, if it was issued. */
static long result_of(struct scene *scene, long error, bool waits)
{
	struct io_uring_cqe completion;

	if (error < 0)
		return error;
	if (!ring_wait(&scene->ring, waits ? NEVER : SOON, &completion))
		return waits ? 0 : -ETIME;
	if (completion.res > 0)
		release(completion.user_data == MCP_CMD_CALL ? scene->client.fd : scene->server.fd,
			completion.res);
	return completion.res < 0 ? completion.res : 0;
}

static void with_ring(struct scene *scene)
{
	ring_close(&scene->ring);
	ring_need(&scene->ring, 8, 0);
	scene->frame = request_with_fd(scene);
}

static void with_ring_and_request(struct scene *scene)
{
	take_request(scene);
	with_ring(scene);
	scene->frame = frame_response(scene->cookie, "y", 1);
}

static void with_ring_and_notify(struct scene *scene)
{
	take_request(scene);
	with_ring(scene);
	scene->frame = frame_notify(scene->cookie, "n", 1);
}

static long uring_send(struct scene *scene)
{
	return submit(scene, scene->client.fd, MCP_CMD_SEND);
}

static long uring_call(struct scene *scene)
{
	return submit(scene, scene->client.fd, MCP_CMD_CALL);
}

static long uring_park(struct scene *scene)
{
	return submit(scene, scene->server.fd, MCP_CMD_RECV_PARK);
}

static long uring_reply(struct scene *scene)
{
	return submit(scene, scene->server.fd, MCP_CMD_REPLY_AND_PARK);
}

static long uring_notify(struct scene *scene)
{
	return submit(scene, scene->server.fd, MCP_CMD_NOTIFY);
}

static void with_calls(struct scene *scene)
{
	with_ring(scene);
	if (uring_call(scene) || uring_park(scene))
		bail_out("commands that wait");
}

/* It is completed in task work of this task, which is in the call that sends. */
static void with_parked(struct scene *scene)
{
	ring_close(&scene->ring);
	ring_need(&scene->ring, 8, 0);
	if (uring_park(scene))
		bail_out("a receiver");
}

/* The end of a ring with a call and a receiver in it. */
static long uring_close(struct scene *scene)
{
	ring_close(&scene->ring);
	return 0;
}

/* ---- What is asked about it ---------------------------------------------- */

static long do_poll(struct scene *scene)
{
	struct pollfd wait[] = { { .fd = scene->handle, .events = POLLOUT },
				 { .fd = scene->server.fd, .events = POLLIN } };

	return poll(wait, ARRAY_SIZE(wait), 0) < 0 ? -errno : 0;
}

static long do_fdinfo(struct scene *scene)
{
	char path[64], text[1024];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", scene->handle);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, text, sizeof(text));
	got = got < 0 ? -errno : 0;
	close(fd);
	return got;
}

static struct genl genl;

static void asked(struct scene *scene, unsigned int command, unsigned int flags,
		  unsigned int attribute)
{
	genl_begin(&genl, command, flags);
	genl_put_u32(&genl, attribute, scene->client.fd);
}

static void count_entry(const struct nlmsghdr *message, void *count)
{
	(void)message;
	++*(unsigned int *)count;
}

/* A dump whose own start fails says so in its end, or in an error. */
static long dump(struct scene *scene, unsigned int command, unsigned int attribute)
{
	unsigned int count = 0;
	long result;

	asked(scene, command, NLM_F_DUMP, attribute);
	result = genl_dump(&genl, count_entry, &count, NULL);
	return result < 0 ? result : 0;
}

static long nl_endpoints(struct scene *scene)
{
	return dump(scene, MCP_NL_CMD_ENDPOINT_GET, MCP_A_ENDPOINT_PORT);
}

static long nl_handles(struct scene *scene)
{
	return dump(scene, MCP_NL_CMD_HANDLE_GET, MCP_A_HANDLE_PORT);
}

static long nl_limits(struct scene *scene)
{
	long result;

	asked(scene, MCP_NL_CMD_LIMITS_GET, 0, MCP_A_LIMITS_PORT);
	result = genl_ask(&genl);
	return result < 0 ? result : 0;
}

/* What a question that failed has left in the socket. */
static void with_socket(struct scene *scene)
{
	(void)scene;
	if (genl.fd > 0)
		genl_close(&genl);
	if (genl_open(&genl))
		bail_out("a socket of netlink");
}

/* ---- A process that ends ------------------------------------------------- */

/* In a child whose exit is under way when the fault comes. */
static long do_exit(struct scene *scene)
{
	int status = -1;
	pid_t child;
	char text[16] = "";

	/* The child is armed in the parent's place. */
	snprintf(text, sizeof(text), "%u", armed);
	disarm();
	child = fork();
	if (!child) {
		struct ring ring;
		struct port port;
		int handle, fd;

		port_need(&port, ARENA);
		handle = open_handle(&port, scene->name, ALL_RIGHTS, NULL);
		ring_need(&ring, 8, 0);
		scene->frame = frame_request(handle, TOOL_READ, "x", 1);
		ring_command(&ring, port.fd, MCP_CMD_CALL, &scene->frame, 1);
		ring_command(&ring, port.fd, MCP_CMD_RECV_PARK, NULL, 2);
		ring_submit(&ring);
		fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
		if (write(fd, text, strlen(text)) < 0)
			_exit(1);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status ? -EIO : 0;
}

/* ---- The sweep ----------------------------------------------------------- */

static const int of_memory[] = { ENOMEM, EFAULT, 0 };
/* A file's table of descriptors, and the file, are the kernel's own. */
static const int of_file[] = { ENOMEM, EFAULT, ENFILE, EMFILE, 0 };
/* And the record that must be written. */
static const int of_decision[] = { ENOMEM, EFAULT, ENFILE, EMFILE, ENOSPC, 0 };
/* Netlink says that it has no memory in its own words, or nothing at all. */
static const int of_question[] = { ENOMEM, EFAULT, ENOBUFS, ETIMEDOUT, 0 };
static const int of_nothing[] = { 0 };
static const int of_message[] = { EFAULT, 0 };

static const struct path {
	const char *name;
	void (*prepare)(struct scene *scene);
	long (*run)(struct scene *scene);
	const int *errnos;
	unsigned int most;	/* 0: until no fault is left */
	bool by_ring, waits;
	int least;		/* faults that must have been there */
} paths[] = {
	{ "open of the device", none, do_open, of_file, .least = 2 },
	{ "ARENA", bare, do_arena, of_memory, .least = 60 },
	{ "mmap", with_arena, do_mmap, of_memory, .least = 1 },
	{ "SERVE", with_arena, do_serve, of_decision, .least = 5 },
	{ "UPDATE", with_endpoint, do_update, of_memory, .least = 4 },
	{ "close of an endpoint", with_endpoint, do_close, of_nothing, .least = 0 },
	{ "OPEN", none, do_open_handle, of_decision, .least = 6 },
	{ "GRANT", none, do_grant, of_decision, .least = 6 },
	{ "REVOKE", granted, do_revoke, of_memory, .least = 1 },
	{ "INFO", none, do_info, of_message, .least = 2 },
	{ "REQUIRE", none, do_require, of_memory, .most = 10, .least = 2 },
	{ "REQUEST by write", none, do_request, of_memory, .least = 3 },
	{ "CALL", none, do_call, of_memory, .least = 3 },
	{ "nested REQUEST", take_request, do_nested, of_memory, .least = 2 },
	{ "REPLY_WAIT", sent, do_receive, of_message, .least = 1 },
	{ "read", sent, do_read, of_message, .least = 1 },
	{ "RESPONSE", take_request, do_respond, of_memory, .least = 2 },
	{ "NOTIFY", take_request, do_notify, of_memory, .least = 3 },
	{ "CANCEL", take_request, do_cancel, of_message, .least = 1 },
	{ "RELEASE", take_request, do_release, of_nothing, .least = 0 },
	{ "PEER", take_request, do_peer, of_message, .least = 2 },
	{ "uring SEND", with_ring, uring_send, of_memory, .by_ring = true, .least = 3 },
	{ "uring CALL", with_ring, uring_call, of_memory, .by_ring = true, .waits = true,
	  .least = 3 },
	{ "uring RECV_PARK", with_ring, uring_park, of_memory, .by_ring = true, .waits = true },
	{ "uring REPLY_AND_PARK", with_ring_and_request, uring_reply, of_memory, .by_ring = true,
	  .waits = true, .least = 1 },
	{ "uring NOTIFY", with_ring_and_notify, uring_notify, of_memory, .by_ring = true,
	  .least = 2 },
	{ "REQUEST to a parked command", with_parked, do_request, of_memory, .least = 3 },
	{ "poll", none, do_poll, of_memory, .least = 1 },
	{ "fdinfo of a handle", none, do_fdinfo, of_file, .least = 2 },
	{ "netlink: endpoints", with_socket, nl_endpoints, of_question, .least = 3 },
	{ "netlink: handles", with_socket, nl_handles, of_question, .least = 3 },
	{ "netlink: limits", with_socket, nl_limits, of_question, .least = 3 },
	{ "end of a ring", with_calls, uring_close, of_nothing, .least = 0 },
	{ "exit of a process", none, do_exit, of_nothing, .most = 8 },
};

static bool is_allowed(const struct path *path, long result)
{
	const int *allowed = path->errnos;

	for (; result < 0 && *allowed; allowed++)
		if (result == -*allowed)
			return true;
	return result >= 0;
}

struct sites {
	char text[SITES][96];
	unsigned int times[SITES], count;
};

static void count_site(struct sites *sites, const char *site)
{
	unsigned int i;

	for (i = 0; i < sites->count && strcmp(sites->text[i], site); i++)
		;
	if (i == SITES)
		return;
	if (i == sites->count)
		snprintf(sites->text[sites->count++], 96, "%s", site);
	sites->times[i]++;
}

static long run_once(struct scene *scene, const struct path *path, unsigned int nth, bool *faulted)
{
	long result;

	scene->now = now_ns();
	path->prepare(scene);
	scene->now = now_ns();
	arm(nth);
	result = path->run(scene);
	*faulted = disarm();
	if (path->by_ring)
		result = result_of(scene, result, path->waits);
	return result;
}

static void sweep(struct scene *scene, const struct path *path)
{
	static struct sites sites;
	unsigned int nth = 0, refused = 0;
	bool faulted = true, good = true, again = true;
	char site[96] = "";
	long result;

	sites.count = 0;
	memset(sites.times, 0, sizeof(sites.times));
	while (faulted && nth < MOST_FAULTS && good && again) {
		result = run_once(scene, path, ++nth, &faulted);
		if (faulted) {
			read_site(site);
			count_site(&sites, site);
		}
		good = is_allowed(path, result) && (faulted || !result);
		if (!good)
			printf("# fault %u (%s): %s\n", nth, site, strerror(-result));
		refused += result < 0;
		clean(scene);
		if (result < 0) {
			bool unused;

			result = run_once(scene, path, 0, &unused);
			again = !result;
			if (!again)
				printf("# after fault %u (%s): %s\n", nth, site, strerror(-result));
			clean(scene);
		}
		if (path->most && nth >= path->most)
			break;
	}
	ring_close(&scene->ring);
	check(good, "%s: %u faults, %u refused, each with a documented errno", path->name,
	      nth - !faulted, refused);
	check(again, "%s: and it succeeds after each", path->name);
	check((int)(nth - !faulted) >= path->least && (path->most || !faulted),
	      "%s: there are as many as there must be", path->name);
	for (unsigned int i = 0; i < sites.count; i++)
		printf("#   %3u x %s\n", sites.times[i], sites.text[i]);
}

static void run_paths(void)
{
	struct scene scene = { .made = -1, .fresh.fd = -1, .ring.fd = -1 };
	__u8 name[MCP_NAME_SIZE];
	struct port keeper;

	test_name(name, "failnth.keeper");
	port_need(&keeper, 8 << 20);
	serve_need(&keeper, name);
	test_name(scene.name, "failnth");
	scene.memory = memfd_create("failnth", MFD_CLOEXEC);
	port_need(&scene.server, ARENA);
	serve_need(&scene.server, scene.name);
	port_need(&scene.client, ARENA);
	scene.handle = open_handle(&scene.client, scene.name, ALL_RIGHTS, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		sweep(&scene, &paths[i]);
	close(scene.handle);
	close(scene.memory);
	port_close(&scene.client);
	port_close(&scene.server);
	check_accounts(name);
	port_close(&keeper);
}

/* ---- insmod -------------------------------------------------------------- */

#define LAST_FAULTS	120

/* How many places to fail loading has, when none does. 0 when it cannot be told. */
static unsigned int count_places(void)
{
	char text[16] = "";
	int error;

	arm(MANY);
	error = module_load();
	if (pread(fail_fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	disarm();
	return error || module_unload(SOON) ? 0 : MANY - (unsigned int)atoi(text);
}

/*
 * Loading the module, from the last place on: what the module itself does is the
 * end of it, and what comes before is the kernel's loader.
 */
static void run_load(void)
{
	unsigned int places, nth, refused = 0, ours = 0;
	static struct sites sites;
	bool good = true;
	char site[96];

	if (!module_path())
		bail_out("mcp.ko is not where it can be loaded from");
	check(!module_unload(SOON), "the module is unloaded");
	places = count_places();
	check(places > LAST_FAULTS, "loading has %u places to fail", places);
	for (nth = places; good && nth && places - nth < LAST_FAULTS; nth--) {
		bool faulted;
		int error;

		arm(nth);
		error = module_load();
		faulted = disarm();
		if (faulted) {
			read_site(site);
			count_site(&sites, site);
			ours += !strstr(site, "outside");
		}
		refused += error < 0;
		/* What was not refused may be one place shorter than before. */
		good = error ? faulted && (error == -ENOMEM || error == -EFAULT) &&
				       access(MCP_DEVICE, F_OK) :
			       !module_unload(SOON);
		if (!good)
			printf("# fault %u (%s): %s\n", nth, site, strerror(-error));
	}
	check(good, "loading: the last %u fail, %u are refused, and nothing is left of it",
	      places - nth, refused);
	check(ours >= 5, "loading: %u of them are the module's", ours);
	for (unsigned int i = 0; i < sites.count; i++)
		printf("#   %3u x %s\n", sites.times[i], sites.text[i]);
	check(!module_load(), "and it loads");
}

int main(void)
{
	test_begin();
	alarm(3000);
	faults_need();
	run_paths();
	run_load();
	return test_end();
}
