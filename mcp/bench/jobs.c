// SPDX-License-Identifier: GPL-2.0
/*
 * Runs every job RUNS times, each time in another order and in a fresh process
 * (this program, executed again), because what ran before can change what a
 * row costs. A run of a row with a switch too many is repeated; how often is
 * part of the result, and a row that stays so is invalid.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs.h"

static void execute(const struct job *job, int result)
{
	char numbers[3][16];

	snprintf(numbers[0], sizeof(numbers[0]), "%zu", job->path ? job->bytes : job->probe);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", job->depth);
	if (dup2(result, STDOUT_FILENO) < 0)
		die("dup2: %s", strerror(errno));
	if (job->path)
		execl("/proc/self/exe", "mcp-bench", "--row", job->path->name, numbers[0],
		      numbers[1], NULL);
	else
		execl("/proc/self/exe", "mcp-bench", "--probe", numbers[0], NULL);
	die("/proc/self/exe: %s", strerror(errno));
}

static bool run_once(const struct job *job, struct sample *sample)
{
	int ends[2], status;
	ssize_t got;
	pid_t child;

	if (pipe(ends) < 0)
		die("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child) {
		close(ends[0]);
		execute(job, ends[1]);
	}
	close(ends[1]);
	got = read(ends[0], sample, sizeof(*sample));
	close(ends[0]);
	if (waitpid(child, &status, 0) != child)
		die("waitpid: %s", strerror(errno));
	if (status)
		fprintf(stderr, "mcp-bench: %s %zu depth %u: status %d\n", job->name, job->bytes,
			job->depth, status);
	return !status && got == sizeof(*sample);
}

/*
 * With several in flight a switch serves many calls: there is nothing to limit.
 * A thread of the kernel takes the CPU now and then whatever runs; that is
 * nothing to a call of microseconds, and 0.05 switches to one of milliseconds.
 */
static bool sample_valid(const struct job *job, const struct sample *sample)
{
	return !job->path || job->depth > 1 ||
	       sample->switches <= job->path->hops * MAX_SWITCHES_PER_HOP +
				   sample->instructions / OTHERS_TURN;
}

static void run_job(struct job *job, unsigned int run)
{
	for (unsigned int try = 0; try < TRIES; try++) {
		job->tries++;
		if (!run_once(job, &job->runs[run])) {
			job->failed = true;
			return;
		}
		if (sample_valid(job, &job->runs[run]))
			return;
	}
	job->bad_runs++;
}

static unsigned int common_divisor(unsigned int a, unsigned int b)
{
	return b ? common_divisor(b, a % b) : a;
}

/* Forwards, backwards, and in strides that meet every job once. */
static unsigned int place(unsigned int run, unsigned int i, unsigned int count)
{
	unsigned int stride = count / 2 + 1;

	if (run == 0)
		return i;
	if (run == 1)
		return count - 1 - i;
	while (common_divisor(stride, count) != 1)
		stride++;
	return (i * stride + 1) % count;
}

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* The median of RUNS values that lie one struct sample apart. */
static double median(const struct job *job, size_t offset, double *spread)
{
	double values[RUNS];

	for (unsigned int i = 0; i < RUNS; i++)
		memcpy(&values[i], (const char *)&job->runs[i] + offset, sizeof(values[i]));
	qsort(values, RUNS, sizeof(values[0]), by_size);
	if (spread)
		*spread = (values[RUNS - 1] - values[0]) / values[RUNS / 2];
	return values[RUNS / 2];
}

static void conclude(struct job *job)
{
	struct sample *result = &job->median;

	result->instructions = median(job, offsetof(struct sample, instructions), &job->spread);
	result->syscalls = median(job, offsetof(struct sample, syscalls), NULL);
	result->switches = median(job, offsetof(struct sample, switches), NULL);
	result->outside = median(job, offsetof(struct sample, outside), NULL);
	result->copied = median(job, offsetof(struct sample, copied), NULL);
}

void run_jobs(struct job *jobs, unsigned int count)
{
	for (unsigned int run = 0; run < RUNS; run++)
		for (unsigned int i = 0; i < count; i++) {
			struct job *job = &jobs[place(run, i, count)];

			if (!job->failed)
				run_job(job, run);
		}
	for (unsigned int i = 0; i < count; i++)
		if (!jobs[i].failed)
			conclude(&jobs[i]);
}

bool job_valid(const struct job *job)
{
	return !job->failed && !job->bad_runs;
}
