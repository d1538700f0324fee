// SPDX-License-Identifier: GPL-2.0
/*
 * Rules of allow_list as words of a command line.
 *
 * Concern: a rule that is not exactly what was meant is refused here, because
 *          in the map it would only be one that never matches.
 * No state.
 */
#include "rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

/* Characters of [A-Za-z0-9_./-] at the start of @text. */
static size_t name_length(const char *text)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";

	return strspn(text, letters);
}

/* A name that ends at @end; @size with its NUL. */
static int take_name(const char **text, char end, char *name, size_t size)
{
	size_t length = name_length(*text);

	if ((*text)[length] != end || length >= size)
		return -EINVAL;
	memcpy(name, *text, length);
	*text += length + (end != '\0');
	return length;
}

static int take_uid(const char **text, unsigned int *uid)
{
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	errno = 0;
	number = strtoull(*text, &end, 10);
	if (errno || *end != ':' || number >= NO_UID)
		return -EINVAL;
	*uid = number;
	*text = end + 1;
	return 0;
}

int rule_parse(const char *word, struct rule *rule, const char **why)
{
	*rule = (struct rule){ .uid = NO_UID };
	if (!strncmp(word, "uid=", 4)) {
		word += 4;
		if (take_uid(&word, &rule->uid))
			return refuse(why, "no number of a user");
	} else if (!strncmp(word, "label=", 6)) {
		word += 6;
		/* Up to 32 characters: no label is longer. */
		if (take_name(&word, ':', rule->label, 33) <= 0)
			return refuse(why, "no label: 1 to 32 of [A-Za-z0-9_./-]");
	} else {
		return refuse(why, "begins with neither uid= nor label=");
	}
	if (!strcmp(word, EVERY ":" EVERY)) {
		strcpy(rule->endpoint, EVERY);
		strcpy(rule->tool, EVERY);
		return 0;
	}
	if (take_name(&word, ':', rule->endpoint, 49) <= 0)
		return refuse(why, "no endpoint: 1 to 48 of [A-Za-z0-9_./-], or *:*");
	if (!strcmp(word, EVERY))
		strcpy(rule->tool, EVERY);
	else if (take_name(&word, '\0', rule->tool, 49) < 0)
		return refuse(why, "no tool: up to 48 of [A-Za-z0-9_./-], or *");
	return 0;
}
