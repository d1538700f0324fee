/* SPDX-License-Identifier: MIT */
/* Small helpers of PID 1 and its companions: whole-file reads, whole writes, the kernel log. No allocation. */
#ifndef PROTOPI_UTIL_H
#define PROTOPI_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

/* Levels of the kernel log. A console under loglevel=1 shows none of these. */
enum klog_level { KLOG_ERROR = 3, KLOG_WARNING = 4, KLOG_NOTICE = 5 };

/* One record in the kernel log, "protopi: " in front; cut at 240 characters. Failing to log is no error. */
void klog(enum klog_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads a file into `buffer` (size - 1 bytes at most) and ends it with a zero. Returns its length, or -errno. */
ssize_t read_file(const char *path, char *buffer, size_t size);

/* Makes or truncates a file and writes it whole. Returns 0 or -errno. */
int write_file(const char *path, const void *data, size_t size);

/* Decimal number at `text`; returns 0 and sets *value, or -EINVAL. Stops at the first character that is no digit. */
int parse_u64(const char *text, uint64_t *value);

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t now_ms(void);

/* For descriptors with automatic lifetime: `int fd __attribute__((cleanup(close_fd)))`. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define AUTO_CLOSE __attribute__((cleanup(close_fd)))

#endif
