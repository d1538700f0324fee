/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of mcp.ko share with each other, and with nobody else.
 *
 * Locking: none here yet. Each file states its own rules at its top.
 */
#ifndef _MCP_INTERNAL_H
#define _MCP_INTERNAL_H

struct mcp_info;

long mcp_ioctl_info(struct mcp_info __user *user);

#endif /* _MCP_INTERNAL_H */
