// SPDX-License-Identifier: GPL-2.0
/*
 * mcp: the Model Context Protocol as a kernel transport - the device and the
 * life of the module.
 *
 * Concern: /dev/mcp exists while the module is loaded, and routes each ioctl
 *          to the file that answers it.
 * Context: process context.
 * Locking: none. No state is kept for an open file yet; .owner keeps the
 *          module loaded while one is open.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include <linux/mcp.h>

#include "mcp_internal.h"

static long mcp_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case MCP_IOC_INFO:
		return mcp_ioctl_info(user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations mcp_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= mcp_ioctl,
	/* Same numbers and layouts for 32-bit callers: widen the pointer. */
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

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
module_misc_device(mcp_device);

MODULE_DESCRIPTION("Model Context Protocol transport");
MODULE_AUTHOR("The Protopi authors");
MODULE_LICENSE("GPL");
