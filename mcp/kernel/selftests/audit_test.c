// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the audit records of decisions about authority, read from the
 * kernel's own multicast group: one for each serve, open, grant and revocation,
 * allowed or not, with fields that no name can forge.
 *
 * Usage: audit_test            on a machine where mcp.ko is loaded, as root
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/netlink.h>

#include "mcp_module.h"
#include "mcp_test.h"

#define USER 3001

struct listener {
	int fd;
	unsigned int enabled;	/* as it was */
};

struct command {
	struct nlmsghdr header;
	struct audit_status status;
};

/* ---- The kernel's audit -------------------------------------------------- */

/* Sends one command; the answer's first bytes come in *@status. 0 or -errno. */
static int ask(int type, struct audit_status *status)
{
	struct command command = {
		.header = { .nlmsg_len = sizeof(command), .nlmsg_type = type,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = 1 },
		.status = *status,
	};
	char answer[8192] __attribute__((aligned(8)));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT), error = -EIO;

	if (fd < 0)
		return -errno;
	if (send(fd, &command, sizeof(command), 0) == sizeof(command)) {
		for (;;) {
			struct pollfd ready = { .fd = fd, .events = POLLIN };
			struct nlmsghdr *header = (struct nlmsghdr *)answer;

			if (poll(&ready, 1, SOON) != 1 || recv(fd, answer, sizeof(answer), 0) < 0)
				break;
			if (header->nlmsg_type == NLMSG_ERROR) {
				memcpy(&error, answer + NLMSG_HDRLEN, sizeof(error));
				if (error || type == AUDIT_SET)
					break;
			} else if (header->nlmsg_type == AUDIT_GET) {
				memcpy(status, answer + NLMSG_HDRLEN, sizeof(*status));
				error = 0;
				break;
			}
		}
	}
	close(fd);
	return error;
}

static int enable(unsigned int enabled)
{
	struct audit_status status = { .mask = AUDIT_STATUS_ENABLED, .enabled = enabled };

	return ask(AUDIT_SET, &status);
}

static void listen_need(struct listener *listener)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK,
				       .nl_groups = 1u << (AUDIT_NLGRP_READLOG - 1) };
	struct audit_status status = { 0 };

	if (ask(AUDIT_GET, &status))
		skip_all("this kernel has no audit");
	listener->enabled = status.enabled;
	listener->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&address, sizeof(address)))
		bail_out("the multicast group of audit");
	if (enable(1))
		bail_out("audit cannot be switched on");
}

/*
 * The next record of ours that names @endpoint, from "mcp op=" on; the kernel's
 * other records, and other endpoints', are passed over.
 */
static bool next_record(const struct listener *listener, const __u8 *endpoint, char *text,
			size_t size, int milliseconds)
{
	__u64 end = now_ns() + milliseconds * 1000000ull;
	char buffer[10000] __attribute__((aligned(8)));
	char named[MCP_NAME_SIZE + 16];

	snprintf(named, sizeof(named), " endpoint=%s ", (const char *)endpoint);
	while (now_ns() < end) {
		struct pollfd ready = { .fd = listener->fd, .events = POLLIN };
		struct nlmsghdr *header = (struct nlmsghdr *)buffer;
		ssize_t got;
		char *body;

		if (poll(&ready, 1, 20) != 1)
			continue;
		got = recv(listener->fd, buffer, sizeof(buffer) - 1, 0);
		if (got < NLMSG_HDRLEN || header->nlmsg_type != AUDIT_KERNEL_OTHER)
			continue;
		buffer[got] = 0;
		body = strstr(buffer + NLMSG_HDRLEN, "mcp op=");
		if (!body || !strstr(body, named))
			continue;
		snprintf(text, size, "%s", body);
		return true;
	}
	return false;
}

/* ---- Records ------------------------------------------------------------- */

struct scene {
	struct listener listener;
	struct port server, client;
	__u8 name[MCP_NAME_SIZE];
};

