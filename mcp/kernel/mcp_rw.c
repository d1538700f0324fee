// SPDX-License-Identifier: GPL-2.0
/*
 * read, write and poll: for where io_uring is switched off and a program has
 * one loop for all its files.
 *
 * Concern: one frame a call.
 * Context: process.
 * Locking: none of its own.
 */
#include <linux/cred.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "mcp_internal.h"

/**
 * mcp_read() - the next message
 * @file: of a port
 * @buffer: for one struct mcp_frame
 * @count: its size
 * @position: not used
 *
 * Return: the size of a frame, whose envelope and slot are the message's;
 * -EINVAL for another size; -EAGAIN, -ERESTARTSYS, -EFAULT.
 */
ssize_t mcp_read(struct file *file, char __user *buffer, size_t count, loff_t *position)
{
	struct mcp_port *port = file->private_data;
	struct mcp_frame frame = { .handle = -1 };
	struct mcp_taken taken;

	if (count != sizeof(frame))
		return -EINVAL;
	/* A message that is taken must arrive: look before. */
	if (clear_user(buffer, sizeof(frame)))
		return -EFAULT;
	taken = mcp_port_wait(port, file->f_flags & O_NONBLOCK);
	if (taken.slot < 0)
		return taken.slot;
	frame.slot = mcp_fds_install(port, taken);
	memcpy(&frame.envelope, port->area->base + frame.slot, sizeof(frame.envelope));
	return copy_to_user(buffer, &frame, sizeof(frame)) ? -EFAULT : sizeof(frame);
}

/**
 * mcp_write() - send a message
 * @file: of a port
 * @buffer: one struct mcp_frame
 * @count: its size
 * @position: not used
 *
 * A frame names addresses and descriptors, and write() is what a program with
 * more rights may be tricked into calling: only the opener's credential will do.
 *
 * Return: the size of a frame; -EINVAL for another; -EACCES for another
 * credential; -EFAULT, and as mcp_frame_send().
 */
ssize_t mcp_write(struct file *file, const char __user *buffer, size_t count, loff_t *position)
{
	struct mcp_port *port = file->private_data;
	struct mcp_frame frame __uninitialized;
	int error;

	if (count != sizeof(frame))
		return -EINVAL;
	if (current_cred() != file->f_cred)
		return -EACCES;
	if (copy_from_user(&frame, buffer, sizeof(frame)))
		return -EFAULT;
	error = mcp_frame_begin(port, &frame);
	if (!error)
		error = mcp_frame_send(port, &frame);
	return error ?: sizeof(frame);
}

__poll_t mcp_poll(struct file *file, struct poll_table_struct *table)
{
	struct mcp_port *port = file->private_data;
	__poll_t events = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &port->poll, table);
	spin_lock(&port->lock);
	if (!list_empty(&port->queue))
		events |= EPOLLIN | EPOLLRDNORM;
	spin_unlock(&port->lock);
	return events;
}
