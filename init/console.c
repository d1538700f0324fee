// SPDX-License-Identifier: MIT
/*
 * The console.
 *
 * Concern: its modes, whole lines, and the shell of development images, which would otherwise read the same bytes as
 *          the report service.
 * Context: the report service. Lifetime: the modes stay as they are when the service ends.
 */
#include "console.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/*
 * No echo (the host would read its own question), no line editing, no signals: a Ctrl-C from a noisy line must not end
 * us. Output processing stays, for the carriage returns that terminals want.
 */
bool console_make_raw(int console)
{
	struct termios mode;

	if (tcgetattr(console, &mode) < 0)
		return false;
	mode.c_iflag &= ~(tcflag_t)(BRKINT | INLCR | IXON | IXOFF | ISTRIP);
	mode.c_iflag |= IGNBRK | ICRNL;
	mode.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL | ICANON | ISIG | IEXTEN);
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	return tcsetattr(console, TCSANOW, &mode) == 0;
}

/* A whole line by one write, which the tty takes as one unless its buffer is full. */
bool console_send(int console, const char *line, size_t length)
{
	while (length > 0) {
		ssize_t done = write(console, line, length);

		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			line += done;
			length -= (size_t)done;
		}
	}
	return true;
}

bool console_has_shell(void)
{
	return access("/etc/protopi/console-shell", F_OK) == 0;
}

static bool make_cooked(int console)
{
	struct termios mode;

	if (tcgetattr(console, &mode) < 0)
		return false;
	mode.c_iflag |= BRKINT | ICRNL | IXON;
	mode.c_iflag &= ~(tcflag_t)IGNBRK;
	mode.c_oflag |= OPOST | ONLCR;
	mode.c_lflag |= ECHO | ECHOE | ECHOK | ICANON | ISIG | IEXTEN;
	return tcsetattr(console, TCSANOW, &mode) == 0;
}

bool console_lend(int console)
{
	char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=vt100", "USER=root",
				      NULL };
	char *const arguments[] = { "-sh", NULL };
	pid_t pid;

	if (!make_cooked(console))
		return false;
	pid = fork();
	if (pid == 0) {
		setsid();
		ioctl(console, TIOCSCTTY, 1); /* for Ctrl-C and job control */
		dup2(console, STDIN_FILENO);
		dup2(console, STDOUT_FILENO);
		dup2(console, STDERR_FILENO);
		if (chdir("/root") < 0 && chdir("/") < 0)
			_exit(126);
		execve("/bin/sh", arguments, environment);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return console_make_raw(console);
}
