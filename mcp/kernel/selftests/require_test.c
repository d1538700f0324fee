// SPDX-License-Identifier: GPL-2.0
/*
 * Test of MCP_IOC_REQUIRE: what no policy has seen is refused, until the module
 * goes. It unloads and loads the module; a test that comes after it finds none
 * of what it has required.
 *
 * Usage: require_test          on a machine where mcp.ko is loaded and no policy
 *                              is attached, as root. $MCP_MODULE: its file
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mcp_module.h"
#include "mcp_side.h"

#define USER	3001
#define NAMES	64	/* as many can be required */

static int require(const struct port *port, const __u8 name[MCP_NAME_SIZE])
{
	struct mcp_require args = { .size = sizeof(args) };

	if (name)
		memcpy(args.name, name, sizeof(args.name));
	return call(port->fd, MCP_IOC_REQUIRE, &args);
}

static int serve_with(const struct port *port, const __u8 name[MCP_NAME_SIZE], unsigned int flags)
{
	struct mcp_tool tool = tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 0x11, "look");
	struct mcp_serve args = serve_args(name);

	args.flags = flags;
	args.tools = address(&tool);
	args.ntools = 1;
	return call(port->fd, MCP_IOC_SERVE, &args);
}

static int open_once(const struct port *port, const __u8 name[MCP_NAME_SIZE])
{
	int handle = open_handle(port, name, MCP_RIGHT_READ, NULL);

	if (handle >= 0)
		close(handle);
	return handle < 0 ? handle : 0;
}

/* ---- Arguments ----------------------------------------------------------- */

static int try_require(void *argument)
{
	struct port port;

	if (port_open(&port, 0))
		return 99;
	return -require(&port, argument);
}

static void test_arguments(void)
{
	struct mcp_require args = { .size = sizeof(args) };
	__u8 name[MCP_NAME_SIZE];
	struct port port;

	port_need(&port, 0);
	test_name(name, "require");
	memcpy(args.name, name, sizeof(name));
	check_errno(call(port.fd, MCP_IOC_REQUIRE, NULL), EFAULT, "no structure");
	args.size = MCP_REQUIRE_SIZE_VER0 - 1;
	check_errno(call(port.fd, MCP_IOC_REQUIRE, &args), EINVAL, "a size below the first");
	args.size = 0x10000;
	check_errno(call(port.fd, MCP_IOC_REQUIRE, &args), E2BIG, "a size above a page");
	args.size = sizeof(args);
	args.flags = 1;
	check_errno(call(port.fd, MCP_IOC_REQUIRE, &args), EINVAL, "a flag");
	args.flags = 0;
	args.name[1] = ' ';
	check_errno(call(port.fd, MCP_IOC_REQUIRE, &args), EINVAL, "a name with a space");
	memset(args.name, 'a', sizeof(args.name));
	check_errno(call(port.fd, MCP_IOC_REQUIRE, &args), EINVAL, "a name that is too long");
	memset(args.name, 0, sizeof(args.name));
	args.name[5] = 'a';
	check_errno(call(port.fd, MCP_IOC_REQUIRE, &args), EINVAL, "something behind an empty name");
	check(as_user(USER, USER, 0, try_require, name) == EPERM, "a user cannot require a name");
	check(as_user(USER, USER, 0, try_require, NULL) == EPERM, "nor everything");
	check_errno(serve_with(&port, name, 0), ENOBUFS, "(the name is not served)");
	port_close(&port);
	port_need(&port, MCP_ARENA_MIN);
	check(!serve_with(&port, name, 0) && !open_once(&port, name),
	      "nothing of that has required anything");
	port_close(&port);
}

/* ---- What is refused ----------------------------------------------------- */

/* An exchange under way goes on: what is refused is a new request. */
static void test_under_way(enum path path)
{
	struct message request, note, response;
	struct mcp_frame frame;
	struct pair pair;
	__u64 cookie;

	pair_need(&pair, path, path);
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	frame.envelope.credit = 1;
	if (!check(pair_request(&pair, &frame, &request), "%s: a request", pair.path))
		goto out;
	cookie = request.envelope.cookie;
	check_errno(require(&pair.client.port, pair.name), 0, "%s: then its endpoint is required",
		    pair.path);
	frame = frame_notify(cookie, "n", 1);
	check(!side_send(&pair.server, &frame, NULL) && side_next(&pair.client, &note, SOON) &&
	      is_kind(&note, MCP_NOTIFY, cookie), "%s: a notification still comes", pair.path);
	side_release(&pair.client, &note);
	frame = frame_response(cookie, "y", 1);
	check(!side_send(&pair.server, &frame, NULL) && side_next(&pair.client, &response, SOON) &&
	      is_kind(&response, MCP_RESPONSE, cookie), "%s: and the answer", pair.path);
	side_release(&pair.client, &response);
	frame = frame_request(pair.handle, TOOL_READ, "x", 1);
	check_errno(side_send(&pair.client, &frame, NULL), EACCES,
		    "%s: a new request on the old handle", pair.path);
	frame = frame_request(pair.handle, 0, "x", 1);
	check_errno(side_send(&pair.client, &frame, NULL), EACCES, "%s: one without a tool",
		    pair.path);
	check(!side_next(&pair.server, &request, NEVER), "%s: nothing of that arrives", pair.path);
	check_errno(open_once(&pair.client.port, pair.name), EACCES, "%s: a new handle", pair.path);
out:
	pair_close(&pair);
}

