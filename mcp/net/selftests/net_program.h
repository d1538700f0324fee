/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: a program under test, and what it says on standard output. What it
 * says on standard error goes with what the test says there.
 */
#ifndef NET_PROGRAM_H
#define NET_PROGRAM_H

#include <stdio.h>

#include "mcp_test.h"

struct program {
	pid_t pid;
	FILE *said;
};

/* Whether there is one of that name in PATH: it is run without a word. */
bool program_found(const char *name);
/*
 * @words: its path or name first, NULL last. It reads @input_size bytes of
 * @input, at most a pipe's. It dies with the test.
 */
void program_start(struct program *program, char *const *words, const void *input,
		   size_t input_size);
/* Whether @line is the next that it says. */
bool program_says(struct program *program, const char *line);
/* Its exit status once it ends by itself: 128 when a signal ended it, 127 when there is no such program. */
int program_end(struct program *program);
/* Likewise, after SIGTERM. */
int program_stop(struct program *program);

#endif