/*
 * The next record is exactly this, from its first word to its last. @body takes
 * the endpoint and @sender, @result is how it ends.
 */
static void expect(struct scene *scene, const char *what, const char *body, const char *result,
		   unsigned long long sender, unsigned int uid, pid_t pid)
{
	char format[256], text[1024] = "", wanted[512];
	unsigned int auid, session;
	int length, end = 0;

	/* The body's own conversions are done with the second. */
	snprintf(format, sizeof(format), "mcp op=%s pid=%d uid=%u auid=", body, (int)pid, uid);
	length = snprintf(wanted, sizeof(wanted), format, (const char *)scene->name, sender);
	if (!check(next_record(&scene->listener, scene->name, text, sizeof(text), SOON),
		   "%s: there is a record", what))
		return;
	/* Who logged in, and the session, are the machine's. */
	bool good = !strncmp(text, wanted, length) &&
		    sscanf(text + length, "%u ses=%u%n", &auid, &session, &end) == 2 && end &&
		    !strcmp(text + length + end, result);

	if (!check(good, "%s: it says what was decided, and nothing else", what))
		printf("# got    %s\n# wanted %s... ses=...%s\n", text, wanted, result);
}

static void expect_none(struct scene *scene, const char *what)
{
	char text[1024];

	if (!check(!next_record(&scene->listener, scene->name, text, sizeof(text), 10 * NEVER),
		   "%s: there is no record", what))
		printf("# got %s\n", text);
}

/* A child's OPEN that mode denies. */
static int try_open(void *argument)
{
	struct port port;
	int handle;

	if (port_open(&port, MCP_ARENA_MIN))
		return 99;
	handle = open_handle(&port, argument, MCP_RIGHT_READ, NULL);
	return handle < 0 ? -handle : 0;
}

static void test_decisions(struct scene *scene)
{
	struct mcp_grant args;
	int handle, narrow;
	__u64 sender = 0, granted;
	pid_t self = getpid();

	port_need(&scene->server, MCP_ARENA_MIN);
	port_need(&scene->client, MCP_ARENA_MIN);
	serve_need(&scene->server, scene->name);
	expect(scene, "SERVE", "serve endpoint=%s rights=0x0", " res=1 errno=0", 0, 0, self);
	handle = open_handle(&scene->client, scene->name, ALL_RIGHTS, &sender);
	expect(scene, "OPEN", "open endpoint=%s rights=0x1f sender=%llu label=- depth=0",
	       " res=1 errno=0", sender, 0, self);
	args = grant_args(handle, MCP_RIGHT_READ);
	snprintf((char *)args.label, sizeof(args.label), "night-shift.7");
	narrow = grant(&scene->client, &args);
	granted = args.sender;
	check(narrow >= 0, "a grant");
	expect(scene, "GRANT",
	       "grant endpoint=%s rights=0x2 sender=%llu label=night-shift.7 depth=1",
	       " res=1 errno=0", granted, 0, self);
	args = grant_args(narrow, MCP_RIGHT_READ);
	check_errno(grant(&scene->client, &args), EACCES, "a grant without the right to grant");
	expect(scene, "GRANT that is denied",
	       "grant endpoint=%s rights=0x2 sender=%llu label=night-shift.7 depth=1",
	       " res=0 errno=13", granted, 0, self);
	check_errno(revoke(&scene->client, handle, granted), 0, "a revocation");
	expect(scene, "REVOKE",
	       "revoke endpoint=%s rights=0x2 sender=%llu label=night-shift.7 depth=1",
	       " res=1 errno=0", granted, 0, self);
	close(narrow);
	close(handle);
}

