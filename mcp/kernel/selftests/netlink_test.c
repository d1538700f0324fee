// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: the generic netlink family: what each request answers, to whom, and
 * to bad input; big dumps; notice of changes; counters that add up.
 * Context: user space, root; needs no other program.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_genl.h"
#include "mcp_test.h"

#define ARENA		(256u << 10)
#define MANY_ENDPOINTS	200
#define MANY_TOOLS	256
#define MANY_HANDLES	160
#define OTHER		1234	/* a user, and a group */

static struct genl genl;
/* Most questions are asked by this one. */
static struct port asker;

static void begin(unsigned int command, unsigned int flags, int port)
{
	genl_begin(&genl, command, flags);
	genl_put_u32(&genl, MCP_A_LIMITS_PORT, port);
}

static const struct nlmsghdr *answer(void)
{
	return (const void *)genl.answer;
}

static void begin_tools(int port, const char *endpoint)
{
	begin(MCP_NL_CMD_TOOL_GET, NLM_F_DUMP, port);
	genl_put(&genl, MCP_A_TOOL_ENDPOINT, endpoint, strlen(endpoint) + 1);
}

/* ---- One endpoint among all ---- */

struct wanted {
	const char *name;
	unsigned int found;
	__u64 sender, generation, uid, gid, mode, flags, rights, tools, handles, calls;
	__u64 max_inflight;
};

static void endpoint_entry(const struct nlmsghdr *message, void *argument)
{
	struct wanted *wanted = argument;

	if (strcmp(genl_string(message, MCP_A_ENDPOINT_NAME), wanted->name))
		return;
	wanted->found++;
	wanted->sender = genl_number(message, MCP_A_ENDPOINT_SENDER);
	wanted->generation = genl_number(message, MCP_A_ENDPOINT_GENERATION);
	wanted->uid = genl_number(message, MCP_A_ENDPOINT_UID);
	wanted->gid = genl_number(message, MCP_A_ENDPOINT_GID);
	wanted->mode = genl_number(message, MCP_A_ENDPOINT_MODE);
	wanted->flags = genl_number(message, MCP_A_ENDPOINT_FLAGS);
	wanted->rights = genl_number(message, MCP_A_ENDPOINT_RIGHTS);
	wanted->tools = genl_number(message, MCP_A_ENDPOINT_TOOLS);
	wanted->handles = genl_number(message, MCP_A_ENDPOINT_HANDLES);
	wanted->calls = genl_number(message, MCP_A_ENDPOINT_CALLS);
	wanted->max_inflight = genl_number(message, MCP_A_ENDPOINT_MAX_INFLIGHT);
}

static struct wanted look(const struct port *port, const __u8 *name)
{
	struct wanted wanted = { .name = (const char *)name };

	begin(MCP_NL_CMD_ENDPOINT_GET, NLM_F_DUMP, port->fd);
	if (genl_dump(&genl, endpoint_entry, &wanted, NULL) < 0)
		wanted.found = ~0u;
	return wanted;
}

struct visitor {
	const __u8 *name;
	unsigned int rights;	/* 0: it must not be there */
};

/* In a child of another user. */
static int visit(void *argument)
{
	const struct visitor *visitor = argument;
	struct wanted seen;
	struct port port;
	long tools;

	if (genl_open(&genl) || port_open(&port, 0))
		return 90;
	seen = look(&port, visitor->name);
	begin_tools(port.fd, (const char *)visitor->name);
	tools = genl_dump(&genl, NULL, NULL, NULL);
	if (!visitor->rights)
		return seen.found != 0 ? 1 : tools != -ENOENT ? 2 : 0;
	return seen.found != 1 ? 3 : seen.rights != visitor->rights ? 4 : tools != 3 ? 5 : 0;
}

