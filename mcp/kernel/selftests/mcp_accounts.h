/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: is anything left of what was tried? What one user may have at a time
 * is limited, so the room that there is tells.
 */
#ifndef MCP_ACCOUNTS_H
#define MCP_ACCOUNTS_H

#include "mcp_test.h"

/*
 * Who serves @name has an arena of 8 MiB and was open all the time, so that the
 * user's account is the same; it has no handle. Two checks, within ten seconds:
 * what a killed process had is given back by a worker.
 */
void check_accounts(const __u8 *name);

#endif /* MCP_ACCOUNTS_H */