static void test_denial(struct scene *scene)
{
	char text[1024] = "";
	struct mcp_open args = open_args(scene->name, MCP_RIGHT_READ);
	struct mcp_pin pin = { .tool = 77 };

	check(as_user(USER, USER, 0, try_open, scene->name) == EACCES, "a user whom mode denies");
	check(next_record(&scene->listener, scene->name, text, sizeof(text), SOON) &&
	      !strncmp(text, "mcp op=open ", 12) && strstr(text, " uid=3001 ") &&
	      strstr(text, " res=0 errno=13") && !strstr(text, "sender="),
	      "OPEN that is denied: the record names the user, and no handle");
	args.npins = 1;
	args.pins = address(&pin);
	check_errno(call(scene->client.fd, MCP_IOC_OPEN, &args), EACCES, "a tool that is not there");
	check(next_record(&scene->listener, scene->name, text, sizeof(text), SOON) &&
	      strstr(text, " uid=0 ") && strstr(text, " res=0 errno=13"),
	      "OPEN with a pin that is denied: there is a record");
}

/* What would make a record of two lines, or another field, is not a name. */
static void test_forgery(struct scene *scene)
{
	static const char *const texts[] = {
		"a res=1", "a\nmcp", "a\"", "a=b", "a,b", "a\\x", "a\x7f", "a\xc3\xa9",
	};
	int handle = open_handle(&scene->client, scene->name, ALL_RIGHTS, NULL);
	char text[1024];

	next_record(&scene->listener, scene->name, text, sizeof(text), SOON);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		__u8 name[MCP_NAME_SIZE] = { 0 };
		struct mcp_grant args = grant_args(handle, MCP_RIGHT_READ);
		struct mcp_serve serve;
		struct port port;

		memcpy(name, texts[i], strlen(texts[i]));
		port_need(&port, MCP_ARENA_MIN);
		serve = serve_args(name);
		check_errno(call(port.fd, MCP_IOC_SERVE, &serve), EINVAL, "a name of kind %zu", i);
		port_close(&port);
		memcpy(args.label, name, sizeof(args.label));
		check_errno(grant(&scene->client, &args), EINVAL, "a label of kind %zu", i);
	}
	expect_none(scene, "what is malformed");
	close(handle);
}

/* With audit off nothing is written, and nothing is refused. */
static void test_off(struct scene *scene)
{
	int handle;

	check_errno(enable(0), 0, "audit is switched off");
	handle = open_handle(&scene->client, scene->name, ALL_RIGHTS, NULL);
	check_errno(handle, 0, "OPEN with audit off");
	expect_none(scene, "OPEN with audit off");
	close(handle);
	check_errno(enable(1), 0, "audit is switched on");
}

/*
 * A policy is required of one name after the other, until no more fit. That ends
 * with the module alone, so it is loaded again.
 */
static void test_require(const struct listener *listener)
{
	struct mcp_require args = { .size = sizeof(args) };
	struct port port;
	char text[1024];
	int error = 0;

	if (!module_path()) {
		printf("# mcp.ko is not where it can be loaded from\n");
		return;
	}
	port_need(&port, 0);
	for (int i = 0; i < 1000 && !error; i++) {
		char suffix[16];

		snprintf(suffix, sizeof(suffix), "audit.%d", i);
		test_name(args.name, suffix);
		error = call(port.fd, MCP_IOC_REQUIRE, &args);
		text[0] = 0;
		next_record(listener, args.name, text, sizeof(text), SOON);
		if (i && !error)
			continue;
		check(!strncmp(text, "mcp op=require ", 15) &&
		      strstr(text, error ? " res=0 errno=28" : " res=1 errno=0"),
		      "REQUIRE: the record of name %d says what came of it", i);
	}
	check_errno(error, ENOSPC, "the last name is too many");
	port_close(&port);
	check(module_reload(), "the module is loaded again");
}

int main(void)
{
	struct scene scene = { 0 };

	test_begin();
	test_name(scene.name, "audit");
	listen_need(&scene.listener);
	test_decisions(&scene);
	test_denial(&scene);
	test_forgery(&scene);
	test_off(&scene);
	port_close(&scene.client);
	port_close(&scene.server);
	test_require(&scene.listener);
	check_errno(enable(scene.listener.enabled), 0, "audit is as it was");
	close(scene.listener.fd);
	return test_end();
}