static void test_endpoints(void)
{
	struct mcp_tool tools[] = {
		tool_row(1, 0, 1, "a"), tool_row(2, 0, 2, "b"), tool_row(9, 0, 9, "c"),
	};
	struct mcp_serve args;
	struct visitor visitor;
	struct wanted seen;
	struct port server;
	__u8 name[MCP_NAME_SIZE];
	int handle;

	port_need(&server, ARENA);
	test_name(name, "seen");
	visitor = (struct visitor){ .name = name };
	check(look(&asker, name).found == 0, "an endpoint that is not served is not told");
	serve_need(&server, name);
	seen = look(&asker, name);
	check(seen.found == 1, "one that is served is told once");
	check(!seen.uid && !seen.gid && seen.mode == 0700 && !seen.flags,
	      "with owner, group, mode and flags");
	check(seen.rights == ALL_RIGHTS, "with the rights that OPEN would give");
	check(seen.tools == 3 && seen.generation == 1 && seen.sender, "with its table's size");
	check(!seen.handles && !seen.calls && seen.max_inflight == 1024, "and what is in use");
	handle = open_handle(&asker, name, ALL_RIGHTS, NULL);
	check(look(&asker, name).handles == 1, "a handle is counted");
	close(handle);
	check(!look(&asker, name).handles, "until it is closed");
	check(as_user(OTHER, OTHER, OTHER, visit, &visitor) == 0,
	      "a user who may not open it sees neither it nor its tools");
	port_close(&server);
	check(look(&asker, name).found == 0, "and one whose file is closed is gone");

	port_need(&server, ARENA);
	test_name(name, "seen.by.others");
	args = serve_args(name);
	args.mode = 0704;
	args.gid = OTHER + 2;
	args.tools = address(tools);
	args.ntools = ARRAY_SIZE(tools);
	check_errno(call(server.fd, MCP_IOC_SERVE, &args), 0, "an endpoint for others");
	visitor.rights = MCP_RIGHT_QUERY | MCP_RIGHT_READ;
	check(as_user(OTHER, OTHER, OTHER, visit, &visitor) == 0,
	      "a user who may open it sees it with the rights of others, and its tools");
	port_close(&server);

	port_need(&server, ARENA);
	test_name(name, "seen.by.group");
	args = serve_args(name);
	args.mode = 0020;
	args.gid = OTHER;
	args.tools = address(tools);
	args.ntools = ARRAY_SIZE(tools);
	check_errno(call(server.fd, MCP_IOC_SERVE, &args), 0, "an endpoint for a group");
	visitor.rights = MCP_RIGHT_WRITE | MCP_RIGHT_FDS;
	check(as_user(OTHER + 1, OTHER + 1, OTHER, visit, &visitor) == 0,
	      "a user of its group sees it with the rights of the group");
	visitor.rights = 0;
	check(as_user(OTHER + 1, OTHER + 1, OTHER + 1, visit, &visitor) == 0,
	      "another user does not");
	check(look(&asker, name).found == 0, "nor does its owner, whom its mode gives nothing");
	port_close(&server);
}

/* ---- Tools ---- */

struct tools {
	unsigned int count, good;
	__u32 last;
	bool ordered;
};

static void tool_entry(const struct nlmsghdr *message, void *argument)
{
	const struct nlattr *digest = genl_attr(message, MCP_A_TOOL_DIGEST);
	__u32 id = genl_number(message, MCP_A_TOOL_ID);
	struct tools *tools = argument;
	__u8 expected[MCP_DIGEST_SIZE];
	char name[16];

	snprintf(name, sizeof(name), "tool.%u", id);
	fill_digest(expected, id);
	tools->ordered = tools->ordered && id > tools->last;
	tools->last = id;
	tools->count++;
	tools->good += genl_number(message, MCP_A_TOOL_FLAGS) == (id & 1) &&
		       genl_number(message, MCP_A_TOOL_GENERATION) == 1 &&
		       !strcmp(genl_string(message, MCP_A_TOOL_NAME), name) && digest &&
		       digest->nla_len == NLA_HDRLEN + MCP_DIGEST_SIZE &&
		       !memcmp(digest + 1, expected, sizeof(expected));
}

static void test_tools(void)
{
	static struct mcp_tool rows[MANY_TOOLS];
	struct tools tools = { .ordered = true };
	bool interrupted = false, done = false;
	struct mcp_update update = { .size = sizeof(update), .tool_size = sizeof(rows[0]) };
	struct mcp_serve args;
	struct port server;
	__u8 name[MCP_NAME_SIZE];
	char text[16];
	unsigned int i;
	long step;

	for (i = 0; i < MANY_TOOLS; i++) {
		snprintf(text, sizeof(text), "tool.%u", 3 * i + 1);
		rows[i] = tool_row(3 * i + 1, (3 * i + 1) & MCP_TOOL_READ_ONLY, 3 * i + 1, text);
	}
	port_need(&server, ARENA);
	test_name(name, "tools");
	args = serve_args(name);
	args.tools = address(rows);
	args.ntools = MANY_TOOLS;
	check_errno(call(server.fd, MCP_IOC_SERVE, &args), 0, "an endpoint with %d tools",
		    MANY_TOOLS);
	begin_tools(asker.fd, (char *)name);
	check(genl_dump(&genl, tool_entry, &tools, &interrupted) == MANY_TOOLS,
	      "all of them are told");
	check(tools.good == MANY_TOOLS && tools.ordered, "each as it was served, in order");
	check(!interrupted, "and nothing has changed meanwhile");

	begin_tools(asker.fd, (char *)name);
	check_errno(genl_send(&genl), 0, "a dump that is read slowly");
	step = genl_dump_step(&genl, NULL, NULL, &interrupted, &done);
	check(step > 0 && step < MANY_TOOLS && !done && !interrupted, "its first piece");
	update.tools = address(rows);
	update.ntools = MANY_TOOLS - 1;
	check_errno(call(server.fd, MCP_IOC_UPDATE, &update), 0, "another table meanwhile");
	while (!done && step >= 0)
		step = genl_dump_step(&genl, NULL, NULL, &interrupted, &done);
	check(done && interrupted, "is told by NLM_F_DUMP_INTR");

	begin_tools(asker.fd, (char *)name);
	check_errno(genl_send(&genl), 0, "a dump");
	genl_dump_step(&genl, NULL, NULL, NULL, &done);
	port_close(&server);
	for (done = false, step = 0; !done && step >= 0;)
		step = genl_dump_step(&genl, NULL, NULL, NULL, &done);
	check(done && step >= 0, "goes on when its endpoint is gone");
	begin_tools(asker.fd, (char *)name);
	check_errno(genl_dump(&genl, NULL, NULL, NULL), ENOENT, "the next finds none");
}