static void test_by_name(void)
{
	__u8 name[MCP_NAME_SIZE], other[MCP_NAME_SIZE];
	struct port port, second;

	test_name(name, "named");
	test_name(other, "named.not");
	port_need(&port, MCP_ARENA_MIN);
	port_need(&second, MCP_ARENA_MIN);
	check_errno(require(&port, name), 0, "a name that nobody serves is required");
	check_errno(require(&port, name), 0, "twice is no error");
	check_errno(serve_with(&port, name, 0), 0, "it can be served");
	check_errno(open_once(&second, name), EACCES, "and not opened");
	check_errno(serve_with(&second, other, 0), 0, "another name");
	check_errno(open_once(&port, other), 0, "is not concerned");
	port_close(&port);
	port_need(&port, MCP_ARENA_MIN);
	check_errno(serve_with(&port, name, 0), 0, "served again");
	check_errno(open_once(&second, name), EACCES, "it is still required");
	port_close(&port);
	port_need(&port, MCP_ARENA_MIN);
	check_errno(serve_with(&port, name, MCP_SERVE_BOOT), 0, "served with SERVE_BOOT");
	check_errno(open_once(&second, name), 0, "it goes on");
	port_close(&port);
	port_close(&second);
}

static void test_by_flag(void)
{
	struct port port;
	__u8 name[MCP_NAME_SIZE];

	test_name(name, "flag");
	port_need(&port, MCP_ARENA_MIN);
	check_errno(serve_with(&port, name, MCP_SERVE_REQUIRE_POLICY), 0,
		    "an endpoint that requires it of itself");
	check_errno(open_once(&port, name), EACCES, "is not opened");
	port_close(&port);
	port_need(&port, MCP_ARENA_MIN);
	check_errno(serve_with(&port, name, 0), 0, "served without that flag");
	check_errno(open_once(&port, name), 0, "it is opened: a flag is the endpoint's, not the name's");
	port_close(&port);
}

static void test_many_names(void)
{
	__u8 name[MCP_NAME_SIZE], first[MCP_NAME_SIZE];
	struct port port;
	int error = 0, count;

	port_need(&port, 0);
	test_name(first, "many.0");
	/* Some are required already. */
	for (count = 0; count <= NAMES && !error; count++) {
		char suffix[16];

		snprintf(suffix, sizeof(suffix), "many.%d", count);
		test_name(name, suffix);
		error = require(&port, name);
	}
	check_errno(error, ENOSPC, "more than %d names", NAMES);
	check_errno(require(&port, first), 0, "one that is required is no new one");
	port_close(&port);
}

/* ---- All of them, and the end of it -------------------------------------- */

static void test_all(void)
{
	__u8 plain[MCP_NAME_SIZE], boot[MCP_NAME_SIZE];
	struct side server, client, boot_server;
	struct message request, response;
	int handle, boot_handle;
	struct mcp_frame frame;
	__u64 cookie = 0;

	test_name(plain, "all");
	test_name(boot, "boot");
	side_need(&server, BY_RW, MCP_ARENA_MIN);
	side_need(&boot_server, BY_RW, MCP_ARENA_MIN);
	side_need(&client, BY_RW, MCP_ARENA_MIN);
	check(!serve_with(&server.port, plain, 0) &&
	      !serve_with(&boot_server.port, boot, MCP_SERVE_BOOT),
	      "one endpoint with SERVE_BOOT, one without");
	handle = open_handle(&client.port, plain, MCP_RIGHT_READ, NULL);
	boot_handle = open_handle(&client.port, boot, MCP_RIGHT_READ, NULL);
	check(handle >= 0 && boot_handle >= 0, "and a handle of each");
	check_errno(require(&client.port, NULL), 0, "then all are required");
	check_errno(require(&client.port, NULL), 0, "twice is no error");
	frame = frame_request(handle, TOOL_READ, "x", 1);
	check_errno(side_send(&client, &frame, &cookie), EACCES, "a request");
	check_errno(open_once(&client.port, plain), EACCES, "a new handle");
	frame = frame_request(boot_handle, TOOL_READ, "x", 1);
	check(!side_send(&client, &frame, &cookie) && side_next(&boot_server, &request, SOON) &&
	      is_kind(&request, MCP_REQUEST, cookie), "a request to the one with SERVE_BOOT");
	frame = frame_response(cookie, "y", 1);
	check(!side_send(&boot_server, &frame, NULL) && side_next(&client, &response, SOON) &&
	      is_kind(&response, MCP_RESPONSE, cookie), "and its answer");
	check_errno(open_once(&client.port, boot), 0, "a new handle of it");
	close(handle);
	close(boot_handle);
	side_close(&client);
	side_close(&server);
	side_close(&boot_server);

	port_need(&server.port, MCP_ARENA_MIN);
	check(!serve_with(&server.port, plain, 0) && open_once(&server.port, plain) == -EACCES,
	      "it outlives whoever said it");
	port_close(&server.port);
}

static void test_reload(void)
{
	__u8 name[MCP_NAME_SIZE];
	struct port port;

	test_name(name, "named");
	if (!check(module_reload(), "the module is unloaded and loaded"))
		return;
	port_need(&port, MCP_ARENA_MIN);
	check(!serve_with(&port, name, 0) && !open_once(&port, name), "that ends it");
	port_close(&port);
}

int main(void)
{
	test_begin();
	if (!module_path())
		skip_all("mcp.ko is not where it can be loaded from: what is required would stay");
	test_arguments();
	test_by_name();
	test_by_flag();
	for (enum path path = 0; path < PATHS; path++)
		test_under_way(path);
	test_many_names();
	test_all();
	test_reload();
	return test_end();
}
