/* SPDX-License-Identifier: GPL-2.0 */
/* Concern: numbers that a seed determines (splitmix64, by Sebastiano Vigna, public domain). */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
	uint64_t value = random->state += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

/* 0 to @limit - 1. */
static inline uint32_t random_below(struct random *random, uint32_t limit)
{
	return random_next(random) % limit;
}

/* Once in @times. */
static inline bool random_once_in(struct random *random, uint32_t times)
{
	return !random_below(random, times);
}

#endif /* RANDOM_H */
