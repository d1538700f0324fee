/* SPDX-License-Identifier: GPL-2.0 */
/* Concern: glibc has a revoke() too; the one of mcp_test.h has another name beside it. */
#include <unistd.h>
#define revoke revoke_handle
