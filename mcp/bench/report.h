/* SPDX-License-Identifier: GPL-2.0 */
/* The results, for people and for programs. */
#ifndef MCP_BENCH_REPORT_H
#define MCP_BENCH_REPORT_H

#include "jobs.h"

void report_table(const struct job *jobs, unsigned int count);
void report_json(const struct job *jobs, unsigned int count, bool complete, const char *policy);
void report_load(struct sample load);
void report_rest(const struct job *jobs, unsigned int count);

#endif
