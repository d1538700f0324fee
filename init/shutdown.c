// SPDX-License-Identifier: MIT
/*
 * Shutdown.
 *
 * Concern: services down in order, then every process, then the file systems, then the machine.
 * Context: PID 1, all signals blocked; this is the only place where PID 1 waits, and each wait has an end.
 * Lifetime: the last thing that runs. The watchdog is fed once and left running, so that a shutdown which hangs (a
 * card that no longer answers to sync) ends in a reset instead of a dead board.
 */
#include "shutdown.h"

#include <errno.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mounts.h"
#include "util.h"

#define ARGUMENT "/run/protopi/restart"
#define SERVICES_MS 3000 /* for s6 to bring its services down and write their logs */
#define TERM_MS 700	 /* for what is no service, after SIGTERM */
#define KILL_MS 300	 /* for what is left, after SIGKILL */

/* Reaps until `wanted` has ended (0: until nobody is left) or `limit` milliseconds are over. True: ended in time. */
static bool reap_until(pid_t wanted, uint64_t limit)
{
	uint64_t start = now_ms(), passed;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		struct timespec left;
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			if (pid == wanted)
				return true;
		if (pid < 0 && errno == ECHILD)
			return true;
		passed = now_ms() - start;
		if (passed >= limit)
			return false;
		left = (struct timespec){ .tv_sec = (time_t)((limit - passed) / 1000),
					  .tv_nsec = (long)((limit - passed) % 1000) * 1000000 };
		sigtimedwait(&child, NULL, &left);
	}
}

void shutdown_system(enum ending ending, const struct supervisor *supervisor, struct watchdog *watchdog)
{
	static const char *const words[] = { "halt", "power off", "reboot" };
	static const int commands[] = { RB_HALT_SYSTEM, RB_POWER_OFF, RB_AUTOBOOT };
	char argument[64];
	bool argued;

	klog(KLOG_NOTICE, "shutting down: %s", words[ending]);
	/* The signal that asks for a restart carries no argument for the firmware: it lies here, in one line. */
	argued = ending == ENDING_REBOOT && read_file(ARGUMENT, argument, sizeof(argument)) > 0;
	watchdog_feed(watchdog);
	if (supervisor->setup > 0)
		kill(supervisor->setup, SIGTERM);
	/* SIGTERM to s6-svscan: all services down, loggers end when their input does, then it ends itself. */
	if (supervisor->pid > 0 && kill(supervisor->pid, SIGTERM) == 0 &&
	    !reap_until(supervisor->pid, SERVICES_MS))
		klog(KLOG_WARNING, "services did not stop in time");
	kill(-1, SIGTERM);
	if (!reap_until(0, TERM_MS)) {
		kill(-1, SIGKILL);
		if (!reap_until(0, KILL_MS))
			klog(KLOG_WARNING, "a process cannot be killed");
	}
	sync();
	mounts_undo();
	/* A reboot leaves the watchdog running: should the machine hang on its way down, it is reset all the same. */
	if (ending != ENDING_REBOOT)
		watchdog_release(watchdog);
	if (argued) {
		argument[strcspn(argument, "\n")] = '\0';
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART2, argument);
	}
	reboot(commands[ending]);
	klog(KLOG_ERROR, "the kernel refused to %s", words[ending]);
	for (;;)
		pause();
}
