// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: KCOV's file.
 * Context: user space, root; debugfs is mounted.
 * Locking: none; a trace has one writer, the kernel.
 * Lifetime: the memory is the kernel's, and stays as long as a task is traced.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kcov.h>

#include "trace.h"

#define INSTANCE 0x6d6370	/* any number but zero: one process uses it at a time */

int trace_open(struct trace *trace, int above, unsigned int words)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	void *area;

	if (fd < 0)
		return -errno;
	trace->fd = fcntl(fd, F_DUPFD_CLOEXEC, above);
	close(fd);
	if (trace->fd < 0 || ioctl(trace->fd, KCOV_INIT_TRACE, (unsigned long)words))
		return -errno;
	area = mmap(NULL, words * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
		    trace->fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	trace->area = area;
	trace->words = words;
	return 0;
}

int trace_self(const struct trace *trace)
{
	return ioctl(trace->fd, KCOV_ENABLE, (unsigned long)KCOV_TRACE_PC) ? -errno : 0;
}

int trace_others(const struct trace *trace)
{
	struct kcov_remote_arg wanted = {
		.trace_mode = KCOV_TRACE_PC,
		.area_size = trace->words,
		.common_handle = KCOV_SUBSYSTEM_COMMON | (INSTANCE + getpid() % 1000),
	};

	return ioctl(trace->fd, KCOV_REMOTE_ENABLE, &wanted) ? -errno : 0;
}
