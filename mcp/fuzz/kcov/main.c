// SPDX-License-Identifier: GPL-2.0
/*
 * kcov_fuzz: sequences of calls to mcp.ko and mcp_net.ko, guided by what they
 * make the kernel run (KCOV). A sequence is valid or a changed one; one that
 * made something new run is kept, and changed again.
 *
 *	--sequences N	how many; each has five calls or more
 *	--seconds N	end before that
 *	--seed N	the same sequences for the same seed
 *	--cpu N		where to run: all threads share one CPU
 *	--net		frames too: mcp_net.ko and veth.ko are loaded
 *	--corpus FILE	sequences to begin with; what was kept is written there
 *	--pcs FILE	where to write what was run: MODULE SECTION OFFSET
 *
 * Exit status: 0, 1 when a batch of sequences died or hung, 2 for usage. What
 * the kernel says of itself is for its log, which somebody must read.
 *
 * Concern: batches, each in a process of its own, so that a dead one costs one.
 * Lifetime: what is shared between them is in one mapping.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#define BATCH		500
#define CORPUS		1024
/* Nothing in a sequence takes a second. */
#define HANG_SECONDS	120
#define REPORT_SECONDS	15

struct shared {
	struct coverage coverage;
	struct tally tally;
	uint64_t started;	/* sequences that were begun; also their number */
	uint64_t counted, valid, too_short;
	struct sequence now;	/* the one that runs */
	unsigned int at;	/* and where it is */
	__u64 ends;		/* the time, if there is no end before */
	unsigned int kept;
	struct sequence corpus[CORPUS];
};

struct options {
	uint64_t sequences, seed;
	unsigned int seconds, cpu;
	bool net;
	const char *corpus, *pcs;
};

static const char *const modules[] = { "mcp", "mcp_net" };

/* ---- One batch ----------------------------------------------------------- */

static unsigned int gain(struct shared *shared, const struct trace *trace)
{
	unsigned int found = coverage_add(&shared->coverage, trace->area + 1, trace_count(trace));

	trace_reset(trace);
	return found;
}

static unsigned int gains(struct shared *shared, const struct world *world)
{
	unsigned int found = gain(shared, &world->trace) + gain(shared, &world->child);

	for (unsigned int i = 0; i < WAITERS; i++)
		found += gain(shared, &world->waiters[i].trace);
	if (world->wire)
		found += gain(shared, wire_trace(world->wire));
	return found;
}

/* The next sequence; whether it is a valid one. */
static bool choose(struct shared *shared, struct random *random)
{
	struct sequence fresh;

	if (!shared->kept || random_once_in(random, 4)) {
		sequence_make(&shared->now, random);
		return true;
	}
	if (random_once_in(random, 4)) {
		sequence_make(&fresh, random);
		sequence_mutate(&shared->now, &fresh,
				shared->corpus + random_below(random, shared->kept), random);
	} else {
		sequence_mutate(&shared->now, shared->corpus + random_below(random, shared->kept),
				shared->corpus + random_below(random, shared->kept), random);
	}
	return false;
}

static void run_one(struct shared *shared, struct world *world)
{
	const struct sequence *sequence = &shared->now;

	world->calls = 0;
	for (shared->at = 0; shared->at < sequence->count; shared->at++)
		world_do(world, sequence->ops + shared->at, shared->at);
	if (!world_clear(world)) {
		printf("a call does not end\n");
		exit(1);
	}
}

static void keep(struct shared *shared, struct random *random)
{
	unsigned int place = shared->kept < CORPUS ? shared->kept++ : random_below(random, CORPUS);

	shared->corpus[place] = shared->now;
}

/* @replay: the corpus once, as it is. */
static int batch(struct shared *shared, const struct options *options, bool replay)
{
	static struct world world;
	uint64_t until = replay ? shared->kept : BATCH;
	cpu_set_t one;

	setvbuf(stdout, NULL, _IOLBF, 0);
	CPU_ZERO(&one);
	CPU_SET(options->cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		bail_out("a CPU");
	world_need(&world, &shared->tally, options->net);
	for (uint64_t i = 0; i < until; i++) {
		struct random random = { .state = options->seed * 0x9e3779b97f4a7c15ull +
						  shared->started++ };
		bool valid = false;

		if (replay)
			shared->now = shared->corpus[i];
		else
			valid = choose(shared, &random);
		run_one(shared, &world);
		if (gains(shared, &world) && !replay)
			keep(shared, &random);
		if (world.calls < SEQUENCE_LEAST) {
			shared->too_short++;
			continue;
		}
		shared->valid += valid;
		if (++shared->counted >= options->sequences || now_ns() > shared->ends)
			break;
	}
	return 0;
}

/* ---- All of them --------------------------------------------------------- */

static void print_sequence(const struct shared *shared)
{
	for (unsigned int i = 0; i < shared->now.count && i < SEQUENCE_OPS; i++) {
		const struct op *op = shared->now.ops + i;

		printf("  %c %s port %u ref %u way %u x %#x y %#x change %#x\n",
		       i == shared->at ? '>' : ' ', op_name(op->code), op->port, op->ref, op->way,
		       op->x, op->y, op->change);
	}
}

static uint64_t calls(const struct shared *shared)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < ENTRIES; i++)
		sum += shared->tally.calls[i];
	return sum;
}

static void progress(const struct shared *shared, __u64 began)
{
	printf("%llu sequences, %u pairs, %u places, %u kept, %llu calls, %llu s\n",
	       (unsigned long long)shared->counted, shared->coverage.edge_count,
	       shared->coverage.pc_count, shared->kept, (unsigned long long)calls(shared),
	       (unsigned long long)((now_ns() - began) / 1000000000));
}

