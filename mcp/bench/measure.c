// SPDX-License-Identifier: GPL-2.0
/*
 * One row: start its peers, warm up, count.
 *
 * Instructions are nanoseconds of CLOCK_MONOTONIC. That holds in one place
 * only: in QEMU under "-icount shift=0", whose clock advances by one
 * nanosecond for each instruction of the one CPU, and in idle time. The sides'
 * own CPU time is read too: what is left of the time when it is taken away is
 * @outside (idle time, other tasks). Anywhere else the column means
 * nanoseconds.
 *
 * Switches are what the kernel counted for every thread of every side; so a
 * kernel thread that does a side's work (a worker of io_uring) is seen.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/sched/types.h>

#include "bench.h"
#include "copied.h"

/* A row that hangs is an error, not a wait for good. */
#define ROW_SECONDS	20

/* Messages that every path takes at once. */
#define SMALL		4096

struct reading {
	__u64 time, busy, syscalls, switches, copied;
};

__u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000u + (__u64)now.tv_nsec;
}

void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity: %s", strerror(errno));
}

/*
 * SCHED_BATCH does not run a task before its waker has gone to sleep, and the
 * longest slice lets that one finish. Without it a message that is sent in
 * parts costs dozens of switches, and a broker, which runs twice as much as
 * those around it, has one that it need not have (5 for a round trip, and
 * 34,200 instructions where it has 32,900). Small messages between two run
 * under the default policy, where they cost less: a side that is preempted by
 * its peer right after it has sent finds the answer there when it looks.
 */
void finish_before_peers(void)
{
	struct sched_attr attributes = {
		.size = sizeof(attributes),
		.sched_policy = SCHED_BATCH,
		.sched_runtime = 100000000,
	};

	if (syscall(SYS_sched_setattr, 0, &attributes, 0) < 0)
		die("sched_setattr: %s", strerror(errno));
}

static __u64 busy_ns(pid_t pid)
{
	struct timespec spent;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &spent) < 0)
		die("no CPU time of process %d", (int)pid);
	return (__u64)spent.tv_sec * 1000000000u + (__u64)spent.tv_nsec;
}

/* Switches of one thread, both kinds: those that it chose and the others. */
static __u64 thread_switches(const char *status)
{
	unsigned long long count;
	unsigned int found = 0;
	__u64 sum = 0;
	char line[256];
	FILE *file = fopen(status, "re");

	if (!file)
		die("%s: %s", status, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &count) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %llu", &count) == 1) {
			sum += count;
			found++;
		}
	}
	fclose(file);
	if (found != 2)
		die("%s: no counts of switches", status);
	return sum;
}

static __u64 process_switches(pid_t pid)
{
	struct dirent *entry;
	__u64 sum = 0;
	char name[320];
	DIR *tasks;

	snprintf(name, sizeof(name), "/proc/%d/task", (int)pid);
	tasks = opendir(name);
	if (!tasks)
		die("%s: %s", name, strerror(errno));
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "/proc/%d/task/%s/status", (int)pid,
			 entry->d_name);
		sum += thread_switches(name);
	}
	closedir(tasks);
	return sum;
}

static struct reading take_reading(const struct row *row)
{
	struct reading reading = { 0 };

	if (row->path->counts_copies)
		reading.copied = copied_bytes();
	for (unsigned int i = 0; i <= row->npeers; i++) {
		pid_t pid = i ? row->peers[i - 1] : getpid();

		reading.syscalls += row->tallies[i].syscalls;
		reading.switches += process_switches(pid);
		reading.busy += busy_ns(pid);
	}
	reading.time = now_ns();
	return reading;
}

static void start_peer(struct row *row, void (*run)(struct row *row, int ready_fd))
{
	pid_t parent = getpid(), pid;
	char byte;
	int ends[2];

	if (pipe(ends) < 0)
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		close(ends[0]);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		row->mine = &row->tallies[row->npeers + 1];
		run(row, ends[1]);
		_exit(1);
	}
	close(ends[1]);
	row->peers[row->npeers++] = pid;
	if (read(ends[0], &byte, 1) != 1)
		die("%s: a peer did not start", row->path->name);
	close(ends[0]);
}

/* Round trips for one row: enough to make a timer tick small among them. */
unsigned int count_for(size_t bytes, unsigned int depth)
{
	unsigned int count = bytes <= 4096 ? 4096 : bytes <= 65536 ? 512 : 128;

	return depth > 1 ? count * 2 : count;
}

struct sample measure_row(const struct path *path, size_t bytes, unsigned int depth,
			  unsigned int count)
{
	struct row row = { .path = path, .bytes = bytes, .depth = depth };
	struct reading before, after;
	__u64 end;

	pin();
	if (bytes > SMALL)
		finish_before_peers();
	alarm(ROW_SECONDS);
	row.tallies = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (row.tallies == MAP_FAILED)
		die("shared memory: %s", strerror(errno));
	row.mine = &row.tallies[0];
	path->prepare(&row);
	if (path->broker)
		start_peer(&row, path->broker);
	start_peer(&row, path->serve);
	row.request = allocate(bytes * depth);
	row.answer = allocate(bytes);
	path->connect(&row);

	/* Both numbers are multiples of every depth. */
	path->call(&row, count / 4);
	before = take_reading(&row);
	path->call(&row, count);
	end = now_ns();
	after = take_reading(&row);

	/* The last started first: none sees the one go that it talks to. */
	for (unsigned int i = row.npeers; i--;) {
		kill(row.peers[i], SIGKILL);
		waitpid(row.peers[i], NULL, 0);
	}
	alarm(0);
	return (struct sample){
		.instructions = (double)(end - before.time) / count,
		.syscalls = (double)(after.syscalls - before.syscalls) / count,
		.switches = (double)(after.switches - before.switches) / count,
		.outside = 1.0 - (double)(after.busy - before.busy) /
				 (double)(after.time - before.time),
		.copied = path->counts_copies ?
				  (double)(after.copied - before.copied) / count : -1,
	};
}
