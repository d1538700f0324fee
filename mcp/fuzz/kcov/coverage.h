/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what was ever run: the set of program counters, and of pairs that
 * followed each other, in memory that outlives the process that found them.
 */
#ifndef COVERAGE_H
#define COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define COVERAGE_PCS	(32u << 10)	/* places; a power of two */
#define COVERAGE_EDGES	(1u << 20)	/* bits */

struct coverage {
	uint64_t pcs[COVERAGE_PCS];
	uint64_t edges[COVERAGE_EDGES / 64];
	unsigned int pc_count, edge_count;
};

/* Adds a trace; how many pairs were new. */
unsigned int coverage_add(struct coverage *coverage, const uint64_t *pcs, size_t count);
/* Where the code of modules is, as long as they are loaded. */
#define SECTIONS 16

struct places {
	uint64_t offset;	/* what KCOV takes from every address */
	unsigned int count;
	struct section {
		const char *module;
		char name[32];
		uint64_t start;
	} sections[SECTIONS];
};

/*
 * Adds the sections of a module that are not known; none when it is not loaded.
 * @with_init: it was loaded just now. The memory of .init.text is given back
 * after that, and the next module may lie there. 0 or -errno.
 */
int places_learn(struct places *places, const char *module, bool with_init);
bool places_know(const struct places *places, const char *module);
/*
 * One line each: "MODULE SECTION OFFSET", hexadecimal, of what lies in these
 * places. Gives their number.
 */
unsigned int coverage_print(const struct coverage *coverage, const struct places *places,
			    FILE *out);

#endif /* COVERAGE_H */
