// SPDX-License-Identifier: GPL-2.0
/*
 * Test of endpoints: names, owners, tables of tools and what happens to
 * handles when a table changes.
 *
 * Usage: serve_test            on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_test.h"

enum { USER = 1000, OTHER_USER = 1001, GROUP = 2000, OTHER_GROUP = 2001 };

static void name_is(__u8 name[MCP_NAME_SIZE], const char *text)
{
	memset(name, 0, MCP_NAME_SIZE);
	memcpy(name, text, strlen(text));
}

static int serve(const struct port *port, struct mcp_serve args)
{
	return call(port->fd, MCP_IOC_SERVE, &args);
}

/* SERVE with one row. */
static int serve_row(const struct port *port, struct mcp_serve args, const struct mcp_tool *row)
{
	args.tools = address(row);
	args.ntools = 1;
	return serve(port, args);
}

/* ---- Arguments ----------------------------------------------------------- */

static void test_arguments(void)
{
	struct mcp_tool tool = tool_row(1, 0, 1, "tool");
	__u8 name[MCP_NAME_SIZE];
	struct mcp_serve good;
	struct port port;

	test_name(name, "arguments");
	good = serve_args(name);
	struct {
		const char *what;
		struct mcp_serve args;
		int error;
	} rows[] = {
		{ "a size too small", good, EINVAL },
		{ "a size above a page", good, E2BIG },
		{ "an unknown flag", good, EINVAL },
		{ "the last flag", good, EINVAL },
		{ "a mode of ten bits", good, EINVAL },
		{ "rows of no size", good, EINVAL },
		{ "rows of another size", good, EINVAL },
		{ "too many tools", good, EINVAL },
		{ "4 G tools", good, EINVAL },
		{ "tools at a bad address", good, EFAULT },
		{ "an address of no tools", good, EINVAL },
		{ "too many requests", good, EINVAL },
	};

	rows[0].args.size = MCP_SERVE_SIZE_VER0 - 1;
	rows[1].args.size = 8192;
	rows[2].args.flags = 1u << 2;
	rows[3].args.flags = 1u << 31;
	rows[4].args.mode = 01700;
	rows[5].args.ntools = 1;
	rows[5].args.tools = address(&tool);
	rows[5].args.tool_size = 0;
	rows[6].args.ntools = 1;
	rows[6].args.tools = address(&tool);
	rows[6].args.tool_size = sizeof(tool) + 8;
	rows[7].args.ntools = MCP_TOOL_ID_MAX + 1;
	rows[7].args.tools = address(&tool);
	rows[8].args.ntools = ~0u;
	rows[8].args.tools = address(&tool);
	rows[9].args.ntools = 1;
	rows[9].args.tools = 8;
	rows[10].args.tools = address(&tool);
	rows[11].args.max_inflight = ~0u;
	port_need(&port, MCP_ARENA_MIN);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_errno(serve(&port, rows[i].args), rows[i].error, "SERVE with %s",
			    rows[i].what);
	check_errno(call(port.fd, MCP_IOC_SERVE, NULL), EFAULT, "SERVE of nothing");
	check_errno(serve(&port, good), 0, "none of that has made it an endpoint");
	port_close(&port);
}

/* A later program's structure is longer: good as long as it asks for nothing more. */
static void test_longer(void)
{
	struct {
		struct mcp_serve args;
		__u64 more;
	} longer = { .more = 1 };
	struct port port;
	__u8 name[MCP_NAME_SIZE];

	port_need(&port, MCP_ARENA_MIN);
	test_name(name, "longer");
	longer.args = serve_args(name);
	longer.args.size = sizeof(longer);
	check_errno(call(port.fd, MCP_IOC_SERVE, &longer), E2BIG,
		    "a longer structure that asks for what this kernel does not know");
	longer.more = 0;
	longer.args = serve_args(name);
	longer.args.size = sizeof(longer);
	check_errno(call(port.fd, MCP_IOC_SERVE, &longer), 0, "a longer one that does not");
	port_close(&port);
}