/* Where every thread of a process is that does not end. */
static void print_stacks(pid_t process)
{
	char command[128];

	snprintf(command, sizeof(command), "cat /proc/%d/task/*/stack", (int)process);
	(void)!system(command);
}

/* Waits for a batch; whether it went well. */
static bool watch(const struct shared *shared, pid_t child, __u64 began)
{
	__u64 moved = now_ns(), told = moved;
	uint64_t last = shared->started;
	int status;

	while (!waitpid(child, &status, WNOHANG)) {
		__u64 now = now_ns();

		if (shared->started != last) {
			last = shared->started;
			moved = now;
		}
		if (now - told > REPORT_SECONDS * 1000000000ull) {
			progress(shared, began);
			told = now;
		}
		if (now - moved > HANG_SECONDS * 1000000000ull) {
			printf("sequence %llu hangs\n", (unsigned long long)last);
			print_sequence(shared);
			print_stacks(child);
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return false;
		}
		sleep_ms(50);
	}
	if (!status)
		return true;
	printf("sequence %llu: status %#x\n", (unsigned long long)shared->started, status);
	print_sequence(shared);
	return false;
}

static bool run(struct shared *shared, const struct options *options, __u64 began, bool replay)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		bail_out("fork");
	if (!child)
		exit(batch(shared, options, replay));
	return watch(shared, child, began);
}

static void report(const struct shared *shared)
{
	static const char *const entries[ENTRIES] = { "ioctl", "write", "read", "uring", "netlink",
						      "frame", "other" };

	printf("valid %llu, changed %llu, too short %llu\n", (unsigned long long)shared->valid,
	       (unsigned long long)(shared->counted - shared->valid),
	       (unsigned long long)shared->too_short);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		printf("calls %s %llu:", entries[i], (unsigned long long)shared->tally.calls[i]);
		for (unsigned int j = 0; j < ERRNOS; j++)
			if (shared->tally.results[i][j])
				printf(" %u=%llu", j,
				       (unsigned long long)shared->tally.results[i][j]);
		printf("\n");
	}
	printf("operations:");
	for (unsigned int i = 0; i < OP_CODES; i++)
		printf(" %s=%llu", op_name(i), (unsigned long long)shared->tally.ops[i]);
	printf("\n");
}

static void read_corpus(struct shared *shared, const char *path)
{
	FILE *file = fopen(path, "rb");

	if (!file)
		return;
	while (shared->kept < CORPUS &&
	       fread(shared->corpus + shared->kept, sizeof(struct sequence), 1, file)) {
		struct sequence *read = shared->corpus + shared->kept;

		if (read->count < SEQUENCE_LEAST || read->count > SEQUENCE_OPS)
			bail_out("this corpus is not mine");
		for (unsigned int i = 0; i < read->count; i++)
			read->ops[i].code %= OP_CODES;
		shared->kept++;
	}
	fclose(file);
}

static bool learn(struct places *places)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modules); i++) {
		errno = -places_learn(places, modules[i], false);
		if (errno)
			return false;
	}
	return true;
}

static bool write_results(const struct shared *shared, const struct options *options,
			  const struct places *places)
{
	bool good = true;
	FILE *file;

	if (options->corpus) {
		file = fopen(options->corpus, "wb");
		good &= file && fwrite(shared->corpus, sizeof(struct sequence), shared->kept,
				       file) == shared->kept;
		good &= file && !fclose(file);
	}
	if (!options->pcs)
		return good;
	file = fopen(options->pcs, "w");
	if (!file || !coverage_print(&shared->coverage, places, file))
		return false;
	return !fclose(file) && good;
}

static bool parse(int count, char **words, struct options *options)
{
	static const struct option known[] = {
		{ "sequences", required_argument, NULL, 'n' }, { "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' }, { "cpu", required_argument, NULL, 'u' },
		{ "net", no_argument, NULL, 'w' }, { "corpus", required_argument, NULL, 'c' },
		{ "pcs", required_argument, NULL, 'p' }, { 0 },
	};
	int option;

	*options = (struct options){ .sequences = 1000, .seed = 1, .seconds = 3600 };
	while ((option = getopt_long(count, words, "", known, NULL)) != -1) {
		switch (option) {
		case 'n':
			options->sequences = strtoull(optarg, NULL, 10);
			break;
		case 's':
			options->seconds = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			options->seed = strtoull(optarg, NULL, 10);
			break;
		case 'u':
			options->cpu = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			options->net = true;
			break;
		case 'c':
			options->corpus = optarg;
			break;
		case 'p':
			options->pcs = optarg;
			break;
		default:
			return false;
		}
	}
	return optind == count;
}

int main(int argc, char **argv)
{
	struct options options;
	struct shared *shared;
	__u64 began = now_ns();
	struct places places = { 0 };
	unsigned int bad = 0;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: see the top of main.c\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		bail_out("memory");
	/* Now: somebody may unload one before the end. */
	if (!learn(&places))
		bail_out("addresses of the modules, which kernel.kptr_restrict=0 shows");
	shared->ends = began + options.seconds * 1000000000ull;
	if (options.corpus)
		read_corpus(shared, options.corpus);
	if (shared->kept)
		bad += !run(shared, &options, began, true);
	while (bad < 10 && shared->counted < options.sequences &&
	       now_ns() < shared->ends)
		bad += !run(shared, &options, began, false);
	progress(shared, began);
	report(shared);
	if (!write_results(shared, &options, &places)) {
		printf("the results cannot be written\n");
		bad++;
	}
	printf("%u batches died or hung\n", bad);
	return bad ? 1 : 0;
}