/* ---- Many endpoints ---- */

struct seen {
	char prefix[MCP_NAME_SIZE];
	unsigned char times[MANY_ENDPOINTS];
	unsigned int others;
};

static void many_entry(const struct nlmsghdr *message, void *argument)
{
	const char *name = genl_string(message, MCP_A_ENDPOINT_NAME);
	struct seen *seen = argument;
	size_t length = strlen(seen->prefix);
	unsigned long number;

	if (strncmp(name, seen->prefix, length)) {
		seen->others++;
		return;
	}
	number = strtoul(name + length, NULL, 10);
	if (number < MANY_ENDPOINTS)
		seen->times[number]++;
}

static void test_many(void)
{
	static struct port ports[MANY_ENDPOINTS];
	static struct seen seen;
	bool interrupted = false, done = false;
	unsigned int i, once = 0;
	__u8 name[MCP_NAME_SIZE];
	char suffix[16];
	long step;

	for (i = 0; i < MANY_ENDPOINTS; i++) {
		struct mcp_serve args;

		snprintf(suffix, sizeof(suffix), "many.%u", i);
		test_name(name, suffix);
		args = serve_args(name);
		port_need(&ports[i], MCP_ARENA_MIN);
		if (call(ports[i].fd, MCP_IOC_SERVE, &args))
			bail_out("one of many endpoints");
	}
	test_name(name, "many.");
	snprintf(seen.prefix, sizeof(seen.prefix), "%s", (char *)name);
	begin(MCP_NL_CMD_ENDPOINT_GET, NLM_F_DUMP, asker.fd);
	genl_dump(&genl, many_entry, &seen, &interrupted);
	for (i = 0; i < MANY_ENDPOINTS; i++)
		once += seen.times[i] == 1;
	check(once == MANY_ENDPOINTS && !interrupted, "%u of %d endpoints are told once", once,
	      MANY_ENDPOINTS);

	begin(MCP_NL_CMD_ENDPOINT_GET, NLM_F_DUMP, asker.fd);
	check_errno(genl_send(&genl), 0, "a dump of them");
	step = genl_dump_step(&genl, NULL, NULL, &interrupted, &done);
	check(step > 0 && !done && !interrupted, "its first piece is not all");
	port_close(&ports[0]);
	while (!done && step >= 0)
		step = genl_dump_step(&genl, NULL, NULL, &interrupted, &done);
	check(done && interrupted, "that one went meanwhile is told by NLM_F_DUMP_INTR");
	for (i = 1; i < MANY_ENDPOINTS; i++)
		port_close(&ports[i]);
}

/* ---- Handles ---- */

struct handles {
	__u64 sender;		/* the one that is looked for */
	unsigned int count, found;
	__u64 parent, depth, rights, uid, expiry, error, max_inflight, max_bytes, calls, bytes;
	char label[MCP_LABEL_SIZE + 1], endpoint[MCP_NAME_SIZE];
};

static void handle_entry(const struct nlmsghdr *message, void *argument)
{
	struct handles *handles = argument;

	handles->count++;
	if (genl_number(message, MCP_A_HANDLE_SENDER) != handles->sender)
		return;
	handles->found++;
	handles->parent = genl_number(message, MCP_A_HANDLE_PARENT);
	handles->depth = genl_number(message, MCP_A_HANDLE_DEPTH);
	handles->rights = genl_number(message, MCP_A_HANDLE_RIGHTS);
	handles->uid = genl_number(message, MCP_A_HANDLE_UID);
	handles->expiry = genl_number(message, MCP_A_HANDLE_EXPIRY);
	handles->error = genl_number(message, MCP_A_HANDLE_ERROR);
	handles->max_inflight = genl_number(message, MCP_A_HANDLE_MAX_INFLIGHT);
	handles->max_bytes = genl_number(message, MCP_A_HANDLE_MAX_BYTES);
	handles->calls = genl_number(message, MCP_A_HANDLE_CALLS);
	handles->bytes = genl_number(message, MCP_A_HANDLE_BODY_BYTES);
	snprintf(handles->label, sizeof(handles->label), "%s",
		 genl_string(message, MCP_A_HANDLE_LABEL));
	snprintf(handles->endpoint, sizeof(handles->endpoint), "%s",
		 genl_string(message, MCP_A_HANDLE_ENDPOINT));
}

static struct handles find_handle(const struct port *port, __u64 sender)
{
	struct handles handles = { .sender = sender };

	begin(MCP_NL_CMD_HANDLE_GET, NLM_F_DUMP, port->fd);
	if (genl_dump(&genl, handle_entry, &handles, NULL) < 0)
		handles.found = ~0u;
	return handles;
}

