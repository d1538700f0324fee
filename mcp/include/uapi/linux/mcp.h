/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The user-space interface of /dev/mcp: the Model Context Protocol as a
 * kernel transport.
 *
 * docs/uapi.md is its manual. All structures have the same layout for 32-bit
 * and 64-bit callers.
 */
#ifndef _UAPI_LINUX_MCP_H
#define _UAPI_LINUX_MCP_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Moves only when something that worked before stops working. */
#define MCP_ABI_VERSION		1

/* Size of the first published struct mcp_info: no kernel takes less. */
#define MCP_INFO_SIZE_VER0	64

/**
 * struct mcp_info - what this kernel's MCP can do
 * @size: in: bytes of the caller's structure, at least MCP_INFO_SIZE_VER0.
 *	  Out: bytes that the kernel knows; what the
 *	  caller has beyond them is left untouched.
 * @flags: in: must be zero; there are none yet.
 * @abi_version: out: MCP_ABI_VERSION of the kernel.
 * @max_name: out: longest name of an endpoint, in bytes.
 * @features: out: one bit for each feature that exists. None is defined yet,
 *	  so it is zero.
 * @max_body: out: largest message body, in bytes.
 * @max_fds: out: most file descriptors that one message may carry.
 * @max_depth: out: most levels of grants below the handle that was opened.
 * @max_inflight: out: most unanswered requests of one handle.
 * @reserved0: must be zero.
 * @reserved1: must be zero.
 *
 * A limit is zero as long as this kernel does not have what it limits.
 */
struct mcp_info {
	__u32 size;
	__u32 flags;
	__u32 abi_version;
	__u32 max_name;
	__u64 features;
	__u64 max_body;
	__u32 max_fds;
	__u32 max_depth;
	__u32 max_inflight;
	__u32 reserved0;
	__u64 reserved1[2];
};

#define MCP_IOC_MAGIC		0xfa

/* The size in the number stays that of the first version: it never changes. */
#define MCP_IOC_INFO		_IOC(_IOC_READ | _IOC_WRITE, MCP_IOC_MAGIC, \
				     0x00, MCP_INFO_SIZE_VER0)

#endif /* _UAPI_LINUX_MCP_H */
