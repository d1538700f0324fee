// SPDX-License-Identifier: GPL-2.0
/*
 * mcp_net: MCP in Ethernet frames - the life of the module.
 *
 * Concern: what is registered, in which order. Loaded by hand; does nothing
 *          until somebody binds it (mcp_net_bind.c, docs/network.md).
 * Context: process. Locking: none.
 */
#include <linux/module.h>

#include "mcp_net_internal.h"

struct workqueue_struct *mcp_net_workers;

static int __init mcp_net_init(void)
{
	int error;

	mcp_net_workers = alloc_workqueue("mcp_net", WQ_UNBOUND, 0);
	if (!mcp_net_workers)
		return -ENOMEM;
	error = mcp_net_bind_init();
	if (error)
		goto no_bind;
	error = mcp_net_netlink_init();
	if (error)
		goto no_netlink;
	return 0;
no_netlink:
	mcp_net_bind_exit();
no_bind:
	destroy_workqueue(mcp_net_workers);
	return error;
}

static void __exit mcp_net_exit(void)
{
	mcp_net_netlink_exit();
	mcp_net_bind_exit();
	/* Runs what is left: reaps, which find nothing to unbind, and what devices left. */
	destroy_workqueue(mcp_net_workers);
}
module_init(mcp_net_init);
module_exit(mcp_net_exit);

MODULE_DESCRIPTION("Model Context Protocol in Ethernet frames");
MODULE_AUTHOR("The Protopi authors");
MODULE_LICENSE("GPL");
