/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what the tests of mcp.ko share is written for musl; glibc has a
 * revoke() of its own. Included before everything else.
 */
#ifndef TEST_GLIBC_H
#define TEST_GLIBC_H

#include <unistd.h>

#define revoke revoke_handle

#endif /* TEST_GLIBC_H */
