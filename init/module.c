// SPDX-License-Identifier: MIT
/*
 * The module on the critical path.
 *
 * Concern: load /usr/lib/protopi/mcp.ko, open /dev/mcp, have INFO answered.
 * Context: PID 1, before ready; every instruction here is boot time. Lifetime: the module stays loaded.
 */
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#define MODULE_FILE "/usr/lib/protopi/mcp.ko"

static struct module_result failed(const char *stage)
{
	return (struct module_result){ .stage = stage, .error = errno };
}

struct module_result module_start(void)
{
	struct module_result result = { .info = { .size = sizeof(result.info) } };
	int file AUTO_CLOSE = open(MODULE_FILE, O_RDONLY | O_CLOEXEC);
	int device AUTO_CLOSE = -1;

	/* EEXIST: it is built in or was loaded before; the question decides. */
	if (file < 0 || (syscall(SYS_finit_module, file, "", 0) < 0 && errno != EEXIST))
		return failed("load");
	device = open("/dev/mcp", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return failed("open");
	if (ioctl(device, MCP_IOC_INFO, &result.info) < 0)
		return failed("info");
	if (result.info.abi_version != MCP_ABI_VERSION) {
		errno = EPROTO;
		return failed("abi");
	}
	return result;
}
