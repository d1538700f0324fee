// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: sets of program counters and of pairs of them.
 * Context: user space, root: addresses are hidden from everybody else.
 * Locking: none, one process adds at a time.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coverage.h"

/*
 * Where arm64 links its kernel (KIMAGE_VADDR, with addresses of 39 and of 48
 * bits); KCOV takes the random offset from there away.
 */
#define LINKED_AT_39	0xffffffc080000000ull
#define LINKED_AT_48	0xffff800080000000ull
#define SECTION_MOST	(1u << 20)

static uint64_t mix(uint64_t value)
{
	value ^= value >> 33;
	value *= 0xff51afd7ed558ccdull;
	return value ^ value >> 29;
}

static void add_pc(struct coverage *coverage, uint64_t pc)
{
	unsigned int at = mix(pc) % COVERAGE_PCS;

	for (; coverage->pcs[at]; at = (at + 1) % COVERAGE_PCS)
		if (coverage->pcs[at] == pc)
			return;
	/* Both modules have a fifth of that. */
	if (coverage->pc_count >= COVERAGE_PCS / 2)
		abort();
	coverage->pcs[at] = pc;
	coverage->pc_count++;
}

unsigned int coverage_add(struct coverage *coverage, const uint64_t *pcs, size_t count)
{
	unsigned int before = coverage->edge_count;
	uint64_t last = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned int bit = (mix(last) * 3 ^ mix(pcs[i])) % COVERAGE_EDGES;
		uint64_t mask = 1ull << bit % 64;

		last = pcs[i];
		/* Two pairs may share a bit, so this does not wait for a new one. */
		add_pc(coverage, pcs[i]);
		if (coverage->edges[bit / 64] & mask)
			continue;
		coverage->edges[bit / 64] |= mask;
		coverage->edge_count++;
	}
	return coverage->edge_count - before;
}

/* ---- Addresses ----------------------------------------------------------- */

static int random_offset(uint64_t *offset)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	unsigned long long address;
	char name[64];
	int error = -ENOENT;

	if (!symbols)
		return -errno;
	while (error && fscanf(symbols, "%llx %*c %63s%*[^\n]", &address, name) == 2)
		if (!strcmp(name, "_text"))
			error = address ? 0 : -EPERM;
	fclose(symbols);
	*offset = address - (address >= LINKED_AT_39 ? LINKED_AT_39 : LINKED_AT_48);
	return error;
}

static bool has_code(const char *name, bool with_init)
{
	return !strncmp(name, ".text", 5) || !strcmp(name, ".exit.text") ||
	       (with_init && !strcmp(name, ".init.text"));
}

static void learn(struct places *places, const char *module, const char *name)
{
	struct section *section = places->sections + places->count;
	unsigned long long start;
	char path[512];
	FILE *file;

	for (unsigned int i = 0; i < places->count; i++)
		if (!strcmp(places->sections[i].module, module) &&
		    !strcmp(places->sections[i].name, name))
			return;
	snprintf(path, sizeof(path), "/sys/module/%s/sections/%s", module, name);
	file = fopen(path, "r");
	if (!file)
		return;
	if (places->count < SECTIONS && fscanf(file, "%llx", &start) == 1) {
		section->module = module;
		snprintf(section->name, sizeof(section->name), "%.31s", name);
		section->start = start - places->offset;
		places->count++;
	}
	fclose(file);
}

int places_learn(struct places *places, const char *module, bool with_init)
{
	struct dirent *entry;
	char path[512];
	DIR *folder;
	int error = random_offset(&places->offset);

	snprintf(path, sizeof(path), "/sys/module/%s/sections", module);
	folder = error ? NULL : opendir(path);
	if (!folder)
		return error;
	while ((entry = readdir(folder)))
		if (has_code(entry->d_name, with_init))
			learn(places, module, entry->d_name);
	closedir(folder);
	return 0;
}

bool places_know(const struct places *places, const char *module)
{
	for (unsigned int i = 0; i < places->count; i++)
		if (!strcmp(places->sections[i].module, module))
			return true;
	return false;
}

unsigned int coverage_print(const struct coverage *coverage, const struct places *places,
			    FILE *out)
{
	unsigned int printed = 0;

	for (unsigned int i = 0; i < COVERAGE_PCS; i++) {
		const struct section *of = NULL;
		uint64_t pc = coverage->pcs[i];

		for (unsigned int j = 0; pc && j < places->count; j++) {
			const struct section *section = places->sections + j;

			if (pc >= section->start && pc - section->start < SECTION_MOST &&
			    (!of || section->start > of->start))
				of = section;
		}
		if (!of)
			continue;
		fprintf(out, "%s %s %llx\n", of->module, of->name,
			(unsigned long long)(pc - of->start));
		printed++;
	}
	return printed;
}