static void test_names(void)
{
	static const char *const bad[] = {
		"", "a b", "a\nb", "a\"b", "a=b", "caf\xc3\xa9", "a*", "\x7f",
		"0123456789012345678901234567890123456789012345678",
	};
	static const char *const good[] = {
		"t", "A.b_c-d/e.0", "system", "sys",
		"012345678901234567890123456789012345678901234567",
	};
	__u8 name[MCP_NAME_SIZE];
	struct port port;

	port_need(&port, MCP_ARENA_MIN);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		name_is(name, bad[i]);
		check_errno(serve(&port, serve_args(name)), EINVAL, "bad name %zu", i);
	}
	name_is(name, "hidden");
	name[10] = 'x';
	check_errno(serve(&port, serve_args(name)), EINVAL, "something behind the name's end");
	port_close(&port);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		port_need(&port, MCP_ARENA_MIN);
		name_is(name, good[i]);
		check_errno(serve(&port, serve_args(name)), 0, "the name %s", good[i]);
		check_errno(open_handle(&port, name, MCP_RIGHT_QUERY, NULL), 0, "leads there");
		port_close(&port);
	}
}

static void test_tables(void)
{
	const struct mcp_tool good = tool_row(1, MCP_TOOL_READ_ONLY, 1, "tool");
	struct mcp_tool rows[2], bad = good;
	static struct mcp_tool all[MCP_TOOL_ID_MAX];
	__u8 name[MCP_NAME_SIZE];
	struct mcp_serve args;
	struct port port;

	test_name(name, "tables");
	args = serve_args(name);
	port_need(&port, MCP_ARENA_MIN);
	bad.id = 0;
	check_errno(serve_row(&port, args, &bad), EINVAL, "a tool of id 0");
	bad.id = MCP_TOOL_ID_MAX + 1;
	check_errno(serve_row(&port, args, &bad), EINVAL, "a tool id above the last");
	bad.id = ~0u;
	check_errno(serve_row(&port, args, &bad), EINVAL, "the largest number");
	bad = good;
	bad.flags = 1u << 1;
	check_errno(serve_row(&port, args, &bad), EINVAL, "an unknown flag of a tool");
	bad = good;
	bad.name[0] = 0;
	check_errno(serve_row(&port, args, &bad), EINVAL, "a tool without a name");
	bad = good;
	bad.name[1] = ' ';
	check_errno(serve_row(&port, args, &bad), EINVAL, "a tool with a space in its name");
	bad = good;
	memset(bad.name, 'x', sizeof(bad.name));
	check_errno(serve_row(&port, args, &bad), EINVAL, "a tool whose name does not end");
	bad = good;
	bad.name[MCP_NAME_SIZE - 1] = 'x';
	check_errno(serve_row(&port, args, &bad), EINVAL, "something behind its name's end");
	rows[0] = good;
	rows[1] = good;
	args.tools = address(rows);
	args.ntools = 2;
	check_errno(serve(&port, args), EINVAL, "two tools of one id");
	for (unsigned int i = 0; i < MCP_TOOL_ID_MAX; i++)
		all[i] = tool_row(MCP_TOOL_ID_MAX - i, 0, i, "tool");
	args.tools = address(all);
	args.ntools = MCP_TOOL_ID_MAX;
	check_errno(serve(&port, args), 0, "a table of all ids, in any order");
	port_close(&port);
}

/* ---- Who serves ---------------------------------------------------------- */

