// SPDX-License-Identifier: GPL-2.0
/*
 * Handles: who may call what.
 *
 * Concern: the check of each request, the descriptor, the end of a handle. How
 *          one is made and taken is in mcp_grant.c.
 * Context: process.
 * Locking: mcp_registry_lock guards the trees. What a call reads of a handle
 *          never changes after it was made, but for @error, which goes from 0
 *          to something once.
 * Lifetime: counted: the descriptor has a reference, each derived handle one,
 *           each exchange one. A closed descriptor revokes nothing.
 */
#include <linux/bitmap.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "compat.h"
#include "mcp_internal.h"

u64 mcp_handles_generation;

/**
 * mcp_handle_of() - the handle behind a file
 * @file: any
 *
 * Return: the handle, which stays as long as the file; NULL for another file.
 */
struct mcp_handle *mcp_handle_of(struct file *file)
{
	return file->f_op == &mcp_handle_fops ? file->private_data : NULL;
}

static enum hrtimer_restart wake_pollers(struct hrtimer *timer)
{
	struct mcp_handle *handle = container_of(timer, struct mcp_handle, ends);

	wake_up_interruptible_poll(&handle->poll, EPOLLHUP | EPOLLERR);
	return HRTIMER_NORESTART;
}

/**
 * mcp_handle_arm() - who polls it shall be told of its end
 * @handle: new, with its expiry, which is not 0
 *
 * A call needs no clock: it asks what time it is.
 */
void mcp_handle_arm(struct mcp_handle *handle)
{
	hrtimer_setup(&handle->ends, wake_pollers, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	hrtimer_start(&handle->ends, ns_to_ktime(handle->expiry), HRTIMER_MODE_ABS);
}

/**
 * mcp_handle_free() - the last reference is gone
 * @handle: what it was derived from may go with it
 */
void mcp_handle_free(struct mcp_handle *handle)
{
	struct mcp_handle *parent = handle->parent;

	mutex_lock(&mcp_registry_lock);
	list_del(&handle->sibling);
	handle->endpoint->nhandles--;
	handle->endpoint->calls += handle->calls;
	mcp_handles_generation++;
	mutex_unlock(&mcp_registry_lock);
	if (handle->expiry)
		hrtimer_cancel(&handle->ends);
	atomic_dec(&handle->user->handles);
	mcp_user_put(handle->user);
	mcp_endpoint_put(handle->endpoint);
	bitmap_free(handle->tools);
	kfree(handle);
	/* As deep as MCP_MAX_DEPTH. */
	if (parent)
		mcp_handle_put(parent);
}

/**
 * mcp_handle_error() - is it still valid?
 * @handle: any; what was derived from it expires no later
 *
 * Return: 0, or why not, a positive errno.
 */
int mcp_handle_error(const struct mcp_handle *handle)
{
	int error = READ_ONCE(handle->error);

	if (!error && handle->expiry && ktime_get_ns() >= handle->expiry)
		error = EKEYEXPIRED;
	return error;
}

/* A tool that the handle leads to, in the state that was agreed to. */
static int check_tool(const struct mcp_handle *handle, u32 id)
{
	const struct mcp_tool_row *row;
	int error = -EACCES;

	rcu_read_lock();
	row = mcp_endpoint_tool(rcu_dereference(handle->endpoint->tools), id);
	if (row && (!handle->tools || test_bit(id, handle->tools))) {
		error = mcp_check_tool_rights(handle->rights, row->tool.flags);
		if (!error)
			error = mcp_check_pinned(handle->pinned, row->born, row->changed,
						 handle->tools);
	}
	rcu_read_unlock();
	return error;
}

/**
 * mcp_handle_admit() - may this request be sent on this handle?
 * @handle: from the sender's table of descriptors
 * @envelope: checked
 *
 * Return: 0; -EKEYREVOKED, -EKEYEXPIRED, -EPIPE for a handle that is no longer
 * valid; -EACCES for a right or a tool that it does not give; -ESTALE for a
 * tool that is not what it was.
 */
int mcp_handle_admit(struct mcp_handle *handle, const struct mcp_envelope *envelope)
{
	int error = mcp_handle_error(handle);

	if (error)
		return -error;
	if (envelope->nfds && !(handle->rights & MCP_RIGHT_FDS))
		return -EACCES;
	if (envelope->tool)
		error = check_tool(handle, envelope->tool);
	else if (!(handle->rights & MCP_RIGHT_QUERY))
		error = -EACCES;
	return error;
}

/**
 * mcp_handle_kill() - a handle and all derived from it are no longer valid
 * @handle: the registry's lock is held
 * @error: what calls on them answer, a positive errno
 *
 * What is in flight on them is ended by mcp_exchange_sweep().
 */
void mcp_handle_kill(struct mcp_handle *handle, int error)
{
	struct mcp_handle *child;

	if (!handle->error) {
		WRITE_ONCE(handle->error, error);
		mcp_handles_generation++;
		wake_up_interruptible_poll(&handle->poll, EPOLLHUP | EPOLLERR);
	}
	/* As deep as MCP_MAX_DEPTH. */
	list_for_each_entry(child, &handle->children, sibling)
		mcp_handle_kill(child, error);
}

/* ---- The descriptor ---- */

static int handle_release(struct inode *inode, struct file *file)
{
	mcp_handle_put(file->private_data);
	return 0;
}

static __poll_t handle_poll(struct file *file, struct poll_table_struct *table)
{
	struct mcp_handle *handle = file->private_data;

	poll_wait(file, &handle->poll, table);
	return mcp_handle_error(handle) ? EPOLLHUP | EPOLLERR : EPOLLOUT | EPOLLWRNORM;
}

static void handle_fdinfo(struct seq_file *seq, struct file *file)
{
	struct mcp_handle *handle = file->private_data;

	seq_printf(seq, "mcp-endpoint:\t%s\nmcp-sender:\t%llu\nmcp-label:\t%s\n",
		   handle->endpoint->name, handle->sender, handle->label);
	seq_printf(seq, "mcp-rights:\t%s%s%s%s%s\n",
		   handle->rights & MCP_RIGHT_QUERY ? "query " : "",
		   handle->rights & MCP_RIGHT_READ ? "read " : "",
		   handle->rights & MCP_RIGHT_WRITE ? "write " : "",
		   handle->rights & MCP_RIGHT_FDS ? "fds " : "",
		   handle->rights & MCP_RIGHT_GRANT ? "grant " : "");
	seq_printf(seq, "mcp-depth:\t%u\nmcp-expiry:\t%llu\nmcp-error:\t%d\n",
		   handle->depth, handle->expiry, mcp_handle_error(handle));
	seq_printf(seq, "mcp-inflight:\t%u of %u\nmcp-bytes:\t%llu of %llu\n",
		   mcp_quota_requests(&handle->quota), handle->quota.max_requests,
		   mcp_quota_units(&handle->quota) * MCP_UNIT,
		   (u64)handle->quota.max_units * MCP_UNIT);
	if (handle->tools)
		seq_printf(seq, "mcp-tools:\t%*pbl\n", MCP_TOOL_ID_MAX + 1, handle->tools);
	else
		seq_puts(seq, "mcp-tools:\tall\n");
}

const struct file_operations mcp_handle_fops = {
	.owner		= THIS_MODULE,
	.release	= handle_release,
	.poll		= handle_poll,
	.show_fdinfo	= handle_fdinfo,
	.llseek		= noop_llseek,
};
