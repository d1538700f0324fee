// SPDX-License-Identifier: GPL-2.0
/*
 * Probes of what has nothing to do with MCP, so that the cost of the module to
 * the rest of the system can be seen: the same figures before it is loaded,
 * while it is, and after. Each counts in nanoseconds, as measure.c has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "rest.h"
#include "sys.h"

#define MESSAGE	128
#define PAGE	4096

static struct tally tally;

static void null_calls(unsigned int count)
{
	while (count--)
		counted(&tally, SYS_getppid, 0, 0, 0, 0, 0, 0);
}

static void wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		die("a child of the probe failed");
}

static void forks(unsigned int count)
{
	while (count--) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		wait_for(child);
	}
}

static void execs(unsigned int count)
{
	while (count--) {
		pid_t child = vfork();

		if (!child) {
			execl("/proc/self/exe", "mcp-bench", "--nothing", NULL);
			_exit(1);
		}
		wait_for(child);
	}
}

/* The first page of the program itself: it is in the page cache. */
static void file_reads(unsigned int count)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *page = allocate(PAGE);

	if (fd < 0)
		die("/proc/self/exe: %s", strerror(errno));
	while (count--)
		if (counted(&tally, SYS_pread64, fd, (long)page, PAGE, 0, 0, 0) != PAGE)
			die("a short read of a file");
	close(fd);
}

static const struct probe {
	const char *name;
	const struct path *path;
	void (*run)(unsigned int count);
	unsigned int count;
} probes[] = {
	{ "null_call", NULL, null_calls, 100000 },
	{ "pipe", &pipe_path, NULL, 4096 },
	{ "fork", NULL, forks, 256 },
	{ "exec", NULL, execs, 128 },
	{ "unix", &unix_path, NULL, 4096 },
	{ "tcp", &tcp_path, NULL, 4096 },
	{ "file_read", NULL, file_reads, 20000 },
};

const char *probe_name(unsigned int which)
{
	return which < ARRAY_SIZE(probes) ? probes[which].name : NULL;
}

/* A module that is not loaded: what finit_module() takes of it, which is part of the time to ready. */
struct sample measure_load(const char *module)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);
	__u64 start, end;

	if (fd < 0)
		die("%s: %s", module, strerror(errno));
	pin();
	start = now_ns();
	if (syscall(SYS_finit_module, fd, "", 0))
		die("%s: finit_module: %s", module, strerror(errno));
	end = now_ns();
	close(fd);
	return (struct sample){ .instructions = (double)(end - start) };
}

struct sample measure_probe(unsigned int which)
{
	const struct probe *probe = &probes[which];
	__u64 start;

	if (probe->path)
		return measure_row(probe->path, MESSAGE, 1, probe->count);
	pin();
	probe->run(probe->count / 4);
	start = now_ns();
	probe->run(probe->count);
	return (struct sample){ .instructions = (double)(now_ns() - start) / probe->count };
}