static void test_once(void)
{
	__u8 name[MCP_NAME_SIZE], other[MCP_NAME_SIZE];
	struct port first, second, bare;
	int handle;

	test_name(name, "once");
	test_name(other, "twice");
	port_need(&first, MCP_ARENA_MIN);
	port_need(&second, MCP_ARENA_MIN);
	port_need(&bare, 0);
	check_errno(serve(&bare, serve_args(name)), ENOBUFS, "a file without an arena");
	check_errno(open_handle(&second, name, MCP_RIGHT_QUERY, NULL), ENOENT,
		    "a name before it is served");
	check_errno(serve(&first, serve_args(name)), 0, "a file serves a name");
	check_errno(serve(&first, serve_args(other)), EBUSY, "and no second one");
	check_errno(serve(&second, serve_args(name)), EEXIST, "nobody else serves that name");
	handle = open_handle(&second, name, MCP_RIGHT_QUERY, NULL);
	check_errno(handle, 0, "the name leads to it");
	port_close(&first);
	check_errno(open_handle(&second, name, MCP_RIGHT_QUERY, NULL), ENOENT,
		    "until its file is closed");
	check(handle_dead(handle, SOON), "then the handle is dead");
	check_errno(serve(&second, serve_args(name)), 0, "the same user takes the name at once");
	check(handle_dead(handle, 0), "the old handle does not lead to the new endpoint");
	close(handle);
	port_close(&second);
	port_close(&bare);
}

/* Children of other users: each answers 0, or the errno. */
struct try {
	__u8 name[MCP_NAME_SIZE];
	struct mcp_serve serve;
	unsigned int rights;
	const struct port *inherited;
};

static int try_serve(void *argument)
{
	struct try *try = argument;
	struct port port;

	if (port_open(&port, MCP_ARENA_MIN))
		return 99;
	return -serve(&port, try->serve);
}

static int try_open(void *argument)
{
	struct try *try = argument;
	struct port port;
	int handle;

	if (port_open(&port, MCP_ARENA_MIN))
		return 99;
	handle = open_handle(&port, try->name, try->rights, NULL);
	return handle < 0 ? -handle : 0;
}

/* The 30 seconds in which a freed name is its user's. */
static void test_hold(void)
{
	struct try try = { 0 };

	test_name(try.name, "hold");
	try.serve = serve_args(try.name);
	check(as_user(USER, GROUP, 0, try_serve, &try) == 0, "a user serves a name, and ends");
	check(as_user(OTHER_USER, GROUP, 0, try_serve, &try) == EADDRINUSE,
	      "another user cannot take it");
	check(in_child(try_serve, &try) == EADDRINUSE, "nor can root");
	check(as_user(USER, GROUP, 0, try_serve, &try) == 0, "the same user can");
}

static void test_privilege(void)
{
	struct try try = { 0 };

	name_is(try.name, "sys.test");
	try.serve = serve_args(try.name);
	check(as_user(USER, GROUP, 0, try_serve, &try) == EPERM, "sys.* is not for users");
	check(in_child(try_serve, &try) == 0, "but for root");
	name_is(try.serve.name, "sys.");
	check(as_user(USER, GROUP, 0, try_serve, &try) == EPERM, "sys. neither");
	test_name(try.serve.name, "privilege");
	try.serve.flags = MCP_SERVE_BOOT;
	check(as_user(USER, GROUP, 0, try_serve, &try) == EPERM, "SERVE_BOOT is not for users");
	try.serve.flags = MCP_SERVE_REQUIRE_POLICY;
	check(as_user(USER, GROUP, 0, try_serve, &try) == EPERM, "nor is SERVE_REQUIRE_POLICY");
	try.serve.flags = 0;
	try.serve.uid = OTHER_USER;
	check(as_user(USER, GROUP, 0, try_serve, &try) == EPERM,
	      "a user makes nobody else the owner");
	try.serve.uid = USER;
	try.serve.gid = OTHER_GROUP;
	check(as_user(USER, GROUP, 0, try_serve, &try) == EPERM, "nor a group that it is not in");
	check(as_user(USER, GROUP, OTHER_GROUP, try_serve, &try) == 0, "but one that it is in");
	try.serve.uid = ~0u - 1;
	test_name(try.serve.name, "privilege.2");
	check(in_child(try_serve, &try) == 0, "root makes anybody the owner");
}

/* ---- Who opens ----------------------------------------------------------- */

