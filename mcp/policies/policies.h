/* SPDX-License-Identifier: GPL-2.0 */
/* Concern: the policies that mcp-policy knows, each with its words. */
#ifndef MCP_POLICIES_H
#define MCP_POLICIES_H

#include <stdbool.h>

/* What attach() gives after it has complained about a word. */
#define POLICY_WORDS 1

/* attach() loads one and attaches it: 0, POLICY_WORDS or -errno. */
struct policy {
	const char *name;
	const char *words;
	int (*attach)(char **words, bool *replaced);
};

/* Ends with one without a name. */
extern const struct policy policies[];

#endif /* MCP_POLICIES_H */
