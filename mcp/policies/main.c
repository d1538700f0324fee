// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-policy: attach a policy to /dev/mcp, tell which, detach it.
 *
 * Concern: the command line. Ends with 0, with 1 when something failed, with 2
 *          for words that it does not know, with 3 when `show` or `detach` finds none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "policies.h"

enum { GOOD, FAILED, MISUSED, NONE };

static int usage(void)
{
	const struct policy *policy;

	fputs("mcp-policy attach POLICY [WORD ...]   attach it, or put it in the place of the one that is\n"
	      "mcp-policy show                       print the one that is pinned\n"
	      "mcp-policy detach                     detach it\n"
	      "policies:\n", stderr);
	for (policy = policies; policy->name; policy++)
		fprintf(stderr, "  %s %s\n", policy->name, policy->words);
	return MISUSED;
}

static int failed(const char *what, int error)
{
	fprintf(stderr, "mcp-policy: %s: %s\n", what, strerror(-error));
	if (error == -EPERM || error == -EACCES)
		fputs("it takes root: CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN and CAP_SYS_MODULE\n", stderr);
	else if (error == -ENOPKG)
		fputs("mcp_bpf.ko was not found, or not taken by this kernel\n", stderr);
	else if (error == -EEXIST)
		fputs("a policy is attached that is not pinned at " PIN "\n", stderr);
	return FAILED;
}

static int attach(char **words)
{
	const struct policy *policy = policies;
	bool replaced;
	int error;

	if (!*words)
		return usage();
	while (policy->name && strcmp(policy->name, *words))
		policy++;
	if (!policy->name)
		return usage();
	error = policy->attach(words + 1, &replaced);
	if (error == POLICY_WORDS)
		return MISUSED;
	if (error)
		return failed(policy->name, error);
	printf("%s %s\n", policy->name, replaced ? "replaced the policy that was attached" : "is attached");
	return GOOD;
}

static int none(void)
{
	puts("none pinned");
	return NONE;
}

static int show(void)
{
	unsigned int id;
	char name[32];
	int error = show_pinned(name, sizeof(name), &id);

	if (error == -ENOENT)
		return none();
	if (error)
		return failed("cannot tell", error);
	printf("%s map %u pinned at " PIN "\n", name, id);
	return GOOD;
}

static int detach(void)
{
	int error = detach_pinned();

	if (error == -ENOENT)
		return none();
	return error ? failed("cannot detach", error) : GOOD;
}

/* libbpf says why a program or a map was refused, and much that is no news. */
static int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

int main(int count, char **words)
{
	libbpf_set_print(print);
	if (count >= 2 && !strcmp(words[1], "attach"))
		return attach(words + 2);
	if (count == 2 && !strcmp(words[1], "show"))
		return show();
	if (count == 2 && !strcmp(words[1], "detach"))
		return detach();
	return usage();
}
