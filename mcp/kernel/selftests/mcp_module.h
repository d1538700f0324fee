/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: loading and unloading mcp.ko, for tests of what only that ends.
 */
#ifndef MCP_MODULE_H
#define MCP_MODULE_H

#include <stdbool.h>

/* Where mcp.ko lies: $MCP_MODULE, or a usual place; NULL if nowhere. */
const char *module_path(void);
/* 0 or -errno. */
int module_load(void);
/* Waits as long for its last user: a ring's end is not at once. 0 or -errno. */
int module_unload(int milliseconds);
/* Both; whether both went well. */
bool module_reload(void);

#endif /* MCP_MODULE_H */
