/* SPDX-License-Identifier: GPL-2.0 */
/* Concern: rules of allow_list as words of a command line. */
#ifndef MCP_RULES_H
#define MCP_RULES_H

#include "options.h"

#define RULE_SYNTAX "uid=NUMBER:ENDPOINT:TOOL or label=LABEL:ENDPOINT:TOOL"

/* One word into a rule. 0, or -EINVAL and in *@why what is wrong with it. */
int rule_parse(const char *word, struct rule *rule, const char **why);

#endif /* MCP_RULES_H */
