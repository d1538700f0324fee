// SPDX-License-Identifier: GPL-2.0
/*
 * The only program of an x86 machine besides kcov_fuzz: loads the modules, runs
 * one kcov_fuzz a CPU, looks for leaks, unloads, and ends the machine.
 *
 *	init SEQUENCES SECONDS SEED	(each kcov_fuzz makes that many)
 *
 * The second serial port gets what was run, the third what was kept.
 *
 * Concern: a machine without a shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CPUS_MOST 8

static void insert(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		printf("BAD %s: %s\n", path, strerror(errno));
	close(fd);
}

static void take_out(const char *name)
{
	for (int i = 0; i < 100; i++) {
		if (!syscall(SYS_delete_module, name, O_NONBLOCK))
			return;
		usleep(100000);
	}
	printf("BAD %s stays: %s\n", name, strerror(errno));
}

/* A serial port passes bytes on as they are. */
static void copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	struct termios mode;
	char bytes[4096];
	ssize_t got;

	if (in < 0 || out < 0 || tcgetattr(out, &mode)) {
		printf("BAD %s: %s\n", from, strerror(errno));
		return;
	}
	cfmakeraw(&mode);
	tcsetattr(out, TCSANOW, &mode);
	while ((got = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, got) != got)
			printf("BAD %s: %s\n", to, strerror(errno));
	tcdrain(out);
	close(in);
	close(out);
}

static pid_t start(char **words, int cpu)
{
	char number[16], seed[16], pcs[16], corpus[16];
	pid_t child = fork();

	if (child)
		return child;
	snprintf(number, sizeof(number), "%d", cpu);
	snprintf(seed, sizeof(seed), "%d", atoi(words[3]) + cpu);
	snprintf(pcs, sizeof(pcs), "/pcs.%d", cpu);
	snprintf(corpus, sizeof(corpus), "/corpus.%d", cpu);
	execl("/kcov_fuzz", "kcov_fuzz", "--net", "--sequences", words[1], "--seconds", words[2],
	      "--seed", seed, "--cpu", number, "--pcs", pcs, "--corpus", corpus, NULL);
	_exit(127);
}

static void leaks(void)
{
	static char text[64 << 10];
	int fd = open("/sys/kernel/debug/kmemleak", O_RDWR | O_CLOEXEC);
	ssize_t got;

	/* What is young is not reported. */
	for (int i = 0; i < 2; i++) {
		if (fd < 0 || write(fd, "scan", 4) != 4)
			printf("BAD kmemleak: %s\n", strerror(errno));
		sleep(6);
	}
	while ((got = read(fd, text, sizeof(text))) > 0)
		printf("BAD leak: %.*s\n", (int)got, text);
	close(fd);
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char path[16];
	int status;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("debug", "/sys/kernel/debug", "debugfs", 0, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4) {
		printf("BAD words: %d\n", argc);
		reboot(RB_AUTOBOOT);
	}
	insert("/mcp.ko");
	insert("/mcp_net.ko");
	for (int cpu = 0; cpu < cpus && cpu < CPUS_MOST; cpu++)
		start(argv, cpu);
	while (wait(&status) > 0)
		if (status)
			printf("BAD status %#x\n", status);
	for (int cpu = 0; cpu < cpus && cpu < CPUS_MOST; cpu++) {
		snprintf(path, sizeof(path), "/pcs.%d", cpu);
		copy(path, "/dev/ttyS1");
		snprintf(path, sizeof(path), "/corpus.%d", cpu);
		copy(path, "/dev/ttyS2");
	}
	leaks();
	take_out("mcp_net");
	take_out("mcp");
	leaks();
	printf("END\n");
	sync();
	reboot(RB_AUTOBOOT);
}
