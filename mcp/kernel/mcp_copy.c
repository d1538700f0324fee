// SPDX-License-Identifier: GPL-2.0
/*
 * Structures on their way in, and new ids.
 *
 * Concern: the rule of extension (docs/uapi.md): a structure begins with its
 *          size and flags, and grows at its end.
 * Context: process; may sleep in user copies.
 * Locking: none; the counter is atomic.
 */
#include <linux/atomic.h>
#include <linux/uaccess.h>

#include "mcp_internal.h"

static atomic64_t last_sender;

/**
 * mcp_copy_in() - the kernel's copy of a structure
 * @to: where to
 * @known: bytes of the structure here, the size of its first version
 * @user: the caller's; its first word is the size that the caller knows
 *
 * Return: 0; -EFAULT; -EINVAL for a size below @known; -E2BIG for a size above
 * a page, or for something other than zero in what this kernel does not know.
 */
int mcp_copy_in(void *to, size_t known, const void __user *user)
{
	u32 size;
	int error;

	if (get_user(size, (const u32 __user *)user))
		return -EFAULT;
	if (size < known)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	error = copy_struct_from_user(to, known, user, size);
	/* What was read twice may have changed in between: the first counts. */
	if (!error)
		*(u32 *)to = size;
	return error;
}

/**
 * mcp_rows_fit() - can these be rows of tools?
 * @address: of the first
 * @count: how many; without any there is no address
 * @row_size: bytes of a row, by the caller; may be zero without any
 * @known: bytes of a row here
 *
 * Return: whether they can be read.
 */
bool mcp_rows_fit(u64 address, u32 count, u32 row_size, size_t known)
{
	if (!count)
		return !address && (!row_size || row_size == known);
	return count <= MCP_TOOL_ID_MAX && row_size == known;
}

/**
 * mcp_new_sender() - an id for a handle or an endpoint
 *
 * The first is random, so that nobody takes an id for a small number that
 * means the same after a reboot.
 *
 * Return: an id that was not given before, never 0.
 */
u64 mcp_new_sender(void)
{
	return atomic64_inc_return(&last_sender);
}

void __init mcp_senders_start(u64 first)
{
	atomic64_set(&last_sender, first);
}
