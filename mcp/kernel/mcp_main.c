// SPDX-License-Identifier: GPL-2.0
/*
 * mcp: the Model Context Protocol as a kernel transport - the device and the
 * life of the module.
 *
 * Concern: /dev/mcp exists while the module is loaded; an open file is a port;
 *          each ioctl goes to the file that answers it.
 * Context: process context.
 * Locking: none. .owner keeps the module loaded while a file is open, and a
 *          handle's descriptor likewise.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/random.h>

#include "mcp_internal.h"
#include "mcp_netlink.h"

/*
 * Users and processes are named by their numbers in the initial namespaces, in
 * decisions and in logs: elsewhere the numbers would mean others.
 */
static bool in_initial_namespaces(void)
{
	return current_user_ns() == &init_user_ns && task_active_pid_ns(current) == &init_pid_ns;
}

static int mcp_open(struct inode *inode, struct file *file)
{
	struct mcp_port *port;

	if (!in_initial_namespaces())
		return -EPERM;
	port = mcp_port_new(file->f_cred);
	if (IS_ERR(port))
		return PTR_ERR(port);
	file->private_data = port;
	return nonseekable_open(inode, file);
}

static int mcp_release(struct inode *inode, struct file *file)
{
	mcp_port_close(file->private_data);
	return 0;
}

static int mcp_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mcp_port *port = file->private_data;

	/* It stays as long as the file, once it is there. */
	return READ_ONCE(port->area) ? mcp_area_mmap(port->area, vma) : -ENXIO;
}

static long mcp_ioctl_arena(struct mcp_port *port, struct mcp_arena __user *user)
{
	struct mcp_arena arena;
	int error = mcp_copy_in(&arena, sizeof(arena), user);

	if (error)
		return error;
	if (arena.flags & ~MCP_ARENA_TAKES_FDS)
		return -EINVAL;
	return mcp_port_set_arena(port, arena.bytes, arena.flags & MCP_ARENA_TAKES_FDS);
}

static long mcp_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mcp_port *port = file->private_data;
	void __user *user = (void __user *)arg;

	/* What is called for each message is not looked for among the rest. */
	if (cmd == MCP_IOC_CALL)
		return mcp_ioctl_call(port, user);
	if (cmd == MCP_IOC_REPLY_WAIT)
		return mcp_ioctl_reply_wait(port, user, file->f_flags & O_NONBLOCK);
	switch (cmd) {
	case MCP_IOC_RELEASE:
		return arg > U32_MAX ? -EINVAL : mcp_port_release(port, arg);
	case MCP_IOC_INFO:
		return mcp_ioctl_info(user);
	case MCP_IOC_ARENA:
		return mcp_ioctl_arena(port, user);
	case MCP_IOC_SERVE:
		return mcp_ioctl_serve(port, file, user);
	case MCP_IOC_UPDATE:
		return mcp_ioctl_update(port, user);
	case MCP_IOC_OPEN:
		return mcp_ioctl_open(port, user);
	case MCP_IOC_GRANT:
		return mcp_ioctl_grant(port, user);
	case MCP_IOC_REVOKE:
		return mcp_ioctl_revoke(port, user);
	case MCP_IOC_PEER:
		return mcp_ioctl_peer(port, user);
	case MCP_IOC_REQUIRE:
		return mcp_ioctl_require(file, user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations mcp_fops = {
	.owner		= THIS_MODULE,
	.open		= mcp_open,
	.release	= mcp_release,
	.read		= mcp_read,
	.write		= mcp_write,
	.poll		= mcp_poll,
	.mmap		= mcp_mmap,
	.unlocked_ioctl	= mcp_ioctl,
	/* Same numbers and layouts for 32-bit callers: widen the pointer. */
	.compat_ioctl	= compat_ptr_ioctl,
	.uring_cmd	= mcp_uring_cmd,
};

/**
 * mcp_port_of() - the port behind a file
 * @file: any
 *
 * Return: the port, which stays as long as the file; NULL for another file.
 */
struct mcp_port *mcp_port_of(struct file *file)
{
	return file->f_op == &mcp_fops ? file->private_data : NULL;
}

/*
 * Mode 0660, owner and group root: opening the device is what lets a program
 * ask for authority, so by default nobody but root may; an image hands it to
 * a group of its own (chgrp after load) and never to everybody.
 */
static struct miscdevice mcp_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "mcp",
	.fops	= &mcp_fops,
	.mode	= 0660,
};

static int __init mcp_init(void)
{
	int error;

	mcp_senders_start(get_random_u32());
	error = mcp_msg_init();
	if (error)
		return error;
	error = mcp_exchange_init();
	if (error)
		goto no_exchanges;
	/* Before the first port, since what one does is told there. */
	error = mcp_netlink_init();
	if (error)
		goto no_netlink;
	error = misc_register(&mcp_device);
	if (error)
		goto no_device;
	return 0;
no_device:
	mcp_netlink_exit();
no_netlink:
	mcp_exchange_exit();
no_exchanges:
	mcp_msg_exit();
	return error;
}

static void __exit mcp_exit(void)
{
	misc_deregister(&mcp_device);
	mcp_netlink_exit();
	mcp_endpoint_exit();
	mcp_require_exit();
	mcp_exchange_exit();
	mcp_msg_exit();
	/* Ports and tables are freed after a grace period, by code of the kernel's. */
	rcu_barrier();
}
module_init(mcp_init);
module_exit(mcp_exit);

MODULE_DESCRIPTION("Model Context Protocol transport");
MODULE_AUTHOR("The Protopi authors");
MODULE_LICENSE("GPL");
