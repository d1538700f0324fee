/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: the kernel's names on a host, for the files of mcp.ko and mcp_net.ko
 *          that have no I/O. What is not here they do not use; no header of the kernel's is.
 */
#ifndef HOST_H
#define HOST_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asm/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef __u16 __le16;
typedef __u32 __le32;
typedef __u64 __le64;

#define S64_MAX	INT64_MAX
#define U32_MAX	UINT32_MAX

/* A warning of the kernel's is a finding here. */
#define WARN_ON_ONCE(condition) ({					\
	if (condition) {						\
		fprintf(stderr, "%s:%d: warning\n", __FILE__, __LINE__);\
		abort();						\
	}								\
	false;								\
})

#define noinline __attribute__((noinline))
#define unlikely(condition) (condition)
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define clamp(value, low, high) \
	((value) < (low) ? (low) : (value) > (high) ? (u64)(high) : (u64)(value))
#define __packed __attribute__((packed))
#define NSEC_PER_MSEC 1000000ul
#define div_u64(n, d) ((u64)(n) / (d))
#define DIV_ROUND_UP_ULL(n, d) (((u64)(n) + (d) - 1) / (d))

static inline void *memchr_inv(const void *start, int value, size_t bytes)
{
	const u8 *at = start;

	for (; bytes; bytes--, at++)
		if (*at != (u8)value)
			return (void *)at;
	return NULL;
}

/* ---- Bytes of a frame: the hosts where this runs are little-endian ---- */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
#define cpu_to_le16(x) ((__le16)(x))
#define cpu_to_le32(x) ((__le32)(x))
#define cpu_to_le64(x) ((__le64)(x))
#define le16_to_cpu(x) ((u16)(x))
#define le32_to_cpu(x) ((u32)(x))
#define le64_to_cpu(x) ((u64)(x))

/* ---- Memory ---- */

#define GFP_KERNEL_ACCOUNT 0
#define kvcalloc(count, size, flags) calloc(count, size)
#define kvfree(pointer) free(pointer)

/* ---- Bitmaps ---- */

#define BITS_PER_LONG 64
#define BITS_TO_LONGS(bits) (((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG)

static inline bool test_bit(unsigned long bit, const unsigned long *map)
{
	return map[bit / BITS_PER_LONG] >> bit % BITS_PER_LONG & 1;
}

static inline void __set_bit(unsigned long bit, unsigned long *map)
{
	map[bit / BITS_PER_LONG] |= 1ul << bit % BITS_PER_LONG;
}

static inline void __clear_bit(unsigned long bit, unsigned long *map)
{
	map[bit / BITS_PER_LONG] &= ~(1ul << bit % BITS_PER_LONG);
}

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int count)
{
	while (count--)
		__set_bit(start++, map);
}

static inline void bitmap_clear(unsigned long *map, unsigned int start, unsigned int count)
{
	while (count--)
		__clear_bit(start++, map);
}

/* The first of @count clear bits from @start on; above @size if there are none. */
static inline unsigned long bitmap_find_next_zero_area(unsigned long *map, unsigned long size,
						       unsigned long start, unsigned int count,
						       unsigned long mask)
{
	unsigned long bit, run = 0;

	assert(!mask);
	for (bit = start; bit < size; bit++) {
		run = test_bit(bit, map) ? 0 : run + 1;
		if (run == count)
			return bit + 1 - count;
	}
	return size + 1;
}

/* ---- Atomic numbers ---- */

typedef struct {
	s64 counter;
} atomic64_t;

#define atomic64_read(v) __atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)
#define atomic64_set(v, i) __atomic_store_n(&(v)->counter, i, __ATOMIC_RELAXED)
#define atomic64_add(i, v) ((void)atomic64_add_return(i, v))
#define atomic64_sub(i, v) ((void)__atomic_sub_fetch(&(v)->counter, i, __ATOMIC_SEQ_CST))
#define atomic64_add_return(i, v) __atomic_add_fetch(&(v)->counter, i, __ATOMIC_SEQ_CST)

#endif /* HOST_H */
