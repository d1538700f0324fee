/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: one pinned link, which outlives the program that made it.
 *
 * Functions give 0 or -errno.
 */
#ifndef MCP_ATTACH_H
#define MCP_ATTACH_H

#include <bpf/libbpf.h>

#define PIN_FOLDER	"/sys/fs/bpf/mcp"
#define PIN		PIN_FOLDER "/policy"
#define LOCK		"/run/mcp-policy.lock"

/*
 * What an attach needs, once its words are known to be good: nobody else changes
 * the policy, mcp_bpf.ko is loaded, and the file system of pins mounted.
 */
int prepare(void);
/* Attaches a policy whose program is loaded, or puts it in the place of the pinned one. */
int attach_or_replace(const struct bpf_map *policy, bool *replaced);
/*
 * The name and the id of the map of the pinned policy; -ENOENT when none is
 * pinned, or what is pinned is no longer attached.
 */
int show_pinned(char *name, size_t size, unsigned int *id);
/* It is detached, and its pin gone, when this returns. -ENOENT likewise; that leaves no pin. */
int detach_pinned(void);

#endif /* MCP_ATTACH_H */
