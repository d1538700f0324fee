/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what every policy of ours needs. vmlinux.h is made of the kernel's
 * and of mcp_bpf.ko's own type information when the policies are compiled; what
 * the kernel that runs them has is looked up by name when they are loaded.
 */
#ifndef MCP_POLICY_BPF_H
#define MCP_POLICY_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "options.h"

/* errno.h is not for programs. */
#define EACCES	13
#define EDQUOT	122

#endif /* MCP_POLICY_BPF_H */
