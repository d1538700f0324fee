// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: loading and unloading mcp.ko without modprobe.
 * Context: user space, root.
 * Locking: none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mcp_module.h"
#include "mcp_test.h"

const char *module_path(void)
{
	static const char *const places[] = { "/usr/lib/protopi/mcp.ko", "/mcp.ko" };
	const char *path = getenv("MCP_MODULE");

	for (size_t i = 0; !path && i < ARRAY_SIZE(places); i++)
		if (!access(places[i], R_OK))
			path = places[i];
	return path;
}

int module_load(void)
{
	const char *path = module_path();
	int fd, error = 0;

	if (!path)
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, "", 0))
		error = -errno;
	close(fd);
	return error;
}

int module_unload(int milliseconds)
{
	int error;

	for (;;) {
		error = syscall(SYS_delete_module, "mcp", O_NONBLOCK) ? -errno : 0;
		if (error != -EAGAIN && error != -EBUSY)
			return error;
		if (milliseconds <= 0)
			return error;
		sleep_ms(10);
		milliseconds -= 10;
	}
}

bool module_reload(void)
{
	return !module_unload(SOON) && !module_load();
}
