/* SPDX-License-Identifier: MIT */
/* Raw counters of the processor and the kernel, and the marks of the boot. AArch64 only. */
#ifndef PROTOPI_COUNTERS_H
#define PROTOPI_COUNTERS_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Hints that no extension has taken: no-ops on hardware, phase marks for the counting plug-in of QEMU. */
#define MARK_INIT() __asm__ volatile("hint #0x6d" ::: "memory")
#define MARK_READY() __asm__ volatile("hint #0x6e" ::: "memory")

static inline uint64_t read_cntvct(void)
{
	uint64_t value;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
	return value;
}

static inline uint64_t read_cntfrq(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(value));
	return value;
}

/* The plain system call: setting up the vDSO costs more than it saves for two calls. */
static inline uint64_t read_uptime_ns(void)
{
	struct timespec now = { 0 };

	syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