static void test_modes(void)
{
	static const struct {
		unsigned int mode, rights;
		uid_t uid;
		gid_t gid, extra;
		int error;
		const char *what;
	} rows[] = {
		{ 0700, ALL_RIGHTS, USER, GROUP, 0, 0, "the owner, 0700" },
		{ 0077, MCP_RIGHT_READ, USER, GROUP, 0, EACCES, "the owner, 0077" },
		{ 0400, MCP_RIGHT_READ, USER, OTHER_GROUP, 0, 0, "the owner, 0400: READ" },
		{ 0400, MCP_RIGHT_QUERY, USER, OTHER_GROUP, 0, 0, "the owner, 0400: QUERY" },
		{ 0400, MCP_RIGHT_WRITE, USER, OTHER_GROUP, 0, EACCES, "the owner, 0400: WRITE" },
		{ 0200, MCP_RIGHT_WRITE | MCP_RIGHT_FDS, USER, OTHER_GROUP, 0, 0, "the owner, 0200" },
		{ 0200, MCP_RIGHT_READ, USER, OTHER_GROUP, 0, EACCES, "the owner, 0200: READ" },
		{ 0100, MCP_RIGHT_GRANT, USER, OTHER_GROUP, 0, 0, "the owner, 0100: GRANT" },
		{ 0600, MCP_RIGHT_READ | MCP_RIGHT_GRANT, USER, OTHER_GROUP, 0, EACCES,
		  "all rights or none" },
		{ 0070, ALL_RIGHTS, OTHER_USER, GROUP, 0, 0, "the group, 0070" },
		{ 0070, ALL_RIGHTS, OTHER_USER, OTHER_GROUP, GROUP, 0, "a further group, 0070" },
		{ 0707, MCP_RIGHT_READ, OTHER_USER, GROUP, 0, EACCES, "the group, 0707" },
		{ 0040, MCP_RIGHT_WRITE, OTHER_USER, GROUP, 0, EACCES, "the group, 0040: WRITE" },
		{ 0007, ALL_RIGHTS, OTHER_USER, OTHER_GROUP, 0, 0, "others, 0007" },
		{ 0770, MCP_RIGHT_READ, OTHER_USER, OTHER_GROUP, 0, EACCES, "others, 0770" },
		{ 0004, MCP_RIGHT_WRITE, OTHER_USER, OTHER_GROUP, 0, EACCES, "others, 0004: WRITE" },
		{ 0770, MCP_RIGHT_READ, 0, 0, 0, EACCES, "root is one of the others" },
		{ 0, MCP_RIGHT_QUERY, USER, GROUP, 0, EACCES, "the owner, 0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct try try = { .rights = rows[i].rights };
		struct port port;
		int got;

		test_name(try.name, "modes");
		try.serve = serve_args(try.name);
		try.serve.uid = USER;
		try.serve.gid = GROUP;
		try.serve.mode = rows[i].mode;
		/* A name is held for its owner: let it be a new one each time. */
		try.serve.name[strlen((char *)try.serve.name)] = 'a' + i;
		memcpy(try.name, try.serve.name, sizeof(try.name));
		port_need(&port, MCP_ARENA_MIN);
		if (serve(&port, try.serve))
			bail_out("an endpoint of another owner");
		got = as_user(rows[i].uid, rows[i].gid, rows[i].extra, try_open, &try);
		check(got == rows[i].error, "%s (%s)", rows[i].what, strerror(got));
		port_close(&port);
	}
}

/* Authority is that of who opened the file, not of who uses it. */
static int use_inherited(void *argument)
{
	struct try *try = argument;
	struct mcp_frame frame;
	int handle = open_handle(try->inherited, try->name, MCP_RIGHT_QUERY, NULL);

	if (handle < 0)
		return 1;
	frame = frame_request(handle, 0, "x", 1);
	/* write() may be made by a program that was tricked into it. */
	if (write(try->inherited->fd, &frame, sizeof(frame)) >= 0 || errno != EACCES)
		return 2;
	return 0;
}

static void test_credentials(void)
{
	struct try try = { .rights = MCP_RIGHT_QUERY };
	struct port server, client;

	test_name(try.name, "credentials");
	port_need(&server, MCP_ARENA_MIN);
	port_need(&client, MCP_ARENA_MIN);
	if (serve(&server, serve_args(try.name)))
		bail_out("an endpoint");
	try.inherited = &client;
	check(as_user(USER, GROUP, 0, try_open, &try) == EACCES,
	      "a user may not open root's endpoint");
	check(as_user(USER, GROUP, 0, use_inherited, &try) == 0,
	      "on a file that root has opened it may, but not by write()");
	port_close(&server);
	port_close(&client);
}

/* ---- Namespaces ---------------------------------------------------------- */

static int open_in_user_ns(void *argument)
{
	int fd;

	(void)argument;
	if (unshare(CLONE_NEWUSER))
		return 98;
	fd = open(MCP_DEVICE, O_RDWR | O_CLOEXEC);
	return fd < 0 ? errno : 0;
}

static int just_open(void *argument)
{
	int fd = open(MCP_DEVICE, O_RDWR | O_CLOEXEC);

	(void)argument;
	return fd < 0 ? errno : 0;
}

static int open_in_pid_ns(void *argument)
{
	(void)argument;
	if (unshare(CLONE_NEWPID))
		return 98;
	return in_child(just_open, NULL);
}

static void test_namespaces(void)
{
	int got = in_child(open_in_user_ns, NULL);

	/* A kernel without them would have nothing to refuse: 98. Ours and Debian's have both. */
	check(got == EPERM, "a user namespace cannot open the device (%d)", got);
	got = in_child(open_in_pid_ns, NULL);
	check(got == EPERM, "nor can a pid namespace (%d)", got);
}

/* ---- UPDATE -------------------------------------------------------------- */

static int update(const struct port *port, const struct mcp_tool *tools, unsigned int count,
		  __u64 *generation)
{
	struct mcp_update args = {
		.size = sizeof(args), .ntools = count, .tool_size = sizeof(*tools),
		.tools = count ? address(tools) : 0,
	};
	int error = call(port->fd, MCP_IOC_UPDATE, &args);

	*generation = args.generation;
	return error;
}

/* Sends a request, takes it away again, and gives what sending it gave. */
static int try_call(const struct port *client, int handle, unsigned int tool)
{
	struct mcp_frame frame = frame_request(handle, tool, "x", 1);
	__u64 cookie = 0;

	frame.result = address(&cookie);
	if (write(client->fd, &frame, sizeof(frame)) < 0)
		return -errno;
	frame = frame_cancel(cookie);
	if (write(client->fd, &frame, sizeof(frame)) < 0 ||
	    read(client->fd, &frame, sizeof(frame)) < 0)
		return -errno;
	return call(client->fd, MCP_IOC_RELEASE, (void *)(uintptr_t)frame.slot);
}

static void test_update_arguments(void)
{
	struct mcp_tool tool = tool_row(1, 0, 1, "tool");
	struct mcp_update good = { .size = sizeof(good), .ntools = 1, .tools = address(&tool),
				   .tool_size = sizeof(tool) }, args;
	__u8 name[MCP_NAME_SIZE];
	struct port port;
	int handle;

	test_name(name, "update");
	port_need(&port, MCP_ARENA_MIN);
	args = good;
	check_errno(call(port.fd, MCP_IOC_UPDATE, &args), ENOTCONN, "UPDATE by who serves nothing");
	serve_need(&port, name);
	handle = open_handle(&port, name, ALL_RIGHTS, NULL);
	args.flags = 1;
	check_errno(call(port.fd, MCP_IOC_UPDATE, &args), EINVAL, "UPDATE with a flag");
	args = good;
	args.size = 8;
	check_errno(call(port.fd, MCP_IOC_UPDATE, &args), EINVAL, "UPDATE with a size too small");
	args = good;
	args.tools = 8;
	check_errno(call(port.fd, MCP_IOC_UPDATE, &args), EFAULT,
		    "UPDATE with tools at a bad address");
	args = good;
	args.tool_size = 8;
	check_errno(call(port.fd, MCP_IOC_UPDATE, &args), EINVAL,
		    "UPDATE with rows of another size");
	args = good;
	tool.id = 0;
	check_errno(call(port.fd, MCP_IOC_UPDATE, &args), EINVAL, "UPDATE with a tool of id 0");
	check_errno(try_call(&port, handle, TOOL_WRITE), 0, "none of that has changed the table");
	close(handle);
	port_close(&port);
}

static void test_update(void)
{
	struct mcp_tool rows[] = {
		tool_row(1, MCP_TOOL_READ_ONLY, 0x11, "look"), tool_row(2, 0, 0x22, "change"),
		tool_row(3, 0, 0x33, "third"),
	};
	struct mcp_pin pins[] = { { .tool = 1 }, { .tool = 2 } };
	struct mcp_serve args;
	struct mcp_open open_pinned;
	struct mcp_grant narrower;
	struct port server, client;
	__u8 name[MCP_NAME_SIZE];
	__u64 first, second;
	int old, pinned, child, fresh;

	test_name(name, "change");
	port_need(&server, MCP_ARENA_MIN);
	port_need(&client, MCP_ARENA_MIN);
	args = serve_args(name);
	args.tools = address(rows);
	args.ntools = 2;
	check(!call(server.fd, MCP_IOC_SERVE, &args) && args.generation && args.sender,
	      "SERVE tells generation and id");
	old = open_handle(&client, name, ALL_RIGHTS, NULL);
	open_pinned = open_args(name, ALL_RIGHTS);
	open_pinned.pins = address(pins);
	open_pinned.npins = 2;
	check_errno(call(client.fd, MCP_IOC_OPEN, &open_pinned), 0, "a handle for both tools");
	pinned = open_pinned.fd;
	narrower = grant_args(old, MCP_RIGHT_READ | MCP_RIGHT_WRITE);
	child = grant(&client, &narrower);

	check(!update(&server, rows, 2, &first) && first == args.generation,
	      "the same table is the same generation");
	check(!update(&server, rows, 3, &first) && first != args.generation,
	      "one more tool is another");
	check_errno(try_call(&client, old, 1), 0, "what there was is still good");
	check_errno(try_call(&client, old, 3), EACCES, "the new tool is not for an old handle");
	check_errno(try_call(&client, pinned, 3), EACCES, "nor for one of named tools");
	fresh = open_handle(&client, name, ALL_RIGHTS, NULL);
	check_errno(try_call(&client, fresh, 3), 0, "it is for a new one");
	narrower = grant_args(old, ALL_RIGHTS);
	narrower.pins = address(&(struct mcp_pin){ .tool = 3 });
	narrower.npins = 1;
	check_errno(grant(&client, &narrower), EACCES, "an old handle does not grant it either");

	fill_digest(rows[1].digest, 0x99);
	check(!update(&server, rows, 3, &second) && second != first,
	      "another digest is another generation");
	check_errno(try_call(&client, old, 2), ESTALE, "a changed tool is stale for an old handle");
	check_errno(try_call(&client, pinned, 2), ESTALE, "and for one that names it");
	check_errno(try_call(&client, child, 2), ESTALE, "and for a derived one");
	check_errno(try_call(&client, fresh, 2), ESTALE, "and for one opened before the change");
	check_errno(try_call(&client, old, 1), 0, "the others are not");
	check_errno(try_call(&client, fresh, 3), 0, "none of them");
	close(fresh);
	fresh = open_handle(&client, name, ALL_RIGHTS, NULL);
	check_errno(try_call(&client, fresh, 2), 0, "opened again it is good");

	rows[0].flags = 0;
	update(&server, rows, 3, &second);
	check_errno(try_call(&client, fresh, 1), ESTALE,
		    "a tool that no longer only reads has changed");

	/* Away, and back with the digest that it had. */
	check_errno(update(&server, rows + 2, 1, &second), 0, "two tools are taken away");
	check_errno(try_call(&client, fresh, 2), EACCES, "a tool that is not there");
	update(&server, rows, 3, &second);
	check_errno(try_call(&client, pinned, 2), ESTALE, "one that came back, for who named it");
	check_errno(try_call(&client, fresh, 2), ESTALE, "and for who has all that there were");
	check_errno(try_call(&client, old, 3), EACCES, "one that was never there stays out");
	check_errno(try_call(&client, fresh, 3), 0, "what stayed is good");
	check_errno(update(&server, rows, 0, &second), 0, "no tools at all");
	check_errno(try_call(&client, fresh, 3), EACCES, "there is nothing to call");
	check_errno(try_call(&client, fresh, 0), 0, "but a request without a tool");
	close(old);
	close(pinned);
	close(child);
	close(fresh);
	port_close(&client);
	port_close(&server);
}

static void test_pins(void)
{
	__u8 name[MCP_NAME_SIZE];
	struct port server, client;
	struct mcp_pin pin = { .tool = TOOL_READ, .flags = MCP_PIN_DIGEST };
	struct mcp_open args;

	test_name(name, "pins");
	port_need(&server, MCP_ARENA_MIN);
	port_need(&client, MCP_ARENA_MIN);
	serve_need(&server, name);
	args = open_args(name, ALL_RIGHTS);
	args.pins = address(&pin);
	args.npins = 1;
	fill_digest(pin.digest, 0x11);
	if (check_errno(call(client.fd, MCP_IOC_OPEN, &args), 0, "the right digest")) {
		check_errno(try_call(&client, args.fd, TOOL_READ), 0, "gives that tool");
		check_errno(try_call(&client, args.fd, TOOL_WRITE), EACCES, "and no other");
		check_errno(try_call(&client, args.fd, 0), 0, "and requests without a tool");
		close(args.fd);
	}
	pin.digest[31] ^= 1;
	check_errno(call(client.fd, MCP_IOC_OPEN, &args), ESTALE, "a digest of another definition");
	pin.flags = 0;
	check_errno(call(client.fd, MCP_IOC_OPEN, &args), EINVAL,
		    "a digest that is not to be looked at");
	pin.flags = MCP_PIN_DIGEST | 1u << 1;
	check_errno(call(client.fd, MCP_IOC_OPEN, &args), EINVAL, "an unknown flag of a pin");
	pin = (struct mcp_pin){ .tool = 7 };
	check_errno(call(client.fd, MCP_IOC_OPEN, &args), EACCES, "a tool that is not there");
	pin.tool = 0;
	check_errno(call(client.fd, MCP_IOC_OPEN, &args), EINVAL, "a pin of tool 0");
	pin.tool = MCP_TOOL_ID_MAX + 1;
	check_errno(call(client.fd, MCP_IOC_OPEN, &args), EINVAL, "a pin above the last id");
	port_close(&client);
	port_close(&server);
}

/* ---- The endpoint's own limit -------------------------------------------- */

static void test_max_inflight(void)
{
	__u8 name[MCP_NAME_SIZE];
	struct port server, client;
	struct mcp_serve args;
	struct mcp_frame frame;
	int one, other;

	test_name(name, "inflight");
	port_need(&server, MCP_ARENA_MIN);
	port_need(&client, MCP_ARENA_MIN);
	args = serve_args(name);
	args.max_inflight = 2;
	check_errno(serve(&server, args), 0, "an endpoint that takes two requests");
	one = open_handle(&client, name, MCP_RIGHT_QUERY, NULL);
	other = open_handle(&client, name, MCP_RIGHT_QUERY, NULL);
	frame = frame_request(one, 0, "x", 1);
	check(write(client.fd, &frame, sizeof(frame)) == sizeof(frame), "the first");
	frame.handle = other;
	check(write(client.fd, &frame, sizeof(frame)) == sizeof(frame),
	      "the second, on another handle");
	check(write(client.fd, &frame, sizeof(frame)) < 0 && errno == EDQUOT, "a third");
	check(read(server.fd, &frame, sizeof(frame)) == sizeof(frame), "one is received");
	frame = frame_response(frame.envelope.cookie, NULL, 0);
	check(write(server.fd, &frame, sizeof(frame)) == sizeof(frame), "and answered");
	frame = frame_request(one, 0, "x", 1);
	check(write(client.fd, &frame, sizeof(frame)) == sizeof(frame), "then there is room");
	close(one);
	close(other);
	port_close(&client);
	port_close(&server);
}

/* ---- How many handles lead to one endpoint ---- */

enum { MOST_OF_USER = 1024, MOST_OF_ENDPOINT = 4096 };

struct crowd {
	__u8 name[MCP_NAME_SIZE];
	int ready, stay;
};

/* As many handles as one user may have, kept until the parent has looked. */
static int hold_handles(void *argument)
{
	struct rlimit files = { MOST_OF_USER + 16, MOST_OF_USER + 16 };
	struct crowd *crowd = argument;
	struct port port;
	char byte = 'r';
	int i;

	setrlimit(RLIMIT_NOFILE, &files);
	if (port_open(&port, 0))
		return 90;
	for (i = 0; i < MOST_OF_USER; i++)
		if (open_handle(&port, crowd->name, MCP_RIGHT_READ, NULL) < 0)
			return 91;
	return write(crowd->ready, &byte, 1) == 1 && !read(crowd->stay, &byte, 1) ? 0 : 92;
}

static void test_handles(void)
{
	int ready[2], stay[2], users = 0, status, all = 0, handle;
	struct mcp_serve args;
	struct port server, other;
	struct crowd crowd;
	struct mcp_grant narrow;
	char byte;

	port_need(&server, 64 << 10);
	port_need(&other, 0);
	test_name(crowd.name, "crowd");
	args = serve_args(crowd.name);
	args.mode = 0777;
	check_errno(call(server.fd, MCP_IOC_SERVE, &args), 0, "an endpoint for everybody");
	handle = open_handle(&other, crowd.name, MCP_RIGHT_READ | MCP_RIGHT_GRANT, NULL);
	if (handle < 0 || pipe(ready) || pipe(stay))
		bail_out("a handle, and pipes");
	crowd.ready = ready[1];
	crowd.stay = stay[0];
	for (int i = 0; i < MOST_OF_ENDPOINT / MOST_OF_USER; i++) {
		uid_t user = 3000 + i;

		if (fork())
			continue;
		close(stay[1]);
		_exit(as_user(user, user, user, hold_handles, &crowd));
	}
	close(ready[1]);
	while (users < MOST_OF_ENDPOINT / MOST_OF_USER - 1 && read(ready[0], &byte, 1) == 1)
		users++;
	check(users == 3, "three users have all handles that they may have");
	/* The last one lacks the handle that is here. */
	check(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 91,
	      "a fourth does not get as many");
	check_errno(open_handle(&other, crowd.name, MCP_RIGHT_READ, NULL), 0, "its own are free");
	close(stay[1]);
	while (wait(&status) > 0)
		all += WIFEXITED(status) && !WEXITSTATUS(status);
	check(all == 3, "the three leave");
	narrow = grant_args(handle, MCP_RIGHT_READ);
	check(grant(&other, &narrow) >= 0, "and there is room for more");
	close(ready[0]);
	close(stay[0]);
	close(handle);
	port_close(&other);
	port_close(&server);
}

int main(void)
{
	test_begin();
	test_arguments();
	test_longer();
	test_names();
	test_tables();
	test_once();
	test_hold();
	test_privilege();
	test_modes();
	test_credentials();
	test_namespaces();
	test_update_arguments();
	test_update();
	test_pins();
	test_max_inflight();
	test_handles();
	return test_end();
}
