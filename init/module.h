/* SPDX-License-Identifier: MIT */
/* mcp.ko: loading it, and the first question to /dev/mcp. */
#ifndef PROTOPI_MODULE_H
#define PROTOPI_MODULE_H

#include <linux/mcp.h>

/* What failed, for @fail: a word and an errno. `stage` is NULL where nothing did. */
struct module_result {
	const char *stage; /* "load", "open", "info", "abi" */
	int error;	   /* errno */
	struct mcp_info info;
};

/* Loads the module and asks INFO: the moment of *ready* is its return without a stage. */
struct module_result module_start(void);

#endif