struct stranger {
	const __u8 *name;
	__u64 sender;		/* of a handle of root's */
};

/* Another user opens one of its own; it sees that one alone. */
static int see_own_handles(void *argument)
{
	const struct stranger *stranger = argument;
	struct handles seen;
	struct port port;
	__u64 sender;

	if (genl_open(&genl) || port_open(&port, 0))
		return 90;
	if (open_handle(&port, stranger->name, MCP_RIGHT_READ, &sender) < 0)
		return 91;
	if (find_handle(&port, stranger->sender).found)
		return 1;
	seen = find_handle(&port, sender);
	return seen.found != 1 ? 2 : seen.count != 1 ? 3 : seen.uid != OTHER ? 4 : 0;
}

static void test_handles(void)
{
	__u64 parent_sender, other_sender, expiry = now_ns() + 3600000000000ull;
	struct stranger stranger;
	struct mcp_serve args;
	struct mcp_grant grant_of;
	struct handles seen;
	struct port server;
	__u8 name[MCP_NAME_SIZE];
	int parent, child;

	port_need(&server, ARENA);
	test_name(name, "handles");
	args = serve_args(name);
	args.mode = 0704;
	args.gid = OTHER + 2;
	check_errno(call(server.fd, MCP_IOC_SERVE, &args), 0, "an endpoint");
	parent = open_handle(&asker, name, ALL_RIGHTS, &parent_sender);
	check_errno(parent, 0, "a handle");
	seen = find_handle(&asker, parent_sender);
	check(seen.found == 1 && !strcmp(seen.endpoint, (char *)name) &&
	      seen.rights == ALL_RIGHTS && !seen.depth && !seen.uid,
	      "is told with endpoint, rights, depth and user");
	check(seen.parent == ~0ull && seen.expiry == ~0ull && seen.error == ~0ull &&
	      !seen.label[0], "and without what it has not");
	check(seen.max_inflight == MCP_MAX_INFLIGHT && !seen.calls && !seen.bytes,
	      "with its limits and counters");

	grant_of = grant_args(parent, MCP_RIGHT_READ);
	grant_of.max_inflight = 7;
	grant_of.max_bytes = 4096;
	grant_of.expiry = expiry;
	memcpy(grant_of.label, "agent.7", 7);
	child = grant(&asker, &grant_of);
	seen = find_handle(&asker, grant_of.sender);
	check(seen.found == 1 && seen.parent == parent_sender && seen.depth == 1 &&
	      seen.rights == MCP_RIGHT_READ, "one that was granted has its parent's id");
	check(!strcmp(seen.label, "agent.7") && seen.expiry == expiry &&
	      seen.max_inflight == 7 && seen.max_bytes == 4096, "with label, expiry and limits");
	revoke(&asker, parent, grant_of.sender);
	check(find_handle(&asker, grant_of.sender).error == EKEYREVOKED,
	      "a revoked one says so until it is closed");
	close(child);
	check(!find_handle(&asker, grant_of.sender).found, "then it is gone");

	stranger = (struct stranger){ .name = name, .sender = parent_sender };
	check(as_user(OTHER, OTHER, OTHER, see_own_handles, &stranger) == 0,
	      "another user sees its own handles alone");
	other_sender = parent_sender;
	check(find_handle(&asker, other_sender).count >= 1, "and root's stays");
	close(parent);
	port_close(&server);
}

/* Opens what is named on ends[2], tells the id on ends[1], waits for a byte. */
static int keep_handle(void *argument)
{
	int *ends = argument;
	__u8 name[MCP_NAME_SIZE];
	struct port port;
	__u64 sender = 0;
	char byte;

	if (read(ends[2], name, sizeof(name)) != sizeof(name) || port_open(&port, 0) ||
	    open_handle(&port, name, MCP_RIGHT_READ, &sender) < 0)
		sender = 0;
	if (write(ends[1], &sender, sizeof(sender)) != sizeof(sender))
		return 1;
	return read(ends[2], &byte, 1) != 1 || !sender;
}

/* The port of an administrator shows the handles of all. */
static void test_all_handles(void)
{
	struct mcp_serve args;
	struct port server;
	__u8 name[MCP_NAME_SIZE];
	__u64 sender = 0;
	int ends[4], result;
	pid_t child;

	port_need(&server, ARENA);
	test_name(name, "others.handles");
	args = serve_args(name);
	args.mode = 0704;
	args.gid = OTHER + 2;
	if (call(server.fd, MCP_IOC_SERVE, &args) || pipe(ends) || pipe(ends + 2))
		bail_out("an endpoint and two pipes");
	child = fork();
	if (!child)
		_exit(as_user(OTHER, OTHER, OTHER, keep_handle, ends));
	if (write(ends[3], name, sizeof(name)) != sizeof(name) ||
	    read(ends[0], &sender, sizeof(sender)) != sizeof(sender))
		bail_out("a child with a handle");
	check(sender && find_handle(&asker, sender).uid == OTHER,
	      "a port with CAP_SYS_ADMIN sees the handle of another user");
	if (write(ends[3], name, 1) != 1 || waitpid(child, &result, 0) != child)
		bail_out("the end of that child");
	check(WIFEXITED(result) && !WEXITSTATUS(result), "which was opened as it should be");
	for (unsigned int i = 0; i < ARRAY_SIZE(ends); i++)
		close(ends[i]);
	port_close(&server);
}

