// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-bench: what a round trip costs over /dev/mcp, and over what one would
 * use instead, on the same kernel in the same run.
 *
 * Usage: mcp-bench [--json] [--paths NAME,...] [--bytes N,...] [--policy NAME]
 *	  mcp-bench --rest
 *	  mcp-bench --load MODULE
 *
 * --policy only says in the JSON which one is attached. --rest prints what unrelated operations cost, for a comparison with and
 * without the module, and --load what loading it costs. Exit status: 0 if every row was measured and is valid.
 * The figures are instructions in one place only: see measure.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs.h"
#include "report.h"
#include "rest.h"

#define MAX_JOBS	64

static const struct shape {
	const struct path *path;
	unsigned int depth;
	size_t most;		/* larger bodies times the depth do not fit a quarter of an arena */
} shapes[] = {
	{ &pipe_path, 1, MAX_BYTES },
	{ &unix_path, 1, MAX_BYTES },
	{ &tcp_path, 1, MAX_BYTES },
	{ &broker_path, 1, MAX_BYTES },
	{ &mcp_ioctl_path, 1, MAX_BYTES },
	{ &mcp_uring_path, 1, MAX_BYTES },
	{ &mcp_uring_path, MAX_DEPTH, 65536 },
	{ &mcp_rw_path, 1, MAX_BYTES },
};

static const size_t sizes[] = { 128, 4096, 65536, MAX_BYTES };

/* Is @word one of those in @list, which are separated by commas? No list has all. */
static bool listed(const char *list, const char *word)
{
	size_t length = strlen(word);

	if (!list)
		return true;
	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ',') && (!at[length] || at[length] == ','))
			return true;
	return false;
}

static bool is_mcp(const struct path *path)
{
	return !strncmp(path->name, "mcp-", 4);
}

static const struct path *find_path(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (!strcmp(shapes[i].path->name, name))
			return shapes[i].path;
	die("no path is called %s", name);
}

static unsigned int make_rows(struct job *jobs, const char *paths, const char *bytes,
			      bool have_mcp)
{
	unsigned int count = 0;
	char number[16];

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		snprintf(number, sizeof(number), "%zu", sizes[s]);
		for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
			const struct path *path = shapes[i].path;

			if (sizes[s] > shapes[i].most || !listed(paths, path->name) ||
			    !listed(bytes, number) || (is_mcp(path) && !have_mcp))
				continue;
			jobs[count++] = (struct job){
				.path = path, .name = path->name, .bytes = sizes[s],
				.depth = shapes[i].depth,
			};
		}
	}
	return count;
}

static unsigned int make_probes(struct job *jobs)
{
	unsigned int count = 0;

	for (; probe_name(count); count++)
		jobs[count] = (struct job){ .name = probe_name(count), .probe = count, .depth = 1 };
	return count;
}

static int give(struct sample sample)
{
	return write(STDOUT_FILENO, &sample, sizeof(sample)) != sizeof(sample);
}

/* A number that a list of words may hold. */
static void check_words(const char *paths, const char *bytes)
{
	char *copy, *word, *rest;

	if (paths) {
		copy = strdup(paths);
		for (word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
			find_path(word);
		free(copy);
	}
	if (bytes) {
		copy = strdup(bytes);
		for (word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
			size_t s = 0;

			while (s < ARRAY_SIZE(sizes) && sizes[s] != strtoul(word, NULL, 10))
				s++;
			if (s == ARRAY_SIZE(sizes))
				die("there are no rows of %s bytes", word);
		}
		free(copy);
	}
}

static bool wants_mcp(const char *paths)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (is_mcp(shapes[i].path) && listed(paths, shapes[i].path->name))
			return true;
	return false;
}

static int measure(const char *paths, const char *bytes, bool json, const char *policy)
{
	bool complete = !wants_mcp(paths) || !access("/dev/mcp", R_OK | W_OK);
	struct job jobs[MAX_JOBS];
	unsigned int count;
	bool valid = complete;

	check_words(paths, bytes);
	count = make_rows(jobs, paths, bytes, complete);
	run_jobs(jobs, count);
	if (json)
		report_json(jobs, count, complete, policy);
	else
		report_table(jobs, count);
	if (!complete)
		fputs("mcp-bench: /dev/mcp cannot be opened: its rows are missing\n", stderr);
	for (unsigned int i = 0; i < count; i++)
		valid = valid && job_valid(&jobs[i]);
	return !valid;
}

static int measure_rest(void)
{
	struct job jobs[MAX_JOBS];
	unsigned int count = make_probes(jobs);
	bool valid = true;

	run_jobs(jobs, count);
	report_rest(jobs, count);
	for (unsigned int i = 0; i < count; i++)
		valid = valid && job_valid(&jobs[i]);
	return !valid;
}

/* The first two forms are how this program runs itself. */
int main(int argc, char **argv)
{
	const char *paths = NULL, *bytes = NULL, *policy = "none";
	bool json = false;

	if (argc == 5 && !strcmp(argv[1], "--row")) {
		size_t size = strtoul(argv[3], NULL, 10);
		unsigned int depth = (unsigned int)strtoul(argv[4], NULL, 10);

		if (size < 2 || size > MAX_BYTES || !depth || depth > MAX_DEPTH)
			die("no row has %zu bytes and depth %u", size, depth);
		return give(measure_row(find_path(argv[2]), size, depth, count_for(size, depth)));
	}
	if (argc == 3 && !strcmp(argv[1], "--probe")) {
		unsigned long probe = strtoul(argv[2], NULL, 10);

		if (probe >= MAX_JOBS || !probe_name((unsigned int)probe))
			die("no probe has the number %s", argv[2]);
		return give(measure_probe((unsigned int)probe));
	}
	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	if (argc == 2 && !strcmp(argv[1], "--rest"))
		return measure_rest();
	if (argc == 3 && !strcmp(argv[1], "--load")) {
		report_load(measure_load(argv[2]));
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--paths") && i + 1 < argc)
			paths = argv[++i];
		else if (!strcmp(argv[i], "--bytes") && i + 1 < argc)
			bytes = argv[++i];
		else if (!strcmp(argv[i], "--policy") && i + 1 < argc)
			policy = argv[++i];
		else
			die("usage: [--json] [--paths NAME,...] [--bytes N,...] [--policy NAME] | --rest | --load MODULE");
	}
	return measure(paths, bytes, json, policy);
}
