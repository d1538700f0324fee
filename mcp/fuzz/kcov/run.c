// SPDX-License-Identifier: GPL-2.0
/*
 * kcov_run FILE PROGRAM [WORD...]: runs a program, and writes to FILE what its
 * first thread made mcp.ko and mcp_net.ko run: MODULE SECTION OFFSET. KCOV goes
 * on through exec, not into threads and children.
 *
 * Exit status: the program's, or 120 when something else went wrong.
 *
 * Concern: a trace that is read while it grows. A word that is lost when it is
 *	    emptied makes the result smaller, never larger.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coverage.h"
#include "mcp_test.h"
#include "trace.h"

#define WORDS		(1u << 20)
#define FAILED		120

static void drain(struct coverage *coverage, const struct trace *trace)
{
	coverage_add(coverage, trace->area + 1, trace_count(trace));
	trace_reset(trace);
}

/* Once before, for what unloads a module, and once @after, for what loads one. */
static bool learn(struct places *places, bool after)
{
	static const char *const modules[] = { "mcp", "mcp_net" };

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		errno = -places_learn(places, modules[i], after && !places_know(places, modules[i]));
		if (errno)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct coverage coverage;
	struct places places = { 0 };
	struct trace trace;
	int status;
	pid_t child;
	FILE *file;

	if (argc < 3) {
		fprintf(stderr, "usage: kcov_run FILE PROGRAM [WORD...]\n");
		return FAILED;
	}
	if (trace_open(&trace, 3, WORDS))
		bail_out("no trace");
	if (!learn(&places, false))
		bail_out("addresses of the modules, which kernel.kptr_restrict=0 shows");
	child = fork();
	if (!child) {
		/* Who is killed leaves nobody behind who holds a module. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!trace_self(&trace))
			execvp(argv[2], argv + 2);
		_exit(FAILED);
	}
	while (child > 0 && !waitpid(child, &status, WNOHANG)) {
		if (trace_count(&trace) > WORDS / 4)
			drain(&coverage, &trace);
		else
			sleep_ms(5);
	}
	drain(&coverage, &trace);
	file = fopen(argv[1], "w");
	if (child < 0 || !learn(&places, true) || !file)
		return FAILED;
	coverage_print(&coverage, &places, file);
	if (fclose(file))
		return FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}
