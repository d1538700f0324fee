// SPDX-License-Identifier: MIT
/*
 * The facts of a console report.
 *
 * Concern: gather them. Read-only: nothing here changes the system.
 * Context: the report service, as root, one request at a time. Lifetime: each request reads afresh.
 */
#include "report_facts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define SERVICES "/run/service"

void report_append(struct report *report, const void *data, size_t size)
{
	if (size > report->size - report->used) {
		report->overflow = true;
		return;
	}
	memcpy(report->data + report->used, data, size);
	report->used += size;
}

void report_format(struct report *report, const char *format, ...)
{
	char line[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(line))
		report->overflow = true;
	else
		report_append(report, line, (size_t)length);
}

void report_kmsg(struct report *report)
{
	int fd AUTO_CLOSE = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char record[8192]; /* the kernel's own limit for one record */

	while (fd >= 0) {
		ssize_t size = read(fd, record, sizeof(record));

		if (size > 0)
			report_append(report, record, (size_t)size);
		else if (size < 0 && errno == EPIPE)
			/* The oldest records were overwritten while we read: a gap that the reader must see. */
			report_format(report, "0,0,0,-;protopi: kernel log records were lost\n");
		else if (size == 0 || errno != EINTR)
			return;
	}
}

/* Standard output of a program, at most size - 1 bytes; false when it failed. */
static bool output_of(char *const arguments[], char *text, size_t size)
{
	int pipes[2], status;
	size_t used = 0;
	ssize_t got;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(pipes[1], STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execv(arguments[0], arguments);
		_exit(127);
	}
	close(pipes[1]);
	while (pid > 0 && used < size - 1 && (got = read(pipes[0], text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	close(pipes[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* How a service ended so far. */
struct ends {
	unsigned int count; /* as many as s6 remembers */
	char last[24];	    /* exit code, sigN, or - */
};

/* s6-svdt prints a line for each end, the latest last: "TIME exitcode N" or "TIME signal N". */
static struct ends ends_of(char *folder)
{
	char *const arguments[] = { "/usr/bin/s6-svdt", "-s", folder, NULL };
	static char text[16384];
	struct ends ends = { .last = "-" };
	char kind[16];
	int number;

	if (!output_of(arguments, text, sizeof(text)))
		return ends;
	for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		ends.count++;
		if (sscanf(line, "%*s %15s %d", kind, &number) == 2)
			snprintf(ends.last, sizeof(ends.last), "%s%d", strcmp(kind, "signal") == 0 ? "sig" : "", number);
	}
	return ends;
}

static void one_service(struct report *report, const char *name)
{
	char folder[300], failed[320], text[256], wanted[8], up[8];
	char *const arguments[] = { "/usr/bin/s6-svstat", "-o", "wantedup,up,pid", folder, NULL };
	struct ends ends;
	long pid;

	snprintf(folder, sizeof(folder), SERVICES "/%s", name);
	if (!output_of(arguments, text, sizeof(text)) ||
	    sscanf(text, "%7s %7s %ld", wanted, up, &pid) != 3) {
		report_format(report, "%s - - 0 - 0 failed\n", name);
		return;
	}
	ends = ends_of(folder);
	snprintf(failed, sizeof(failed), "/run/protopi/failed/%s", name);
	report_format(report, "%s %s %s %ld %s %u %s\n", name, strcmp(wanted, "true") == 0 ? "up" : "down",
		      strcmp(up, "true") == 0 ? "up" : "down", pid > 0 ? pid : 0, ends.last, ends.count,
		      access(failed, F_OK) == 0 ? "failed" : "ok");
}

static int is_service(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

void report_services(struct report *report)
{
	struct dirent **entries;
	int count = scandir(SERVICES, &entries, is_service, alphasort);

	for (int i = 0; i < count; i++) {
		char name[280], log[300];

		snprintf(name, sizeof(name), "%s", entries[i]->d_name);
		one_service(report, name);
		snprintf(log, sizeof(log), SERVICES "/%s/log", name);
		if (access(log, F_OK) == 0) {
			snprintf(log, sizeof(log), "%s/log", name);
			one_service(report, log);
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

void report_boot(struct report *report)
{
	char line[1024];
	ssize_t size = read_file("/run/protopi/boot", line, sizeof(line));

	if (size > 0)
		report_append(report, line, (size_t)size);
}

/* Field `index` (from 0) of a line of numbers. */
static uint64_t field_of(const char *line, int index)
{
	uint64_t value = 0;

	for (line += strspn(line, " "); index > 0; index--) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	return parse_u64(line, &value) < 0 ? 0 : value;
}

void report_disk(struct report *report)
{
	char path[96], target[256], text[256] = "", *name, *slash;
	struct statvfs data;
	struct stat root, mounted;
	ssize_t size;

	if (stat("/", &root) < 0)
		return;
	/* The link ends in .../block/DISK/PARTITION or .../block/DISK. */
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(root.st_dev), minor(root.st_dev));
	size = readlink(path, target, sizeof(target) - 1);
	if (size > 0) {
		target[size] = '\0';
		name = strstr(target, "/block/");
		name = name ? name + strlen("/block/") : target;
		slash = strchr(name, '/');
		if (slash)
			*slash = '\0';
		report_format(report, "root=%s\n", name);
		snprintf(target, sizeof(target), "%s%s", path, slash ? "/../size" : "/size");
		if (read_file(target, text, sizeof(text)) > 0)
			report_format(report, "disk_sectors=%llu\n", (unsigned long long)field_of(text, 0));
		snprintf(target, sizeof(target), "%s%s", path, slash ? "/../stat" : "/stat");
		if (read_file(target, text, sizeof(text)) > 0)
			report_format(report, "sectors_read=%llu\nsectors_written=%llu\n",
				      (unsigned long long)field_of(text, 2), (unsigned long long)field_of(text, 6));
	}
	if (read_file("/run/protopi/data", text, sizeof(text)) <= 0)
		snprintf(text, sizeof(text), "pending\n");
	report_format(report, "data=%s", text);
	/* Where it is not mounted, /data is a folder of the root: its numbers would be another file system's. */
	if (stat("/data", &mounted) == 0 && mounted.st_dev != root.st_dev && statvfs("/data", &data) == 0)
		report_format(report, "data_bytes=%llu\ndata_free_bytes=%llu\n",
			      (unsigned long long)data.f_blocks * data.f_frsize,
			      (unsigned long long)data.f_bavail * data.f_frsize);
}

void report_hostkey(struct report *report)
{
	/* /usr/lib/protopi/ssh: provisioned, made on /data, or in memory where there is none. */
	static const char *const places[] = { "/data/provision/host_key",
					      "/data/ssh/dropbear_ed25519_host_key",
					      "/run/ssh/host/dropbear_ed25519_host_key" };
	static const char word[] = "Fingerprint: ";
	char text[2048], *found;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		char *const arguments[] = { "/usr/bin/dropbearkey", "-y", "-f", (char *)places[i], NULL };

		if (access(places[i], F_OK) < 0)
			continue;
		if (output_of(arguments, text, sizeof(text)) && (found = strstr(text, word))) {
			found += strlen(word);
			report_format(report, "%.*s\n", (int)strcspn(found, "\n"), found);
		}
		return;
	}
}
