// SPDX-License-Identifier: MIT
/*
 * The supervisor's life.
 *
 * Concern: start s6-svscan after the start script, know whether it answers, restart it, give up.
 * Context: PID 1's main loop; nothing here waits. Children do the slow things. Lifetime: from ready to shutdown.
 *
 * The probe is s6-svscan's own command `z` (reap now, harmless) in its control FIFO: FIONREAD falls back to zero only
 * if its event loop runs.
 */
#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define START_SCRIPT "/usr/lib/protopi/start-services"
#define SCAN_FOLDER "/run/service"
#define CONTROL_FIFO SCAN_FOLDER "/.s6-svscan/control"

static char *const clean_environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };

/* In a new child: default signals, a session of its own, nothing on the console, errors in the kernel log. */
static void become_clean(void)
{
	int null = open("/dev/null", O_RDWR), log;
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	log = open("/dev/kmsg", O_WRONLY);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	if (log > STDERR_FILENO)
		close(log);
}

/*
 * A supervisor that was killed leaves its s6-supervise processes behind; they hold the locks that their successors
 * need. `dx` asks each to bring its service down and to end; the new supervisor starts it again.
 */
static void release_orphans(void)
{
	DIR *folder = opendir(SCAN_FOLDER);
	const struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		static const char *const below[] = { "supervise/control", "log/supervise/control" };

		for (size_t i = 0; entry->d_name[0] != '.' && i < 2; i++) {
			char path[512];
			int fd;

			snprintf(path, sizeof(path), SCAN_FOLDER "/%s/%s", entry->d_name, below[i]);
			fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
			if (fd < 0)
				continue;
			if (write(fd, "dx", 2) < 0)
				klog(KLOG_WARNING, "%s: %s", path, strerror(errno));
			close(fd);
		}
	}
	closedir(folder);
}

static pid_t spawn(char *const arguments[], bool after_death)
{
	pid_t pid = fork();

	if (pid < 0)
		klog(KLOG_ERROR, "cannot fork for %s: %s", arguments[0], strerror(errno));
	if (pid != 0)
		return pid > 0 ? pid : 0;
	become_clean();
	if (after_death)
		release_orphans();
	execve(arguments[0], arguments, clean_environment);
	klog(KLOG_ERROR, "cannot run %s: %s", arguments[0], strerror(errno));
	_exit(127);
}

static void start(struct supervisor *supervisor, uint64_t now)
{
	char *const arguments[] = { "/usr/bin/s6-svscan", SCAN_FOLDER, NULL };

	mkdir(SCAN_FOLDER, 0755);
	supervisor->pid = spawn(arguments, supervisor->died > 0);
	supervisor->probed = false;
	supervisor->grace_until = now + SUPERVISOR_GRACE;
}

void supervisor_begin(struct supervisor *supervisor, uint64_t now)
{
	char *const arguments[] = { START_SCRIPT, NULL };

	*supervisor = (struct supervisor){ .grace_until = now + SUPERVISOR_GRACE };
	supervisor->setup = spawn(arguments, false);
	if (!supervisor->setup)
		start(supervisor, now);
}

/* True when this death completes SUPERVISOR_DEATHS within the window. */
static bool died_too_often(struct supervisor *supervisor, uint64_t now)
{
	unsigned int slot = supervisor->died++ % SUPERVISOR_DEATHS;
	uint64_t oldest;

	supervisor->deaths[slot] = now;
	if (supervisor->died < SUPERVISOR_DEATHS)
		return false;
	oldest = supervisor->deaths[supervisor->died % SUPERVISOR_DEATHS];
	return now - oldest <= SUPERVISOR_WINDOW;
}

bool supervisor_reaped(struct supervisor *supervisor, pid_t pid, int status, uint64_t now)
{
	if (pid == supervisor->setup) {
		supervisor->setup = 0;
		if (status != 0)
			klog(KLOG_ERROR, START_SCRIPT " failed with status 0x%x", (unsigned int)status);
		start(supervisor, now);
		return false;
	}
	if (pid != supervisor->pid)
		return false;
	supervisor->pid = 0;
	klog(KLOG_ERROR, "the supervisor died with status 0x%x (death %u)", (unsigned int)status,
	     supervisor->died + 1);
	if (died_too_often(supervisor, now))
		return true;
	start(supervisor, now);
	return false;
}

static bool probe(struct supervisor *supervisor)
{
	int fd AUTO_CLOSE = open(CONTROL_FIFO, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	int waiting = 0;
	bool answered;

	if (fd < 0 || ioctl(fd, FIONREAD, &waiting) < 0)
		return false; /* nobody has the FIFO open, or it does not exist */
	answered = supervisor->probed && waiting == 0;
	if (waiting == 0 && write(fd, "z", 1) == 1)
		supervisor->probed = true;
	return answered;
}

bool supervisor_answers(struct supervisor *supervisor, uint64_t now)
{
	bool answers = probe(supervisor);

	if (answers)
		supervisor->grace_until = 0; /* it has started */
	if (answers == supervisor->silent && now >= supervisor->grace_until) {
		supervisor->silent = !answers;
		if (answers)
			klog(KLOG_NOTICE, "the supervisor answers again");
		else
			klog(KLOG_ERROR, "the supervisor does not answer: the watchdog is not fed");
	}
	return answers || now < supervisor->grace_until;
}
