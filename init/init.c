// SPDX-License-Identifier: MIT
/*
 * PID 1 of a Protopi image.
 *
 * Concern: the order of things. The critical path (mounts, mcp.ko, the first answer of /dev/mcp), the @boot line,
 *          then the rest of the boot in children, then the main loop: reap, feed the watchdog, obey, shut down.
 * Context: process 1, static, started by the kernel; the kernel panics if it ends.
 * Lifetime: from the kernel's hand-over to the power-off. After its start it allocates nothing, and its loop waits
 *          in poll() alone.
 *
 * Signals, as busybox's halt, poweroff and reboot send them: SIGUSR1 halt, SIGUSR2 power off, SIGTERM reboot; and
 * SIGINT (Ctrl-Alt-Del) reboot.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot_line.h"
#include "counters.h"
#include "data.h"
#include "module.h"
#include "mounts.h"
#include "shutdown.h"
#include "supervisor.h"
#include "testhooks.h"
#include "util.h"
#include "watchdog.h"

struct loop {
	int signals; /* signalfd */
	int timer;   /* timerfd */
	unsigned int tick_ms;
	struct supervisor supervisor;
	struct watchdog watchdog;
};

/* The kernel has opened the console for us, unless its root had none. One write, so that the line stays whole. */
static void console_write(const char *line, size_t length)
{
	int fd = fcntl(STDOUT_FILENO, F_GETFD) < 0 ? open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC)
						    : STDOUT_FILENO;

	if (fd < 0 || write(fd, line, length) != (ssize_t)length)
		klog(KLOG_ERROR, "cannot write to the console: %s", strerror(errno));
}

/* After the last mark: whatever the lines cost is not boot time. */
static void announce(const struct module_result *module, struct boot_facts *facts)
{
	char json[BOOT_LINE_SIZE], line[BOOT_LINE_SIZE];
	size_t length;

	if (module->stage) {
		klog(KLOG_ERROR, "mcp.ko: %s: %s", module->stage, strerror(module->error));
		fail_json(json, module->stage, module->error);
		length = frame_line(line, "fail", json);
	} else {
		facts->root_sectors = root_sectors_read(); /* first: everything below reads more */
		facts->timer = system_timer_read();
		facts->abi = module->info.abi_version;
		facts->features = module->info.features;
		boot_json(json, facts);
		length = frame_line(line, "boot", json);
	}
	testhooks_line(line, length);
	console_write(line, length);
	mkdir("/run/protopi", 0755);
	write_file("/run/protopi/boot", line, length);
}

static void arm(struct loop *loop, unsigned int tick_ms)
{
	struct itimerspec every = {
		.it_value = { .tv_sec = tick_ms / 1000, .tv_nsec = (long)(tick_ms % 1000) * 1000000 },
	};

	if (tick_ms == loop->tick_ms)
		return;
	every.it_interval = every.it_value;
	timerfd_settime(loop->timer, 0, &every, NULL);
	loop->tick_ms = tick_ms;
}

static void on_tick(struct loop *loop)
{
	unsigned int next = watchdog_tick(&loop->watchdog);

	if (supervisor_answers(&loop->supervisor, now_ms()))
		watchdog_feed(&loop->watchdog);
	arm(loop, next);
	while (loop->watchdog.fd >= 0 && testhooks_hang())
		pause(); /* test images only: now the watchdog has to bite */
}

static void on_children(struct loop *loop)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (supervisor_reaped(&loop->supervisor, pid, status, now_ms())) {
			klog(KLOG_ERROR, "the supervisor died too often");
			shutdown_system(ENDING_REBOOT, &loop->supervisor, &loop->watchdog);
		}
	}
}

static void on_signal(struct loop *loop)
{
	struct signalfd_siginfo signal;

	while (read(loop->signals, &signal, sizeof(signal)) == sizeof(signal)) {
		switch (signal.ssi_signo) {
		case SIGCHLD:
			on_children(loop);
			break;
		case SIGUSR1:
			shutdown_system(ENDING_HALT, &loop->supervisor, &loop->watchdog);
		case SIGUSR2:
			shutdown_system(ENDING_POWER_OFF, &loop->supervisor, &loop->watchdog);
		case SIGTERM:
		case SIGINT:
			shutdown_system(ENDING_REBOOT, &loop->supervisor, &loop->watchdog);
		default: /* the rest is ignored: nobody ends process 1 by a signal */
			break;
		}
	}
}

_Noreturn static void run(struct loop *loop)
{
	struct pollfd files[] = {
		{ .fd = loop->signals, .events = POLLIN },
		{ .fd = loop->timer, .events = POLLIN },
	};

	for (;;) {
		uint64_t ticks;

		if (poll(files, 2, -1) < 0)
			continue; /* EINTR cannot happen with all signals blocked; anything else must not end us */
		if (files[0].revents)
			on_signal(loop);
		if (files[1].revents && read(loop->timer, &ticks, sizeof(ticks)) == sizeof(ticks))
			on_tick(loop);
	}
}

int main(void)
{
	struct boot_facts facts = { 0 };
	struct loop loop = { .watchdog = { .fd = -1 } };
	struct module_result module;
	sigset_t all;

	/* Critical path: nothing that ready does not need. */
	MARK_INIT();
	facts.init.cntvct = read_cntvct();
	facts.init.uptime_ns = read_uptime_ns();
	mounts_early();
	testhooks_before_ready();
	module = module_start();
	facts.ready.uptime_ns = read_uptime_ns();
	facts.ready.cntvct = read_cntvct();
	if (!module.stage)
		MARK_READY();

	/* From here on time is free. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	facts.cntfrq = read_cntfrq();
	announce(&module, &facts);
	reboot(RB_DISABLE_CAD); /* Ctrl-Alt-Del becomes SIGINT */
	umask(022);
	loop.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	loop.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	data_begin();
	mounts_late();
	supervisor_begin(&loop.supervisor, now_ms());
	on_tick(&loop);
	run(&loop);
}
