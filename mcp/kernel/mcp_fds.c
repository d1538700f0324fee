// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptors that travel with a message.
 *
 * Concern: which may, and how they reach the receiver's table.
 * Context: process. Collected in the sender's, installed in the receiver's.
 * Locking: none. No lock is held while files are put, since that may run the
 *          release of another port.
 * Lifetime: a message owns the files between the two, and drops what was not
 *           installed. No cycle can keep itself alive: a handle holds its
 *           endpoint and never an open file of /dev/mcp, and neither those
 *           nor sockets and rings may travel.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mcp_internal.h"

static bool may_travel(struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;

	/* A memfd is a regular file. */
	return S_ISREG(mode) || S_ISFIFO(mode) || mcp_handle_of(file);
}

static int hold(__s32 number, struct file **file)
{
	*file = number < 0 ? NULL : fget(number);
	if (!*file)
		return -EBADF;
	return may_travel(*file) ? 0 : -EPERM;
}

/**
 * __mcp_fds_collect() - hold the files that a frame names
 * @frame: the kernel's copy, at least one
 *
 * Return: an array of @nfds files; or ERR_PTR() of -EFAULT; -EBADF for a number
 * without a file; -EPERM for a kind of file that may not travel; -ENOMEM.
 */
struct file **__mcp_fds_collect(const struct mcp_frame *frame)
{
	const __s32 __user *numbers = u64_to_user_ptr(frame->fds);
	u32 count = frame->envelope.nfds, i;
	struct file **held;
	int error = 0;

	held = kcalloc(count, sizeof(*held), GFP_KERNEL_ACCOUNT);
	if (!held)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < count && !error; i++) {
		__s32 number;

		if (get_user(number, numbers + i))
			error = -EFAULT;
		else
			error = hold(number, held + i);
	}
	if (error) {
		mcp_fds_drop(held, count);
		return ERR_PTR(error);
	}
	return held;
}

/**
 * mcp_fds_drop() - close what was not installed
 * @files: array of @count, with NULL where there is none; or NULL
 * @count: its length
 */
void mcp_fds_drop(struct file **files, unsigned int count)
{
	unsigned int i;

	if (!files)
		return;
	for (i = 0; i < count; i++)
		if (files[i])
			fput(files[i]);
	kfree(files);
}

/* The numbers lie behind the body. */
static void tell_numbers(struct mcp_area *area, struct mcp_msg *msg, const __s32 *numbers)
{
	struct mcp_envelope *envelope = mcp_area_at(area, msg->unit);
	u8 *body = (u8 *)envelope + MCP_BODY_OFFSET;
	u32 i;

	/* The slot has room for what the message says, not for what lies there. */
	memcpy(body + ALIGN(envelope->len, 4), numbers, msg->nfds * sizeof(*numbers));
	for (i = 0; i < msg->nfds; i++)
		if (numbers[i] < 0)
			envelope->flags |= MCP_F_FDS_LOST;
}

/**
 * __mcp_fds_install() - put a message's files into the current task's table
 * @port: the receiver
 * @msg: taken, with files; the reference that mcp_msg_take() took is given back
 *
 * The numbers are written behind the body. One that cannot be installed is
 * -errno there, and the envelope says so. If another task has ended the
 * exchange meanwhile, nobody is told: that task gave the slot up unseen.
 */
void __mcp_fds_install(struct mcp_port *port, struct mcp_msg *msg)
{
	struct mcp_exchange *exchange = msg->exchange;
	__s32 numbers[MCP_MAX_FDS];
	struct file **files;
	u32 i;

	spin_lock(&port->lock);
	files = msg->files;
	msg->files = NULL;
	spin_unlock(&port->lock);
	if (files) {
		for (i = 0; i < msg->nfds; i++)
			numbers[i] = receive_fd(files[i], NULL, O_CLOEXEC);
		mcp_fds_drop(files, msg->nfds);
		spin_lock(&port->lock);
		if (mcp_slots_owner(&port->area->slots, msg->unit) == msg) {
			tell_numbers(port->area, msg, numbers);
			msg->flags |= MCP_MSG_DELIVERED;
		}
		spin_unlock(&port->lock);
	}
	mcp_exchange_put(exchange);
}
