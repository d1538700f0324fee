// SPDX-License-Identifier: MIT
/* Helpers without state. Context: any process of the image; nothing here allocates or waits. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void klog(enum klog_level level, const char *format, ...)
{
	int fd AUTO_CLOSE = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char line[260];
	va_list arguments;
	int head, body;

	if (fd < 0)
		return;
	head = snprintf(line, sizeof(line), "<%d>protopi: ", (int)level);
	va_start(arguments, format);
	body = vsnprintf(line + head, sizeof(line) - (size_t)head, format, arguments);
	va_end(arguments);
	if (body < 0)
		return;
	if ((size_t)(head + body) >= sizeof(line))
		body = (int)sizeof(line) - 1 - head;
	line[head + body] = '\n'; /* without it the kernel keeps the record open, and its readers cannot see it */
	if (write(fd, line, (size_t)(head + body) + 1) < 0)
		return;
}

ssize_t read_file(const char *path, char *buffer, size_t size)
{
	int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < size - 1) {
		ssize_t got = read(fd, buffer + done, size - 1 - done);

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	buffer[done] = '\0';
	return (ssize_t)done;
}

int write_file(const char *path, const void *data, size_t size)
{
	int fd AUTO_CLOSE = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t done;

	if (fd < 0)
		return -errno;
	done = write(fd, data, size);
	if (done < 0)
		return -errno;
	return (size_t)done == size ? 0 : -ENOSPC;
}

int parse_u64(const char *text, uint64_t *value)
{
	uint64_t number = 0;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return -EINVAL;
	*value = number;
	return 0;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
