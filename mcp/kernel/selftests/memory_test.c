// SPDX-License-Identifier: GPL-2.0
/*
 * Test of who pays: an arena's pages are charged to the memory cgroup of who
 * made it, what the kernel keeps about messages to that of who sent them, and a
 * cgroup that is full makes ARENA fail and kills nobody.
 *
 * Usage: memory_test           on a machine where mcp.ko is loaded, as root;
 *                              it mounts cgroup2 for itself
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_test.h"

#define MIB	1048576l
/* The kernel charges in batches of 64 pages a CPU; what a task itself takes is in this too. */
#define SLACK	(2 * MIB)
#define ARENA	(8 * MIB)

static char root[64];

/* ---- cgroups ------------------------------------------------------------- */

static int write_to(const char *group, const char *file, const char *text)
{
	char path[160];
	int fd, error = 0;

	snprintf(path, sizeof(path), "%s%s%s/%s", root, *group ? "/" : "", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

static long read_number(const char *group, const char *file, const char *word)
{
	char path[160], line[128];
	long number = -1;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s/%s", root, group, file);
	stream = fopen(path, "re");
	if (!stream)
		return -1;
	while (number < 0 && fgets(line, sizeof(line), stream)) {
		size_t length = word ? strlen(word) : 0;

		if (!word)
			number = atol(line);
		else if (!strncmp(line, word, length) && line[length] == ' ')
			number = atol(line + length);
	}
	fclose(stream);
	return number;
}

static void group_path(char path[160], const char *group)
{
	snprintf(path, 160, "%s/%s", root, group);
}

static void group_need(const char *group)
{
	char path[160];

	group_path(path, group);
	if (mkdir(path, 0700))
		bail_out("a cgroup");
}

static void group_remove(const char *group)
{
	char path[160];

	group_path(path, group);
	/* What was charged may still be on its way back. */
	for (int i = 0; rmdir(path) && i < 100; i++)
		sleep_ms(20);
}

static void mount_need(void)
{
	snprintf(root, sizeof(root), "/tmp/mcp-memory.%d", (int)getpid());
	if (mkdir(root, 0700) || mount("none", root, "cgroup2", 0, NULL)) {
		rmdir(root);
		skip_all("cgroup2 cannot be mounted");
	}
	if (write_to("", "cgroup.subtree_control", "+memory")) {
		umount(root);
		rmdir(root);
		skip_all("there is no memory controller in cgroup2");
	}
}

static void unmount(void)
{
	umount2(root, MNT_DETACH);
	rmdir(root);
}

/* ---- A process in a cgroup that does one thing after the other ----------- */

struct worker {
	pid_t pid;
	int line;
};

/* Runs @step(number, argument) for each byte that comes, and answers its result. */
static struct worker worker_need(const char *group, int (*step)(int, void *), void *argument)
{
	struct worker worker;
	int lines[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lines))
		bail_out("a socket");
	worker.pid = fork();
	if (worker.pid < 0)
		bail_out("a child");
	if (!worker.pid) {
		char pid[16];
		int number, result;

		close(lines[0]);
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		if (write_to(group, "cgroup.procs", pid))
			_exit(99);
		while (read(lines[1], &number, sizeof(number)) == sizeof(number)) {
			result = step(number, argument);
			if (write(lines[1], &result, sizeof(result)) != sizeof(result))
				break;
		}
		_exit(0);
	}
	close(lines[1]);
	worker.line = lines[0];
	return worker;
}

/* The step's result; -EPIPE when the worker has died. */
static int worker_do(const struct worker *worker, int number)
{
	int result;

	if (write(worker->line, &number, sizeof(number)) != sizeof(number) ||
	    read(worker->line, &result, sizeof(result)) != sizeof(result))
		return -EPIPE;
	return result;
}

/* How it ended, as waitpid() says. */
static int worker_end(struct worker *worker)
{
	int status = -1;

	close(worker->line);
	waitpid(worker->pid, &status, 0);
	return status;
}

/* Counters are gathered every two seconds. */
static bool settles(const char *group, const char *file, const char *word, long least, long most,
		    long *got)
{
	for (int i = 0; i < 60; i++) {
		*got = read_number(group, file, word);
		if (*got >= least && *got <= most)
			return true;
		sleep_ms(100);
	}
	return false;
}

/* ---- The arena ----------------------------------------------------------- */

static int arena_step(int number, void *argument)
{
	static struct port port = { .fd = -1 };

	(void)argument;
	if (number == 0)
		return port_open(&port, 0);
	if (number == 1) {
		struct mcp_arena arena = { .size = sizeof(arena), .bytes = ARENA };

		return call(port.fd, MCP_IOC_ARENA, &arena);
	}
	port_close(&port);
	return 0;
}

static void test_arena(void)
{
	struct worker worker;
	long before, with, after = -1;

	group_need("arena");
	worker = worker_need("arena", arena_step, NULL);
	check_errno(worker_do(&worker, 0), 0, "a process in a cgroup opens the device");
	before = read_number("arena", "memory.current", NULL);
	check_errno(worker_do(&worker, 1), 0, "and takes an arena of %ld MiB", ARENA / MIB);
	with = read_number("arena", "memory.current", NULL);
	check(with - before >= ARENA - SLACK / 4 && with - before <= ARENA + SLACK,
	      "memory.current rises by as much (%ld KiB)", (with - before) / 1024);
	check(settles("arena", "memory.stat", "kernel", ARENA, with, &after),
	      "memory.stat has it as the kernel's (%ld KiB)", after / 1024);
	check_errno(worker_do(&worker, 2), 0, "it is closed");
	check(settles("arena", "memory.current", NULL, 0, before + SLACK, &after),
	      "and all is given back (%ld KiB)", (after - before) / 1024);
	check(worker_end(&worker) == 0, "the process ends");
	group_remove("arena");
}

static void test_full(void)
{
	struct worker worker;
	char limit[24];
	long killed;
	int round;

	group_need("full");
	worker = worker_need("full", arena_step, NULL);
	check_errno(worker_do(&worker, 0), 0, "a process in a cgroup with a limit");
	snprintf(limit, sizeof(limit), "%ld", read_number("full", "memory.current", NULL) + 4 * MIB);
	check_errno(write_to("full", "memory.max", limit), 0, "of 4 MiB more than it has");
	for (round = 0; round < 5; round++)
		if (worker_do(&worker, 1) != -ENOMEM)
			break;
	check(round == 5, "an arena of %ld MiB gets ENOMEM, five times", ARENA / MIB);
	killed = read_number("full", "memory.events", "oom_kill");
	check(!killed, "and nobody is killed for it (%ld)", killed);
	check_errno(write_to("full", "memory.max", "max"), 0, "without the limit");
	check_errno(worker_do(&worker, 1), 0, "it gets its arena");
	check(worker_end(&worker) == 0, "the process ends by itself");
	group_remove("full");
}

/* ---- Messages ------------------------------------------------------------ */

#define REQUESTS	1000	/* below a user's limit; of four handles */
#define HANDLES		4
/* A request costs more than this of slab: its exchange. */
#define LEAST_EACH	400

struct senders {
	__u8 name[MCP_NAME_SIZE];
};

static int sender_step(int number, void *argument)
{
	struct senders *senders = argument;
	static int handles[HANDLES];
	static struct port port;

	if (number == 0) {
		int error = port_open(&port, MIB);

		for (int i = 0; i < HANDLES && !error; i++) {
			handles[i] = open_handle(&port, senders->name, ALL_RIGHTS, NULL);
			error = handles[i] < 0 ? handles[i] : 0;
		}
		return error;
	}
	for (int i = 0; number == 1 && i < REQUESTS; i++) {
		struct mcp_frame frame = frame_request(handles[i % HANDLES], TOOL_READ, "x", 1);

		frame.envelope.reserve = 1;
		if (write(port.fd, &frame, sizeof(frame)) < 0)
			return -errno;
	}
	if (number == 2)
		port_close(&port);
	return 0;
}

static int server_step(int number, void *argument)
{
	struct senders *senders = argument;
	static struct port port;

	if (number == 0) {
		int error = port_open(&port, 4 * MIB);

		if (!error)
			serve_need(&port, senders->name);
		return error;
	}
	port_close(&port);
	return 0;
}

static long slab_of(const char *group)
{
	return read_number(group, "memory.stat", "slab_unreclaimable");
}

static void test_messages(void)
{
	struct worker server, sender;
	struct senders senders = { 0 };
	long sender_before, server_before, sender_after = -1, server_after;
	bool charged;

	test_name(senders.name, "memory");
	group_need("server");
	group_need("sender");
	server = worker_need("server", server_step, &senders);
	sender = worker_need("sender", sender_step, &senders);
	check_errno(worker_do(&server, 0), 0, "a server in one cgroup");
	check_errno(worker_do(&sender, 0), 0, "a sender in another");
	sleep_ms(2500); /* until what is gathered every two seconds is */
	sender_before = slab_of("sender");
	server_before = slab_of("server");
	check_errno(worker_do(&sender, 1), 0, "%d requests that nobody takes", REQUESTS);
	charged = settles("sender", "memory.stat", "slab_unreclaimable",
			  sender_before + REQUESTS * LEAST_EACH, 100 * MIB, &sender_after);
	server_after = slab_of("server");
	check(charged, "what the kernel keeps about them is charged to the sender (%ld bytes each)",
	      (sender_after - sender_before) / REQUESTS);
	check(server_after - server_before < REQUESTS * LEAST_EACH / 10,
	      "and not to the server (%ld bytes)", server_after - server_before);
	check_errno(worker_do(&sender, 2), 0, "the sender's file is closed");
	check(settles("sender", "memory.stat", "slab_unreclaimable", 0,
		      sender_before + REQUESTS * LEAST_EACH / 4, &sender_after),
	      "and all is given back (%ld bytes)", sender_after - sender_before);
	check(worker_end(&sender) == 0 && worker_end(&server) == 0, "both end");
	group_remove("sender");
	group_remove("server");
}

int main(void)
{
	test_begin();
	signal(SIGPIPE, SIG_IGN);
	mount_need();
	test_arena();
	test_full();
	test_messages();
	unmount();
	return test_end();
}
