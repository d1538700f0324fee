/* SPDX-License-Identifier: GPL-2.0 */
/* How many bytes of bodies the kernel has copied, as the kernel counts them. */
#ifndef MCP_BENCH_COPIED_H
#define MCP_BENCH_COPIED_H

#include <linux/types.h>

/* Since mcp.ko was loaded; without it the row ends. */
__u64 copied_bytes(void);

#endif
