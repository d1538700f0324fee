/* SPDX-License-Identifier: GPL-2.0 */
/*
 * System calls of the measured loops: bare, the same for every path, so that
 * no libc adds to one of them; and counted where they are made, so that none
 * can be forgotten. The result is as the kernel gives it: -errno on failure.
 */
#ifndef MCP_BENCH_SYS_H
#define MCP_BENCH_SYS_H

#include <sys/syscall.h>

#include "bench.h"

#ifndef __aarch64__
#error "mcp-bench counts instructions on arm64"
#endif

static inline long counted(struct tally *tally, long number, long a, long b, long c,
			   long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	tally->syscalls++;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}

static inline long counted_read(struct tally *tally, int fd, void *to, size_t bytes)
{
	return counted(tally, SYS_read, fd, (long)to, (long)bytes, 0, 0, 0);
}

static inline long counted_write(struct tally *tally, int fd, const void *from, size_t bytes)
{
	return counted(tally, SYS_write, fd, (long)from, (long)bytes, 0, 0, 0);
}

static inline long counted_ioctl(struct tally *tally, int fd, unsigned long request,
				 void *argument)
{
	return counted(tally, SYS_ioctl, fd, (long)request, (long)argument, 0, 0, 0);
}

#endif
