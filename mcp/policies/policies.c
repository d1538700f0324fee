// SPDX-License-Identifier: GPL-2.0
/*
 * The three policies.
 *
 * Concern: each is complete, with all of its rules, before it is attached; and
 *          its words are read before anything is loaded.
 */
#include "policies.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allow_list.skel.h"
#include "attach.h"
#include "read_only.skel.h"
#include "rules.h"
#include "token_bucket.skel.h"

#define SECOND		1000000000ull
#define RATE_MAX	1000000ull
#define BURST_MAX	1000000ull

static int complain(const char *word, const char *why)
{
	fprintf(stderr, "mcp-policy: %s: %s\n", word, why);
	return POLICY_WORDS;
}

/* ---- allow_list ---- */

static int count_rules(struct allow_list *list, char **words)
{
	const char *why;
	struct rule rule;
	unsigned int count = 0;

	for (; *words; words++, count++) {
		if (count == RULES_MAX)
			return complain(*words, "one rule too many");
		if (rule_parse(*words, &rule, &why))
			return complain(*words, why);
		if (rule.uid == NO_UID)
			list->rodata->by_label = true;
		else
			list->rodata->by_uid = true;
		if (!strcmp(rule.endpoint, EVERY))
			list->rodata->every_endpoint = true;
		else if (!strcmp(rule.tool, EVERY))
			list->rodata->every_tool = true;
	}
	return count ? 0 : complain("allow_list", "needs a rule: " RULE_SYNTAX);
}

static int add_rules(struct allow_list *list, char **words)
{
	static const __u8 yes = 1;
	const char *why;
	struct rule rule;

	for (; *words; words++) {
		rule_parse(*words, &rule, &why);
		if (bpf_map_update_elem(bpf_map__fd(list->maps.rules), &rule, &yes, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int attach_allow_list(char **words, bool *replaced)
{
	struct allow_list *list = allow_list__open();
	int error;

	if (!list)
		return -errno;
	error = count_rules(list, words);
	if (!error)
		error = prepare();
	if (!error)
		error = allow_list__load(list);
	if (!error)
		error = add_rules(list, words);
	if (!error)
		error = attach_or_replace(list->maps.allow_list, replaced);
	allow_list__destroy(list);
	return error;
}

/* ---- read_only ---- */

static int attach_read_only(char **words, bool *replaced)
{
	struct read_only *only;
	int error;

	if (*words)
		return complain(*words, "read_only takes no word");
	error = prepare();
	if (error)
		return error;
	only = read_only__open_and_load();
	if (!only)
		return -errno;
	error = attach_or_replace(only->maps.read_only, replaced);
	read_only__destroy(only);
	return error;
}

/* ---- token_bucket ---- */

/* A whole number from 1 to @most. */
static int number(const char *text, unsigned long long most, unsigned long long *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !*value || *value > most)
		return -EINVAL;
	return 0;
}

static int read_rate(struct token_bucket *bucket, char **words)
{
	unsigned long long rate = 0, burst = 0;

	for (; *words; words++) {
		if (!strncmp(*words, "rate=", 5)) {
			if (number(*words + 5, RATE_MAX, &rate))
				return complain(*words, "no rate: 1 to 1000000 a second");
		} else if (!strncmp(*words, "burst=", 6)) {
			if (number(*words + 6, BURST_MAX, &burst))
				return complain(*words, "no burst: 1 to 1000000");
		} else if (!strcmp(*words, "by=uid")) {
			bucket->rodata->by_uid = true;
		} else if (strcmp(*words, "by=sender")) {
			return complain(*words, "not a word of token_bucket");
		}
	}
	if (!rate || !burst)
		return complain("token_bucket", "needs rate= and burst=");
	bucket->rodata->interval = SECOND / rate;
	bucket->rodata->burst = SECOND / rate * burst;
	return 0;
}

static int attach_token_bucket(char **words, bool *replaced)
{
	struct token_bucket *bucket = token_bucket__open();
	int error;

	if (!bucket)
		return -errno;
	error = read_rate(bucket, words);
	if (!error)
		error = prepare();
	if (!error)
		error = token_bucket__load(bucket);
	if (!error)
		error = attach_or_replace(bucket->maps.token_bucket, replaced);
	token_bucket__destroy(bucket);
	return error;
}

const struct policy policies[] = {
	{ "allow_list", RULE_SYNTAX " ...", attach_allow_list },
	{ "read_only", "", attach_read_only },
	{ "token_bucket", "rate=REQUESTS_A_SECOND burst=REQUESTS [by=sender|by=uid]", attach_token_bucket },
	{ 0 },
};
