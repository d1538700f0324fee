// SPDX-License-Identifier: GPL-2.0
/*
 * MCP_IOC_INFO: version, features and limits.
 *
 * Concern: the structure that tells a program what this kernel can do, and
 *          its rules of extension.
 * Context: process context; may sleep in user copies.
 * Locking: none. The answer is made of constants.
 */
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/stddef.h>
#include <linux/uaccess.h>

#include <linux/mcp.h>

#include "mcp_internal.h"

/*
 * The layout is an interface: it may grow at its end and never change. These
 * hold for 32-bit callers too, because every member is aligned to its own
 * size.
 */
static_assert(sizeof(struct mcp_info) == MCP_INFO_SIZE_VER0);
static_assert(offsetof(struct mcp_info, features) == 16);
static_assert(offsetof(struct mcp_info, max_body) == 24);
static_assert(offsetof(struct mcp_info, max_fds) == 32);
static_assert(offsetof(struct mcp_info, reserved0) == 44);
static_assert(offsetof(struct mcp_info, reserved1) == 48);

/**
 * mcp_ioctl_info() - answer MCP_IOC_INFO
 * @user: the caller's structure
 *
 * Each byte of the caller's is read once; all decisions are made on the copy.
 * A caller that was built with a later header passes a larger structure: what
 * this kernel does not know must be zero.
 *
 * Return: 0; -EFAULT for a bad pointer, -EINVAL for a size below the first
 * version, an unknown flag or a reserved field that is not zero, -E2BIG for a
 * size above a page or for unknown bytes that are not zero.
 */
long mcp_ioctl_info(struct mcp_info __user *user)
{
	struct mcp_info info;
	u32 extra;
	int zeroed;

	if (copy_from_user(&info, user, sizeof(info)))
		return -EFAULT;
	if (info.size < sizeof(info))
		return -EINVAL;
	if (info.size > PAGE_SIZE)
		return -E2BIG;
	if (info.flags || info.reserved0 || info.reserved1[0] || info.reserved1[1])
		return -EINVAL;

	extra = info.size - sizeof(info);
	if (extra) {
		zeroed = check_zeroed_user((char __user *)user + sizeof(info), extra);
		if (zeroed < 0)
			return zeroed;
		if (!zeroed)
			return -E2BIG;
	}

	info = (struct mcp_info){
		.size = sizeof(info),
		.abi_version = MCP_ABI_VERSION,
		.max_name = MCP_NAME_MAX,
		.features = MCP_FEATURE_NETLINK |
			    (IS_ENABLED(CONFIG_IO_URING) ? MCP_FEATURE_URING : 0) |
			    (IS_ENABLED(CONFIG_AUDIT) ? MCP_FEATURE_AUDIT : 0) |
			    (IS_ENABLED(CONFIG_BPF_JIT) &&
			     IS_ENABLED(CONFIG_DEBUG_INFO_BTF_MODULES) ? MCP_FEATURE_POLICY : 0),
		.max_body = MCP_MAX_BODY,
		.max_fds = MCP_MAX_FDS,
		.max_depth = MCP_MAX_DEPTH,
		.max_inflight = MCP_MAX_INFLIGHT,
	};
	if (copy_to_user(user, &info, sizeof(info)))
		return -EFAULT;
	return 0;
}
