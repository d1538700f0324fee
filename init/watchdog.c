// SPDX-License-Identifier: MIT
/*
 * The hardware watchdog.
 *
 * Concern: /dev/watchdog0, from its appearance to the power-off.
 * Context: PID 1's main loop; nothing here waits. Lifetime: once open it stays open - closing it without the magic
 * character would leave it running, and with it would take the safety away.
 */
#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util.h"

unsigned int watchdog_tick(struct watchdog *watchdog)
{
	int granted = WATCHDOG_SECONDS;

	if (watchdog->fd >= 0)
		return watchdog->seconds * 1000 / 3;
	watchdog->fd = open("/dev/watchdog0", O_WRONLY | O_CLOEXEC); /* opening starts it */
	if (watchdog->fd < 0)
		return WATCHDOG_SEARCH_MS;
	/* A driver that cannot be set, or that chose another time, says what it counts. */
	if (ioctl(watchdog->fd, WDIOC_SETTIMEOUT, &granted) < 0 &&
	    ioctl(watchdog->fd, WDIOC_GETTIMEOUT, &granted) < 0)
		granted = WATCHDOG_SECONDS;
	watchdog->seconds = granted > 0 ? (unsigned int)granted : WATCHDOG_SECONDS;
	klog(KLOG_NOTICE, "watchdog: %u s", watchdog->seconds);
	return watchdog->seconds * 1000 / 3;
}

void watchdog_feed(const struct watchdog *watchdog)
{
	if (watchdog->fd >= 0 && ioctl(watchdog->fd, WDIOC_KEEPALIVE, 0) < 0)
		klog(KLOG_ERROR, "watchdog: cannot be fed: %s", strerror(errno));
}

void watchdog_release(struct watchdog *watchdog)
{
	if (watchdog->fd < 0)
		return;
	if (write(watchdog->fd, "V", 1) != 1)
		klog(KLOG_ERROR, "watchdog: cannot be stopped: %s", strerror(errno));
	close(watchdog->fd);
	watchdog->fd = -1;
}
