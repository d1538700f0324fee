// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: the module that the suites are in. Loading it runs them; results
 *          are in /sys/kernel/debug/kunit/mcp_NAME/results.
 * Context: the kernel runs the suites of a module after its init.
 */
#include <linux/module.h>

MODULE_DESCRIPTION("KUnit suites of the Model Context Protocol transport");
MODULE_AUTHOR("The Protopi authors");
MODULE_LICENSE("GPL");
