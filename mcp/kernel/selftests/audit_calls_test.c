// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: audit records: each decision is one, each denial of a call; on
 * demand each call; what a sender may cause is bounded and what is lost is
 * counted; nothing is given whose record fails (where faults can be injected).
 * Context: user space, root. The program is the audit daemon while it runs, so
 *          that records come here and not to the kernel's log.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/audit.h>

#include "mcp_genl.h"
#include "mcp_test.h"

#define ARENA	(256u << 10)
#define OTHER	1234
#define FLOOD	300

static int audit_fd;
static struct genl genl;
static char record[4096];

/* ---- Audit ---- */

static int send_audit(unsigned int type, const void *payload, size_t bytes)
{
	struct {
		struct nlmsghdr header;
		char payload[sizeof(struct audit_status)];
	} message = { .header = { .nlmsg_len = NLMSG_HDRLEN + bytes, .nlmsg_type = type,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	memcpy(message.payload, payload, bytes);
	if (sendto(audit_fd, &message, message.header.nlmsg_len, 0, (void *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

/* The next message: its type, or -errno; its text in @record. */
static int receive_audit(int milliseconds)
{
	struct pollfd wait = { .fd = audit_fd, .events = POLLIN };
	const struct nlmsghdr *header;
	static char buffer[9000];
	ssize_t got;
	size_t bytes;

	if (poll(&wait, 1, milliseconds) != 1)
		return -ETIMEDOUT;
	got = recv(audit_fd, buffer, sizeof(buffer), 0);
	if (got < NLMSG_HDRLEN)
		return got < 0 ? -errno : -EPROTO;
	header = (const void *)buffer;
	/* The length that audit writes is that of the text alone, at times. */
	bytes = got - NLMSG_HDRLEN;
	if (bytes >= sizeof(record))
		bytes = sizeof(record) - 1;
	memcpy(record, buffer + NLMSG_HDRLEN, bytes);
	record[bytes] = 0;
	return header->nlmsg_type;
}

static int set_status(unsigned int mask, unsigned int enabled, unsigned int pid)
{
	struct audit_status status = { .mask = mask, .enabled = enabled, .pid = pid };
	int error = send_audit(AUDIT_SET, &status, sizeof(status)), type;

	if (error)
		return error;
	do {
		type = receive_audit(SOON);
	} while (type >= 0 && type != NLMSG_ERROR);
	if (type < 0)
		return type;
	memcpy(&error, record, sizeof(error));
	return error;
}

/* The next record of ours within so long; NULL if there is none. */
static const char *next_record(int milliseconds)
{
	int type;

	do {
		type = receive_audit(milliseconds);
	} while (type >= 0 && (type != AUDIT_KERNEL_OTHER || !strstr(record, "mcp op=")));
	return type < 0 ? NULL : record;
}

/* Is the next one this operation, and does it have all of these words? */
static bool recorded(const char *op, const char *words)
{
	char word[128], wanted[64];
	int used;

	if (!next_record(SOON)) {
		printf("# no record\n");
		return false;
	}
	snprintf(wanted, sizeof(wanted), "mcp op=%s ", op);
	if (!strstr(record, wanted))
		goto wrong;
	while (sscanf(words, " %127s%n", word, &used) == 1) {
		words += used;
		strcat(word, " ");
		strcat(record, " ");
		if (!strstr(record, word))
			goto wrong;
	}
	return true;
wrong:
	printf("# %s\n", record);
	return false;
}

static void drain(void)
{
	while (next_record(NEVER))
		;
}

/* Until there are none; *@others counts those that have the word @other. */
static unsigned int count_records(const char *op, const char *other, unsigned int *others)
{
	unsigned int count = 0;
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "mcp op=%s ", op);
	*others = 0;
	while (next_record(200)) {
		if (strstr(record, other))
			++*others;
		else
			count += !!strstr(record, wanted);
	}
	return count;
}

/* ---- Netlink ---- */

static int set_calls(unsigned int on)
{
	__u8 value = on;

	genl_begin(&genl, MCP_NL_CMD_AUDIT_SET, NLM_F_ACK);
	genl_put(&genl, MCP_A_AUDIT_CALLS, &value, sizeof(value));
	return genl_ask(&genl);
}

static __u64 lost(const struct port *port)
{
	genl_begin(&genl, MCP_NL_CMD_STATISTICS_GET, 0);
	genl_put_u32(&genl, MCP_A_STATISTICS_PORT, port->fd);
	if (genl_ask(&genl) <= 0)
		bail_out("statistics");
	return genl_number((const void *)genl.answer, MCP_A_STATISTICS_AUDIT_LOST);
}

/* ---- Decisions ---- */

static int serve_system_name(void *unused)
{
	struct mcp_serve args;
	struct port port;
	__u8 name[MCP_NAME_SIZE] = "sys.audit.test";

	(void)unused;
	if (port_open(&port, ARENA))
		return 90;
	args = serve_args(name);
	return call(port.fd, MCP_IOC_SERVE, &args) == -EPERM ? 0 : 1;
}

static int require_as_other(void *unused)
{
	struct mcp_require args = { .size = sizeof(args), .name = "audit.test" };
	struct port port;

	(void)unused;
	if (port_open(&port, 0))
		return 90;
	return call(port.fd, MCP_IOC_REQUIRE, &args) == -EPERM ? 0 : 1;
}

static int open_as_other(void *name)
{
	struct port port;

	if (port_open(&port, 0))
		return 90;
	return open_handle(&port, name, MCP_RIGHT_READ, NULL) == -EACCES ? 0 : 1;
}

static void test_decisions(struct port *server, struct port *client, __u8 *name)
{
	char words[160];
	struct mcp_grant args;
	int handle, child;

	snprintf(words, sizeof(words), "endpoint=%s res=1 errno=0", (char *)name);
	serve_need(server, name);
	check(recorded("serve", words), "SERVE is a record");
	check(as_user(OTHER, OTHER, OTHER, serve_system_name, NULL) == 0 &&
	      recorded("serve", "endpoint=sys.audit.test uid=1234 res=0 errno=1"),
	      "one that is refused, too");
	check(as_user(OTHER, OTHER, OTHER, require_as_other, NULL) == 0 &&
	      recorded("require", "endpoint=audit.test uid=1234 res=0 errno=1"),
	      "REQUIRE that is refused");
	check(as_user(OTHER, OTHER, OTHER, open_as_other, name) == 0 &&
	      recorded("open", "rights=0x2 uid=1234 res=0 errno=13"), "OPEN that is refused");

	handle = open_handle(client, name, ALL_RIGHTS, NULL);
	check(handle >= 0 && recorded("open", words), "OPEN");
	args = grant_args(handle, MCP_RIGHT_READ);
	memcpy(args.label, "agent.9", 7);
	child = grant(client, &args);
	check(child >= 0 && recorded("grant", "label=agent.9 depth=1 rights=0x2 res=1"), "GRANT");
	args = grant_args(child, MCP_RIGHT_READ);
	check_errno(grant(client, &args), EACCES, "GRANT without the right to");
	check(recorded("grant", "label=agent.9 res=0 errno=13"), "is one");
	check_errno(revoke(client, child, 1), EACCES, "REVOKE without it");
	check(recorded("revoke", "label=agent.9 res=0 errno=13"), "is one");
	args = grant_args(handle, MCP_RIGHT_WRITE);
	close(grant(client, &args));
	check(recorded("grant", "label=- rights=0x4 res=1"), "a grant without a label has none");
	close(child);
	close(handle);
	check(!next_record(NEVER), "and that is all");
}

/* ---- Calls ---- */

static long put(const struct port *port, const struct mcp_frame *frame)
{
	return write(port->fd, frame, sizeof(*frame)) < 0 ? -errno : 0;
}

static long request(const struct port *port, int handle, unsigned int tool, size_t len,
		    __u64 *cookie)
{
	static const char body[64];
	struct mcp_frame frame = frame_request(handle, tool, body, len);

	frame.result = address(cookie);
	return put(port, &frame);
}

static void answer(const struct port *server, const struct port *client)
{
	struct mcp_frame frame;

	if (read(server->fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("a request");
	frame = frame_response(frame.envelope.cookie, NULL, 0);
	if (write(server->fd, &frame, sizeof(frame)) < 0 ||
	    read(client->fd, &frame, sizeof(frame)) != sizeof(frame))
		bail_out("a response");
	call(client->fd, MCP_IOC_RELEASE, (void *)(uintptr_t)frame.slot);
}

static void test_denials(struct port *server, struct port *client, const __u8 *name)
{
	struct mcp_tool changed[] = { tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 0x12, "look"),
				      tool_row(TOOL_WRITE, 0, 0x22, "change") };
	struct mcp_update update = { .size = sizeof(update), .ntools = ARRAY_SIZE(changed),
				     .tool_size = sizeof(changed[0]), .tools = address(changed) };
	__u64 cookie = 0, sender;
	struct mcp_frame frame;
	int handle;

	handle = open_handle(client, name, MCP_RIGHT_READ, &sender);
	drain();
	check_errno(request(client, handle, TOOL_WRITE, 5, &cookie), EACCES, "a denied call");
	check(recorded("call", "tool=2 len=5 cookie=0 parent=0 res=0 errno=13"), "is a record");
	check_errno(request(client, handle, TOOL_READ, 5, &cookie), 0, "an admitted one");
	answer(server, client);
	check(!next_record(NEVER), "is none");
	if (request(client, handle, TOOL_READ, 5, &cookie))
		bail_out("a call");
	frame = frame_nested(cookie, "x", 1);
	frame.envelope.tool = TOOL_WRITE;
	check_errno(put(client, &frame), EACCES, "a denied one within another");
	check(recorded("call", "kind=1 tool=2 res=0 errno=13") && !strstr(record, " parent=0 "),
	      "is a record");
	frame = frame_notify(cookie, "x", 1);
	frame.fds = address(&audit_fd);
	frame.envelope.nfds = 1;
	check_errno(put(client, &frame), EACCES, "descriptors that may not be sent");
	check(recorded("call", "kind=3 tool=0 res=0 errno=13"), "are one");
	answer(server, client);
	check_errno(call(server->fd, MCP_IOC_UPDATE, &update), 0, "the tool changes");
	check_errno(request(client, handle, TOOL_READ, 0, &cookie), ESTALE, "a stale call");
	check(recorded("call", "tool=1 res=0 errno=116"), "is a record");
	check_errno(revoke(server, -1, sender), 0, "the handle is revoked");
	check(recorded("revoke", "res=1"), "which is a record");
	check_errno(request(client, handle, TOOL_READ, 0, &cookie), EKEYREVOKED, "a call on it");
	check(recorded("call", "tool=1 res=0 errno=128"), "is one");
	close(handle);
}

static void test_calls(struct port *server, struct port *client, const __u8 *name)
{
	__u64 cookie = 0, before, after;
	unsigned int i, good = 0, count, others;
	char words[160];
	int handle = open_handle(client, name, MCP_RIGHT_READ, NULL);
	int other = open_handle(client, name, ALL_RIGHTS, NULL), quiet;
	struct mcp_grant args = grant_args(other, MCP_RIGHT_READ);

	memcpy(args.label, "quiet.one", 9);
	quiet = grant(client, &args);
	drain();
	check_errno(set_calls(1), 0, "from now on each call is a record");
	check(recorded("audit-calls", "on=1 res=1"), "which is one");
	for (i = 0; i < 3; i++) {
		if (request(client, handle, TOOL_READ, 10 + i, &cookie))
			bail_out("a call");
		answer(server, client);
		snprintf(words, sizeof(words),
			 "endpoint=%s tool=1 len=%u cookie=%llu parent=0 uid=0 res=1 errno=0",
			 (const char *)name, 10 + i, (unsigned long long)cookie);
		good += recorded("call", words);
	}
	check(good == 3, "three calls are three records, each with its cookie");

	before = lost(client);
	for (i = 0; i < FLOOD; i++) {
		if (request(client, handle, TOOL_WRITE, 0, &cookie) != -EACCES)
			bail_out("a denied call");
		/* By now nothing more of the other is recorded. */
		if (i == FLOOD / 2 && request(client, quiet, TOOL_WRITE, 0, &cookie) != -EACCES)
			bail_out("a denied call of another sender");
	}
	count = count_records("call", "label=quiet.one ", &others);
	after = lost(client);
	check(count + (after - before) == FLOOD, "of %d calls %u are recorded, %llu counted lost",
	      FLOOD, count, (unsigned long long)(after - before));
	check(count && after > before, "so one sender cannot flood the log");
	check(others == 1, "nor hide what another one does: its call is recorded (%u)", others);

	check_errno(set_calls(0), 0, "no longer");
	check(recorded("audit-calls", "on=0 res=1"), "is a record");
	sleep_ms(1100);
	check_errno(request(client, handle, TOOL_READ, 1, &cookie), 0, "a call");
	answer(server, client);
	check(!next_record(NEVER), "is none");
	close(quiet);
	close(other);
	close(handle);
}

/* From now on this name is called with a policy, and there is none. */
static void test_policy(struct port *client)
{
	struct mcp_require args = { .size = sizeof(args) };
	__u64 cookie = 0;
	__u8 name[MCP_NAME_SIZE];
	struct port other;
	int handle;

	port_need(&other, ARENA);
	test_name(name, "audit.policy");
	serve_need(&other, name);
	handle = open_handle(client, name, MCP_RIGHT_READ, NULL);
	memcpy(args.name, name, sizeof(args.name));
	check_errno(call(client->fd, MCP_IOC_REQUIRE, &args), 0, "a policy is required");
	drain();
	check_errno(request(client, handle, TOOL_READ, 3, &cookie), EACCES, "a call without one");
	check(recorded("call", "kind=1 tool=1 len=3 res=0 errno=13"), "is a record");
	close(handle);
	port_close(&other);
}

/* ---- Faults ---- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return false;
	good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return good;
}

/* Every allocation of GRANT fails once: none gives a handle whose record is missing. */
static void test_faults(struct port *client, const __u8 *name)
{
	unsigned int nth, no_record = 0, others = 0, given = 0;
	int handle, fd;

	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (access("/proc/self/fail-nth", W_OK) ||
	    !write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N")) {
		printf("# no faults can be injected here\n");
		return;
	}
	handle = open_handle(client, name, ALL_RIGHTS, NULL);
	drain();
	fd = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	for (nth = 1; nth < 100; nth++) {
		struct mcp_grant args = grant_args(handle, MCP_RIGHT_READ);
		char text[16];
		int made;

		snprintf(text, sizeof(text), "%u", nth);
		if (pwrite(fd, text, strlen(text), 0) < 0)
			bail_out("fail-nth");
		made = grant(client, &args);
		if (pwrite(fd, "0", 1, 0) < 0)
			bail_out("fail-nth");
		if (made >= 0) {
			/* Either all went well, or what failed was not needed. */
			check(recorded("grant", "res=1"), "a grant that is made is recorded");
			close(made);
			if (++given == 3)
				break;
			continue;
		}
		if (made == -ENOSPC)
			no_record++;
		else
			others++;
		drain();
	}
	close(fd);
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "Y");
	check(no_record >= 1, "ENOSPC for %u faults in its record, no handle (%u other faults)",
	      no_record, others);
	close(handle);
}

int main(void)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	struct port server, client;
	__u8 name[MCP_NAME_SIZE];
	int bytes = 1 << 20;

	test_begin();
	audit_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (audit_fd < 0 || bind(audit_fd, (void *)&self, sizeof(self)))
		skip_all("the kernel has no audit");
	setsockopt(audit_fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (set_status(AUDIT_STATUS_PID, 0, getpid()))
		skip_all("there is an audit daemon");
	if (!check_errno(genl_open(&genl), 0, "the family is there"))
		return test_end();
	port_need(&server, ARENA);
	port_need(&client, ARENA);
	test_name(name, "audit");

	check_errno(set_status(AUDIT_STATUS_ENABLED, 1, 0), 0, "audit is on");
	drain();
	test_decisions(&server, &client, name);
	test_denials(&server, &client, name);
	test_policy(&client);
	test_calls(&server, &client, name);
	test_faults(&client, name);
	check_errno(set_status(AUDIT_STATUS_ENABLED, 0, 0), 0, "audit is off");
	drain();
	close(open_handle(&client, name, MCP_RIGHT_WRITE, NULL));
	check(!next_record(NEVER), "then nothing is recorded");
	check_errno(set_status(AUDIT_STATUS_PID, 0, 0), 0, "somebody else may be the daemon");
	port_close(&client);
	port_close(&server);
	genl_close(&genl);
	return test_end();
}
