// SPDX-License-Identifier: GPL-2.0
/*
 * A table, or JSON. "copied" is what mcp.ko has counted; null for the other
 * paths, of which nobody counts what the kernel copies, and a figure that was
 * worked out would look like one that was counted.
 */
#include <stdio.h>

#include "report.h"

void report_table(const struct job *jobs, unsigned int count)
{
	printf("%-10s %8s %6s %13s %7s %9s %9s %8s\n", "path", "bytes", "depth", "instructions",
	       "spread", "syscalls", "switches", "outside");
	for (unsigned int i = 0; i < count; i++) {
		const struct job *job = &jobs[i];

		printf("%-10s %8zu %6u ", job->name, job->bytes, job->depth);
		if (job->failed) {
			puts("failed");
			continue;
		}
		printf("%13.0f %6.2f%% %9.2f %9.3f %7.2f%%", job->median.instructions,
		       100 * job->spread, job->median.syscalls, job->median.switches,
		       100 * job->median.outside);
		if (job->bad_runs)
			printf("  invalid: switches, in %u of %u runs", job->bad_runs, RUNS);
		else if (job->tries > RUNS)
			printf("  %u runs repeated", job->tries - RUNS);
		putchar('\n');
	}
}

static void report_numbers(const struct job *job)
{
	printf("\"instructions\":%.1f,\"syscalls\":%.3f,", job->median.instructions,
	       job->median.syscalls);
	printf("\"switches\":%.4f,\"spread\":%.5f,\"outside\":%.5f,", job->median.switches,
	       job->spread, job->median.outside);
}

void report_json(const struct job *jobs, unsigned int count, bool complete, const char *policy)
{
	bool valid = complete;

	printf("{\"rows\":[");
	for (unsigned int i = 0; i < count; i++) {
		const struct job *job = &jobs[i];

		valid = valid && job_valid(job);
		printf("%s\n{\"path\":\"%s\",\"bytes\":%zu,\"depth\":%u,\"policy\":\"%s\",",
		       i ? "," : "", job->name, job->bytes, job->depth, policy);
		if (job->failed)
			printf("\"instructions\":null,\"syscalls\":null,\"switches\":null,");
		else
			report_numbers(job);
		if (job->failed || job->median.copied < 0)
			printf("\"copied\":null,");
		else
			printf("\"copied\":%.3f,", job->median.copied);
		printf("\"runs\":%u,\"tries\":%u,\"valid\":%s}", RUNS, job->tries,
		       job_valid(job) ? "true" : "false");
	}
	printf("\n],\"complete\":%s,\"valid\":%s}\n", complete ? "true" : "false",
	       valid ? "true" : "false");
}

void report_load(struct sample load)
{
	printf("{\"load\":%.0f}\n", load.instructions);
}

void report_rest(const struct job *jobs, unsigned int count)
{
	putchar('{');
	for (unsigned int i = 0; i < count; i++) {
		printf("%s\"%s\":", i ? "," : "", jobs[i].name);
		if (job_valid(&jobs[i]))
			printf("%.2f", jobs[i].median.instructions);
		else
			printf("null");
	}
	puts("}");
}
