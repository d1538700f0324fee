/* SPDX-License-Identifier: GPL-2.0 */
/* Rows and probes as jobs, each run several times in fresh processes. */
#ifndef MCP_BENCH_JOBS_H
#define MCP_BENCH_JOBS_H

#include "bench.h"

#define RUNS	3	/* orders in which all jobs are run */
#define TRIES	3	/* for one run of a row that had a switch too many */

struct job {
	const struct path *path;	/* NULL for a probe */
	const char *name;
	size_t bytes;
	unsigned int depth;
	unsigned int probe;
	struct sample runs[RUNS];
	unsigned int tries;		/* RUNS of them, and one for each that was repeated */
	unsigned int bad_runs;		/* those that stayed invalid */
	bool failed;
	struct sample median;
	double spread;			/* (largest - smallest) / median */
};

void run_jobs(struct job *jobs, unsigned int count);
bool job_valid(const struct job *job);

#endif