/* ---- Limits ---- */

static __u64 limit(unsigned int attribute)
{
	begin(MCP_NL_CMD_LIMITS_GET, 0, asker.fd);
	return genl_ask(&genl) > 0 ? genl_number(answer(), attribute) : ~0ull;
}

static void test_limits(void)
{
	static const struct {
		unsigned int attribute;
		__u64 value;
	} same[] = {
		{ MCP_A_LIMITS_ABI_VERSION, MCP_ABI_VERSION },
		{ MCP_A_LIMITS_NAME, MCP_NAME_MAX },
		{ MCP_A_LIMITS_LABEL, MCP_LABEL_SIZE },
		{ MCP_A_LIMITS_BODY, MCP_MAX_BODY },
		{ MCP_A_LIMITS_FDS, MCP_MAX_FDS },
		{ MCP_A_LIMITS_TOOL_ID, MCP_TOOL_ID_MAX },
		{ MCP_A_LIMITS_DEPTH, MCP_MAX_DEPTH },
		{ MCP_A_LIMITS_NESTING, MCP_MAX_NESTING },
		{ MCP_A_LIMITS_INFLIGHT, MCP_MAX_INFLIGHT },
		{ MCP_A_LIMITS_ARENA_MIN, MCP_ARENA_MIN },
		{ MCP_A_LIMITS_ARENA_MAX, MCP_ARENA_MAX },
		{ MCP_A_LIMITS_UID, 0 },
		{ MCP_A_LIMITS_MAX_USER_INFLIGHT, 1024 },
		{ MCP_A_LIMITS_MAX_USER_BYTES, 64 << 20 },
		{ MCP_A_LIMITS_MAX_USER_HANDLES, 1024 },
	};
	struct port server;
	__u8 name[MCP_NAME_SIZE];
	__u64 handles;
	unsigned int i;
	int handle;

	for (i = 0; i < ARRAY_SIZE(same); i++)
		check(limit(same[i].attribute) == same[i].value, "limit %u is %llu",
		      same[i].attribute, (unsigned long long)same[i].value);
	port_need(&server, ARENA);
	test_name(name, "limits");
	serve_need(&server, name);
	handles = limit(MCP_A_LIMITS_USER_HANDLES);
	handle = open_handle(&asker, name, MCP_RIGHT_READ, NULL);
	check(limit(MCP_A_LIMITS_USER_HANDLES) == handles + 1, "a handle counts for its user");
	close(handle);
	check(limit(MCP_A_LIMITS_USER_HANDLES) == handles, "until it is closed");
	port_close(&server);
}

/* ---- Statistics ---- */

struct statistics {
	__u64 generation, requests, responses, notifications, cancels, copied, refused;
};

/* @reason: which errno @refused counts. */
static struct statistics statistics(unsigned int reason)
{
	struct statistics all = { 0 };
	const struct nlattr *nest = NULL;

	begin(MCP_NL_CMD_STATISTICS_GET, 0, asker.fd);
	if (genl_ask(&genl) <= 0)
		bail_out("statistics");
	all.generation = genl_number(answer(), MCP_A_STATISTICS_GENERATION);
	all.requests = genl_number(answer(), MCP_A_STATISTICS_REQUESTS);
	all.responses = genl_number(answer(), MCP_A_STATISTICS_RESPONSES);
	all.notifications = genl_number(answer(), MCP_A_STATISTICS_NOTIFICATIONS);
	all.cancels = genl_number(answer(), MCP_A_STATISTICS_CANCELS);
	all.copied = genl_number(answer(), MCP_A_STATISTICS_COPIED);
	while ((nest = genl_next(answer(), nest, MCP_A_STATISTICS_REFUSED)))
		if (genl_value(genl_nested(nest, MCP_A_REFUSED_ERRNO)) == reason)
			all.refused = genl_value(genl_nested(nest, MCP_A_REFUSED_COUNT));
	return all;
}

static long send_frame(const struct port *port, const struct mcp_frame *frame)
{
	return write(port->fd, frame, sizeof(*frame)) < 0 ? -errno : 0;
}

