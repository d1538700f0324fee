/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs among the kernels that mcp.ko is built for.
 *
 * Concern: the code beside this file is written for the newest kernel of the
 *	    list; here an older one gets the same calls. Nowhere else does
 *	    the module ask for a kernel's version.
 *
 * The list is what the module is compiled and run on (docs/dkms.md): 6.12, and
 * 7.2 and later. A kernel between them has some calls of each, and nobody has
 * tried which. Inside 6.12.y nothing that the module uses differs.
 */
#ifndef MCP_COMPAT_H
#define MCP_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/io_uring/cmd.h>
#include <linux/kcov.h>
#include <linux/skbuff.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "mcp.ko needs Linux 6.12: older kernels lack what it builds on"
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
#error "mcp.ko is made for Linux 6.12.y, and for 7.2 and later"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)

/* A second result is for NVMe's completions of 32 bytes. */
#define io_uring_cmd_done(cmd, result, issue_flags) \
	io_uring_cmd_done(cmd, result, 0, issue_flags)

/* It was the default, and had no name. */
#define WQ_PERCPU 0

/* The state of BLAKE2s, in mcp_net.ko. */
#define blake2s_ctx blake2s_state

/* What tells whose coverage something is, in mcp_net.ko: it was a number. */
struct kcov_common_handle_id {
	u64 val;
};

#define kcov_common_handle() ((struct kcov_common_handle_id){ kcov_common_handle() })
#define kcov_remote_start_common(id) kcov_remote_start_common((id).val)
#define skb_get_kcov_handle(skb) ((struct kcov_common_handle_id){ skb_get_kcov_handle(skb) })

static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}

/* Defines @name for io_uring_cmd_do_in_task_lazy(): it runs @work(cmd, dying, issue_flags). */
#define MCP_CMD_TASK_WORK(name, work)						\
	static void name(struct io_uring_cmd *cmd, unsigned int issue_flags)	\
	{									\
		work(cmd, issue_flags & IO_URING_F_TASK_DEAD, issue_flags);	\
	}

#else

#define MCP_CMD_TASK_WORK(name, work)						\
	static void name(struct io_tw_req request, io_tw_token_t token)		\
	{									\
		work(io_uring_cmd_from_tw(request), token.cancel,		\
		     IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);			\
	}

#endif

#endif /* MCP_COMPAT_H */