/* The next message, released; its cookie. */
static __u64 receive_frame(const struct port *port)
{
	struct mcp_frame frame;

	if (read(port->fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("a message");
	if (frame.envelope.kind != MCP_REQUEST)
		call(port->fd, MCP_IOC_RELEASE, (void *)(uintptr_t)(frame.slot & ~255u));
	return frame.envelope.cookie;
}

static void test_statistics(void)
{
	static const char body[777];
	struct statistics before, after;
	struct mcp_frame frame;
	struct port client, server;
	struct handles seen;
	__u8 name[MCP_NAME_SIZE];
	__u64 cookie, sender;
	int handle;

	port_need(&server, ARENA);
	port_need(&client, ARENA);
	test_name(name, "statistics");
	before = statistics(0);
	serve_need(&server, name);
	check(statistics(0).generation == before.generation + 1, "SERVE is a new generation");
	handle = open_handle(&client, name, MCP_RIGHT_READ, &sender);

	before = statistics(0);
	frame = frame_request(handle, TOOL_READ, body, sizeof(body));
	frame.envelope.credit = 4;
	check_errno(send_frame(&client, &frame), 0, "a request of 777 bytes");
	cookie = receive_frame(&server);
	after = statistics(0);
	check(after.requests == before.requests + 1 && after.responses == before.responses,
	      "is one request");
	check(after.copied == before.copied + 777, "and 777 bytes copied, no more");

	before = after;
	frame = frame_notify(cookie, body, 33);
	check_errno(send_frame(&server, &frame), 0, "a notification of 33 bytes");
	receive_frame(&client);
	frame = frame_response(cookie, body, 200);
	check_errno(send_frame(&server, &frame), 0, "a response of 200 bytes");
	receive_frame(&client);
	after = statistics(0);
	check(after.notifications == before.notifications + 1 &&
	      after.responses == before.responses + 1 && after.requests == before.requests &&
	      after.cancels == before.cancels, "are one of each");
	check(after.copied == before.copied + 233, "and 233 bytes copied");

	frame = frame_request(handle, TOOL_READ, NULL, 0);
	check_errno(send_frame(&client, &frame), 0, "a request without a body");
	cookie = receive_frame(&server);
	before = after;
	frame = frame_cancel(cookie);
	check_errno(send_frame(&client, &frame), 0, "that is cancelled");
	receive_frame(&server);
	receive_frame(&client);
	after = statistics(0);
	check(after.cancels == before.cancels + 1 && after.responses == before.responses + 1 &&
	      after.copied == before.copied, "is a CANCEL, the kernel's RESPONSE, and no copy");

	before = statistics(EACCES);
	frame = frame_request(handle, TOOL_WRITE, body, 10);
	check_errno(send_frame(&client, &frame), EACCES, "a request without the right");
	after = statistics(EACCES);
	check(after.refused == before.refused + 1 && after.copied == before.copied &&
	      after.requests == before.requests, "is refused: one more for EACCES, no copy");
	before = statistics(ENOENT);
	frame = frame_response(~0ull, NULL, 0);
	check_errno(send_frame(&client, &frame), ENOENT, "a response to nothing");
	check(statistics(ENOENT).refused == before.refused + 1, "is one more for ENOENT");
	before = statistics(EINVAL);
	frame.envelope.reserved = 1;
	check_errno(send_frame(&client, &frame), EINVAL, "a malformed frame");
	check(statistics(EINVAL).refused == before.refused + 1, "is one more for EINVAL");

	seen = find_handle(&asker, sender);
	check(seen.calls == 2 && seen.bytes == 777, "the handle has counted 2 requests, 777 bytes");
	check(look(&asker, name).calls == 2, "and the endpoint 2 requests");
	close(handle);
	port_close(&client);
	port_close(&server);
}

/* ---- Events ---- */

static unsigned int count_attributes(const struct nlmsghdr *message)
{
	const char *at = (const char *)message + NLMSG_HDRLEN + GENL_HDRLEN;
	const char *end = (const char *)message + message->nlmsg_len;
	unsigned int count = 0;

	while (at < end) {
		at += NLA_ALIGN(((const struct nlattr *)at)->nla_len);
		count++;
	}
	return count;
}

static __u64 last_generation;

static void check_event(struct genl *listener, unsigned int change, const char *what)
{
	const struct nlmsghdr *message = (const void *)listener->answer;
	const struct genlmsghdr *header = (const void *)(listener->answer + NLMSG_HDRLEN);
	long got = genl_receive(listener, SOON);
	__u64 generation;

	check(got > 0 && message->nlmsg_type == listener->family &&
	      header->cmd == MCP_NL_CMD_CHANGED &&
	      genl_number(message, MCP_A_EVENT_CHANGE) == change, "%s is told", what);
	generation = genl_number(message, MCP_A_EVENT_GENERATION);
	check(!last_generation || generation == last_generation + 1, "with the next generation");
	check(count_attributes(message) == 2, "and with nothing else");
	last_generation = generation;
}

static int join(struct genl *listener)
{
	return setsockopt(listener->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &listener->events,
			  sizeof(listener->events)) ? -errno : 0;
}

static void test_events(void)
{
	static struct genl listener;
	struct mcp_update update = { .size = sizeof(update) };
	struct mcp_tool tool = tool_row(1, 0, 1, "one");
	struct port server;
	__u8 name[MCP_NAME_SIZE];

	check_errno(genl_open(&listener), 0, "a socket that listens");
	check_errno(join(&listener), 0, "it joins the group events");
	port_need(&server, ARENA);
	test_name(name, "events");
	serve_need(&server, name);
	check_event(&listener, MCP_CHANGE_ADDED, "SERVE");
	update.tools = address(&tool);
	update.ntools = 1;
	update.tool_size = sizeof(tool);
	check_errno(call(server.fd, MCP_IOC_UPDATE, &update), 0, "an UPDATE");
	check_event(&listener, MCP_CHANGE_TOOLS, "it");
	check_errno(call(server.fd, MCP_IOC_UPDATE, &update), 0, "an UPDATE to the same");
	check(genl_receive(&listener, NEVER) == -ETIMEDOUT, "is not told");
	close(open_handle(&asker, name, MCP_RIGHT_READ, NULL));
	check(genl_receive(&listener, NEVER) == -ETIMEDOUT, "nor is a handle");
	port_close(&server);
	check_event(&listener, MCP_CHANGE_REMOVED, "the end");
	check(statistics(0).generation == last_generation, "statistics have the same generation");
	genl_close(&listener);
}

/* ---- The switch of audit records ---- */

static long audit_calls(void)
{
	genl_begin(&genl, MCP_NL_CMD_AUDIT_GET, 0);
	return genl_ask(&genl) > 0 ? (long)genl_number(answer(), MCP_A_AUDIT_CALLS) : -1;
}

static int set_audit(unsigned int on)
{
	__u8 value = on;

	genl_begin(&genl, MCP_NL_CMD_AUDIT_SET, NLM_F_ACK);
	genl_put(&genl, MCP_A_AUDIT_CALLS, &value, sizeof(value));
	return genl_ask(&genl);
}

static int set_audit_as_other(void *unused)
{
	(void)unused;
	return genl_open(&genl) ? 90 : set_audit(1) == -EPERM ? 0 : 1;
}

static int set_audit_with_root_s_socket(void *unused)
{
	(void)unused;
	return set_audit(1) == -EPERM ? 0 : 1;
}

static void test_audit_switch(void)
{
	check(audit_calls() == 0, "calls are no audit records, by default");
	check_errno(set_audit(1), 0, "they are made so");
	check(audit_calls() == 1, "and are");
	check_errno(set_audit(1), 0, "once more is no error");
	check_errno(set_audit(0), 0, "and no longer");
	check(audit_calls() == 0, "and are not");
	check(as_user(OTHER, OTHER, OTHER, set_audit_as_other, NULL) == 0,
	      "EPERM without CAP_AUDIT_CONTROL");
	check(as_user(OTHER, OTHER, OTHER, set_audit_with_root_s_socket, NULL) == 0,
	      "EPERM for root's socket in another user's hands");
	check_errno(set_audit(2), ERANGE, "2 is neither");
	genl_begin(&genl, MCP_NL_CMD_AUDIT_SET, NLM_F_ACK);
	check_errno(genl_ask(&genl), EINVAL, "nothing is neither");
	check(audit_calls() == 0, "and nothing has changed");
}

/* ---- Bad input ---- */

static const unsigned int with_port[] = { MCP_NL_CMD_ENDPOINT_GET, MCP_NL_CMD_TOOL_GET,
	MCP_NL_CMD_HANDLE_GET, MCP_NL_CMD_LIMITS_GET, MCP_NL_CMD_STATISTICS_GET };

static bool is_dump(unsigned int command)
{
	return command <= MCP_NL_CMD_HANDLE_GET;
}

static void put_name(unsigned int command)
{
	if (command == MCP_NL_CMD_TOOL_GET)
		genl_put(&genl, MCP_A_TOOL_ENDPOINT, "x", 2);
}

static long ask(unsigned int command)
{
	return is_dump(command) ? genl_dump(&genl, NULL, NULL, NULL) : genl_ask(&genl);
}

static void start(unsigned int command)
{
	genl_begin(&genl, command, is_dump(command) ? NLM_F_DUMP : NLM_F_ACK);
}

static void test_bad_ports(void)
{
	int other = open("/dev/null", O_RDWR | O_CLOEXEC), ends[2];
	unsigned int i;

	if (other < 0 || pipe(ends))
		bail_out("files");
	for (i = 0; i < ARRAY_SIZE(with_port); i++) {
		unsigned int command = with_port[i];

		start(command);
		put_name(command);
		check_errno(ask(command), EINVAL, "request %u without a port", command);
		start(command);
		genl_put_u32(&genl, MCP_A_LIMITS_PORT, 999);
		put_name(command);
		check_errno(ask(command), EBADF, "with a descriptor that is none");
		start(command);
		genl_put_u32(&genl, MCP_A_LIMITS_PORT, other);
		put_name(command);
		check_errno(ask(command), EBADF, "with one of another device");
		start(command);
		genl_put_u32(&genl, MCP_A_LIMITS_PORT, genl.fd);
		put_name(command);
		check_errno(ask(command), EBADF, "with the socket itself");
		start(command);
		genl_put_u32(&genl, MCP_A_LIMITS_PORT, ~0u);
		put_name(command);
		check_errno(ask(command), ERANGE, "with a negative one");
		start(command);
		genl_put_u32(&genl, MCP_A_LIMITS_PORT, asker.fd);
		genl_put_u32(&genl, 60, 0);
		check_errno(ask(command), EINVAL, "with an attribute that there is not");
	}
	close(ends[0]);
	close(ends[1]);
	close(other);
}

static void test_bad_requests(void)
{
	char name[MCP_NAME_MAX + 2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(with_port); i++) {
		unsigned int command = with_port[i];

		genl_begin(&genl, command, is_dump(command) ? NLM_F_ACK : NLM_F_DUMP);
		genl_put_u32(&genl, MCP_A_LIMITS_PORT, asker.fd);
		check_errno(genl_ask(&genl), EOPNOTSUPP, "request %u the other way", command);
	}
	for (i = MCP_NL_CMD_CHANGED; i < MCP_NL_CMD_CHANGED + 3; i++) {
		genl_begin(&genl, i, NLM_F_ACK);
		check_errno(genl_ask(&genl), EOPNOTSUPP, "%u is no request", i);
	}
	begin(MCP_NL_CMD_TOOL_GET, NLM_F_DUMP, asker.fd);
	check_errno(genl_dump(&genl, NULL, NULL, NULL), EINVAL, "tools of nothing");
	begin_tools(asker.fd, "");
	check_errno(genl_dump(&genl, NULL, NULL, NULL), ENOENT, "tools of an empty name");
	begin_tools(asker.fd, "no.such.endpoint");
	check_errno(genl_dump(&genl, NULL, NULL, NULL), ENOENT, "tools of what is not served");
	memset(name, 'x', sizeof(name));
	name[MCP_NAME_MAX + 1] = 0;
	begin_tools(asker.fd, name);
	check_errno(genl_dump(&genl, NULL, NULL, NULL), EINVAL, "a name of 49 characters");
	begin(MCP_NL_CMD_TOOL_GET, NLM_F_DUMP, asker.fd);
	genl_put(&genl, MCP_A_TOOL_ENDPOINT, "xyz", 3);
	check_errno(genl_dump(&genl, NULL, NULL, NULL), EINVAL, "a name without its zero");
}

/* ---- Life ---- */

static void test_life(void)
{
	struct genl *other = malloc(sizeof(*other));
	struct port port;
	bool done = false;
	long step = 0;
	int handle;
	__u8 name[MCP_NAME_SIZE];
	struct port server;
	unsigned int i;

	if (!other || genl_open(other))
		bail_out("a socket");
	port_need(&server, ARENA);
	port_need(&port, 0);
	test_name(name, "life");
	serve_need(&server, name);
	for (i = 0; i < MANY_HANDLES; i++) {
		handle = open_handle(&port, name, ALL_RIGHTS, NULL);
		if (handle < 0)
			bail_out("a handle");
		handle = dup2(handle, 100 + i) < 0 ? -1 : close(handle);
		if (handle)
			bail_out("a place for a handle");
	}
	genl_begin(other, MCP_NL_CMD_HANDLE_GET, NLM_F_DUMP);
	genl_put_u32(other, MCP_A_HANDLE_PORT, port.fd);
	check_errno(genl_send(other), 0, "a dump");
	check(genl_dump_step(other, NULL, NULL, NULL, &done) > 0 && !done, "its first piece");
	port_close(&port);
	while (!done && step >= 0)
		step = genl_dump_step(other, NULL, NULL, NULL, &done);
	check(done && step >= 0, "goes on when its port is closed");

	genl_begin(other, MCP_NL_CMD_HANDLE_GET, NLM_F_DUMP);
	genl_put_u32(other, MCP_A_HANDLE_PORT, asker.fd);
	check_errno(genl_send(other), 0, "a dump that nobody reads");
	genl_close(other);
	i = find_handle(&asker, 0).count;
	check(i >= MANY_HANDLES, "others read theirs: %u handles", i);
	for (i = 0; i < MANY_HANDLES; i++)
		close(100 + i);
	port_close(&server);
	free(other);
}

static int ask_from_another_network(void *unused)
{
	int error;

	(void)unused;
	if (unshare(CLONE_NEWNET))
		return errno == EINVAL ? 50 : 90;
	error = genl_open(&genl);
	return error == -ENOENT ? 0 : 1;
}

static void test_network(void)
{
	int result = in_child(ask_from_another_network, NULL);

	if (result == 50)
		printf("# this kernel has no network namespaces\n");
	else
		check(result == 0, "in another network namespace there is no such family");
}

int main(void)
{
	struct mcp_info info = { .size = sizeof(info) };

	test_begin();
	port_need(&asker, 0);
	check(!call(asker.fd, MCP_IOC_INFO, &info) && info.features & MCP_FEATURE_NETLINK,
	      "INFO tells the feature");
	if (!check_errno(genl_open(&genl), 0, "the family is there"))
		return test_end();
	check(genl.events && genl.events != ~0u, "with its group");
	test_endpoints();
	test_tools();
	test_many();
	test_handles();
	test_all_handles();
	test_limits();
	test_statistics();
	test_events();
	test_audit_switch();
	test_bad_ports();
	test_bad_requests();
	test_life();
	test_network();
	genl_close(&genl);
	return test_end();
}
