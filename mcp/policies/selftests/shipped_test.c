// SPDX-License-Identifier: GPL-2.0
/*
 * The policies that are shipped, attached by mcp-policy, which must be in PATH.
 *
 * Needs root, mcp_bpf.ko (or modprobe that finds it), and no policy attached.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_side.h"

/* What mcp-policy ends with. */
enum { GOOD, FAILED, MISUSED, NONE };

#define WORDS_MAX 12
#define OUTPUT "/tmp/mcp-policy.out"
#define LOCK "/run/mcp-policy.lock"
#define PIN "/sys/fs/bpf/mcp/policy"

extern char **environ;

static char said[512];

/* What it prints goes to OUTPUT. */
static pid_t start(char **words)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, words[0], &actions, NULL, words, environ))
		bail_out("mcp-policy");
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* Runs it with words up to a NULL; what it printed is in said[]. */
static int mcp_policy(const char *word, ...)
{
	char *words[WORDS_MAX + 2] = { "mcp-policy" };
	va_list arguments;
	int count = 1, status, file;
	ssize_t length;
	pid_t pid;

	va_start(arguments, word);
	for (; word && count <= WORDS_MAX; word = va_arg(arguments, const char *))
		words[count++] = (char *)word;
	va_end(arguments);
	pid = start(words);
	if (waitpid(pid, &status, 0) != pid)
		bail_out("mcp-policy");
	file = open(OUTPUT, O_RDONLY);
	length = file < 0 ? -1 : read(file, said, sizeof(said) - 1);
	if (length < 0)
		bail_out(OUTPUT);
	said[length] = '\0';
	close(file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* Nobody changes the policy while another does: whether it waits, and what it ends with then. */
static void check_waits(char *word, char *policy)
{
	char *words[4] = { "mcp-policy", word, policy };
	int lock = open(LOCK, O_RDONLY | O_CLOEXEC), status = 0;
	pid_t pid;

	if (lock < 0 || flock(lock, LOCK_EX))
		bail_out(LOCK);
	pid = start(words);
	sleep_ms(1000);
	check(!waitpid(pid, &status, WNOHANG), "%s waits for another that changes it", word);
	close(lock);
	check(waitpid(pid, &status, 0) == pid && !status, "and then does what it is told");
}

static bool shows(const char *name)
{
	return mcp_policy("show", NULL) == GOOD && !strncmp(said, name, strlen(name)) &&
	       said[strlen(name)] == ' ';
}

/* A request and its answer, on any handle of the client. */
static int try_tool(struct pair *pair, int handle, unsigned int tool)
{
	struct mcp_frame frame = frame_request(handle, tool, "x", 1);
	struct message message;
	__u64 cookie;
	int error = side_send(&pair->client, &frame, &cookie);

	if (error)
		return error;
	if (!side_next(&pair->server, &message, SOON) || !is_kind(&message, MCP_REQUEST, cookie))
		return -ETIME;
	frame = frame_response(cookie, NULL, 0);
	if (side_send(&pair->server, &frame, NULL) || !side_next(&pair->client, &message, SOON) ||
	    !is_kind(&message, MCP_RESPONSE, cookie))
		return -EPROTO;
	return side_release(&pair->client, &message);
}

/*
 * What names no tool, within a call of TOOL_READ: of the client, and of the
 * server. BY_IOCTL a caller waits, and asks nothing within its call.
 */
static void check_within(struct pair *pair, int wanted)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1), within;
	struct message message;
	__u64 outer;

	if (!check(pair_request(pair, &frame, &message), "%s: a call", pair->path))
		return;
	outer = message.envelope.cookie;
	within = frame_nested(outer, "y", 1);
	if (pair->client.path != BY_IOCTL)
		check_errno(side_send(&pair->client, &within, NULL), wanted,
			    "%s: the caller asks within it, for no tool", pair->path);
	check_errno(side_send(&pair->server, &within, NULL), 0, "%s: the endpoint asks back",
		    pair->path);
	frame = frame_response(outer, NULL, 0);
	check_errno(side_send(&pair->server, &frame, NULL), 0, "%s: and answers", pair->path);
	/* What was within ends with the call; all are told. */
	while (side_next(&pair->client, &message, 200))
		side_release(&pair->client, &message);
	while (side_next(&pair->server, &message, 200))
		side_release(&pair->server, &message);
}

static int labelled(struct pair *pair, const char *label)
{
	struct mcp_grant args = grant_args(pair->handle, ALL_RIGHTS);

	memcpy(args.label, label, strlen(label));
	return grant(&pair->client.port, &args);
}

/* ---- The command line ---------------------------------------------------- */

static void test_words(void)
{
	static const char *const bad[][3] = {
		{ "allow_list" }, { "allow_list", "uid=0" }, { "allow_list", "uid=0:a" },
		{ "allow_list", "uid=:a:b" }, { "allow_list", "uid=-1:a:b" },
		{ "allow_list", "uid=4294967295:a:b" }, { "allow_list", "uid=0x:a:b" },
		{ "allow_list", "uid=99999999999999999999:a:b" }, { "allow_list", "gid=0:a:b" },
		{ "allow_list", "label=:a:b" }, { "allow_list", "uid=0::b" },
		{ "allow_list", "uid=0:*:b" }, { "allow_list", "uid=0:a:b:c" },
		{ "allow_list", "uid=0:a:b*" }, { "allow_list", "uid=0:a b:c" },
		{ "allow_list", "label=123456789012345678901234567890123:a:b" },
		{ "allow_list", "uid=0:1234567890123456789012345678901234567890123456789:b" },
		{ "allow_list", "uid=0:a:1234567890123456789012345678901234567890123456789" },
		{ "allow_list", "uid=0:a:b", "" }, { "read_only", "x" }, { "token_bucket" },
		{ "token_bucket", "rate=1" }, { "token_bucket", "rate=0", "burst=1" },
		{ "token_bucket", "rate=1", "burst=0" }, { "token_bucket", "rate=1x", "burst=1" },
		{ "token_bucket", "rate=-1", "burst=1" }, { "token_bucket", "rate=1000001", "burst=1" },
		{ "token_bucket", "rate= 1", "burst=1" }, { "token_bucket", "by=gid" }, { "nothing" },
	};

	check(mcp_policy(NULL) == MISUSED, "no word");
	check(mcp_policy("attach", NULL) == MISUSED, "attach of nothing");
	check(mcp_policy("show", "x", NULL) == MISUSED, "show with a word");
	check(mcp_policy("show", NULL) == NONE && !strcmp(said, "none pinned\n"), "show without a policy");
	check(mcp_policy("detach", NULL) == NONE, "detach without one");
	check(mcp_policy("attach", "read_only", NULL) == GOOD, "attach");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		check(mcp_policy("attach", bad[i][0], bad[i][1], bad[i][1] ? bad[i][2] : NULL,
				 NULL) == MISUSED, "attach %s %s %s", bad[i][0],
		      bad[i][1] ?: "", bad[i][1] && bad[i][2] ? bad[i][2] : "");
	check(shows("read_only"), "and the policy is still the same");
	check(mcp_policy("detach", NULL) == GOOD, "detach");
	check(mcp_policy("show", NULL) == NONE, "and there is none");
}

/* Another program may detach what is pinned, and attach what is not. */
static void test_pin(void)
{
	int link, other;

	check(mcp_policy("attach", "read_only", NULL) == GOOD, "a pinned policy");
	link = bpf_obj_get(PIN);
	check(link >= 0 && !bpf_link_detach(link), "that another program detaches");
	check(mcp_policy("show", NULL) == NONE, "is none");
	check(mcp_policy("detach", NULL) == NONE && access(PIN, F_OK),
	      "nor for detach, which removes the pin");

	check(!bpf_obj_pin(link, PIN) && mcp_policy("attach", "read_only", NULL) == GOOD &&
	      shows("read_only"), "an attach takes such a pin's place");
	other = bpf_obj_get(PIN);
	check(other >= 0 && !unlink(PIN), "a policy without a pin");
	check(mcp_policy("show", NULL) == NONE && mcp_policy("detach", NULL) == NONE,
	      "is none pinned");
	check(mcp_policy("attach", "read_only", NULL) == FAILED, "and is in the way");
	check(!bpf_obj_pin(link, PIN) && mcp_policy("attach", "read_only", NULL) == FAILED,
	      "with another one's pin, too");
	check(mcp_policy("detach", NULL) == NONE && !bpf_link_detach(other),
	      "until whoever has it detaches it");
	check(mcp_policy("attach", "read_only", NULL) == GOOD &&
	      mcp_policy("detach", NULL) == GOOD, "then one can be attached");
	close(link);
	close(other);
}

static void test_lock(void)
{
	check_waits("attach", "read_only");
	check(shows("read_only"), "it is attached");
	check_waits("detach", NULL);
	check(mcp_policy("show", NULL) == NONE, "and no longer");
}

/* ---- read_only ----------------------------------------------------------- */

static void test_read_only(struct pair *pair)
{
	check_errno(try_tool(pair, pair->handle, TOOL_WRITE), 0, "%s: a tool that writes, without a policy",
		    pair->path);
	check(mcp_policy("attach", "read_only", NULL) == GOOD && shows("read_only"),
	      "%s: read_only", pair->path);
	check_errno(try_tool(pair, pair->handle, TOOL_WRITE), EACCES, "%s: the same with it",
		    pair->path);
	check_errno(try_tool(pair, pair->handle, TOOL_READ), 0, "%s: one that reads", pair->path);
	check_errno(try_tool(pair, pair->handle, 0), 0, "%s: none", pair->path);
}

/* ---- allow_list; it takes the place of read_only ------------------------- */

static void test_allow_list(struct pair *pair)
{
	struct mcp_tool names[] = { tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 1, "look"),
				    tool_row(TOOL_WRITE, 0, 2, "touch") };
	struct mcp_update update = { .size = sizeof(update), .ntools = ARRAY_SIZE(names),
				     .tools = address(names), .tool_size = sizeof(names[0]) };
	int handle, agent, other;
	char rules[4][128];

	if (call(pair->server.port.fd, MCP_IOC_UPDATE, &update))
		bail_out("a table of tools");
	handle = open_handle(&pair->client.port, pair->name, ALL_RIGHTS, NULL);
	close(pair->handle);
	pair->handle = handle;
	agent = labelled(pair, "agent");
	other = labelled(pair, "agent.2");

	snprintf(rules[0], sizeof(rules[0]), "uid=0:%s:look", (char *)pair->name);
	check(mcp_policy("attach", "allow_list", rules[0], NULL) == GOOD && shows("allow_list"),
	      "%s: allow_list %s", pair->path, rules[0]);
	check_errno(try_tool(pair, handle, TOOL_READ), 0, "%s: the tool", pair->path);
	check_errno(try_tool(pair, handle, TOOL_WRITE), EACCES, "%s: another", pair->path);
	check_errno(try_tool(pair, handle, 0), EACCES, "%s: none", pair->path);
	check_within(pair, EACCES);

	snprintf(rules[1], sizeof(rules[1]), "uid=0:%s:", (char *)pair->name);
	check(mcp_policy("attach", "allow_list", rules[0], rules[1], NULL) == GOOD,
	      "%s: allow_list %s %s", pair->path, rules[0], rules[1]);
	check_within(pair, 0);

	snprintf(rules[0], sizeof(rules[0]), "uid=0:%s:", (char *)pair->name);
	snprintf(rules[1], sizeof(rules[1]), "label=agent:%s:touch", (char *)pair->name);
	snprintf(rules[2], sizeof(rules[2]), "uid=1:%s:*", (char *)pair->name);
	snprintf(rules[3], sizeof(rules[3]), "label=agent:%s.x:*", (char *)pair->name);
	check(mcp_policy("attach", "allow_list", rules[0], rules[1], rules[2], rules[3], NULL) == GOOD,
	      "%s: allow_list %s %s", pair->path, rules[0], rules[1]);
	check_errno(try_tool(pair, handle, 0), 0, "%s: no tool", pair->path);
	check_errno(try_tool(pair, handle, TOOL_READ), EACCES, "%s: a tool", pair->path);
	check_errno(try_tool(pair, handle, TOOL_WRITE), EACCES, "%s: the tool, without the label",
		    pair->path);
	check_errno(try_tool(pair, agent, TOOL_WRITE), 0, "%s: with it", pair->path);
	check_errno(try_tool(pair, agent, TOOL_READ), EACCES, "%s: another with it", pair->path);
	check_errno(try_tool(pair, other, TOOL_WRITE), EACCES, "%s: with a longer label", pair->path);

	snprintf(rules[0], sizeof(rules[0]), "label=agent:%s:*", (char *)pair->name);
	check(mcp_policy("attach", "allow_list", rules[0], NULL) == GOOD, "%s: allow_list %s",
	      pair->path, rules[0]);
	check_errno(try_tool(pair, agent, TOOL_READ), 0, "%s: any tool", pair->path);
	check_errno(try_tool(pair, agent, 0), 0, "%s: and none", pair->path);
	check_errno(try_tool(pair, handle, TOOL_READ), EACCES, "%s: without the label", pair->path);
	check(mcp_policy("attach", "allow_list", "label=agent:*:*", rules[2], NULL) == GOOD,
	      "%s: allow_list label=agent:*:*", pair->path);
	check_errno(try_tool(pair, agent, TOOL_WRITE), 0, "%s: any tool anywhere", pair->path);
	check_errno(try_tool(pair, handle, TOOL_READ), EACCES, "%s: without the label", pair->path);
	close(agent);
	close(other);
}

/* ---- token_bucket -------------------------------------------------------- */

/* Requests that get through until one does not, or there are @most. */
static int count_calls(struct pair *pair, int handle, int most, int *error)
{
	int count = 0;

	for (*error = 0; count < most && !*error;) {
		*error = try_tool(pair, handle, TOOL_READ);
		count += !*error;
	}
	return count;
}

static void test_token_bucket(struct pair *pair)
{
	int other = labelled(pair, "other"), error, count;

	/* So slow that nothing is added while we look. */
	check(mcp_policy("attach", "token_bucket", "rate=1", "burst=3", NULL) == GOOD &&
	      shows("token_bucket"), "%s: token_bucket rate=1 burst=3", pair->path);
	count = count_calls(pair, pair->handle, 20, &error);
	check(count >= 3 && count <= 6, "%s: the burst, and little more: %d", pair->path, count);
	check_errno(error, EDQUOT, "%s: the next", pair->path);
	check_errno(try_tool(pair, other, TOOL_READ), 0, "%s: another handle", pair->path);
	sleep_ms(1100);
	check_errno(try_tool(pair, pair->handle, TOOL_READ), 0, "%s: a second later", pair->path);

	check(mcp_policy("attach", "token_bucket", "rate=1", "burst=3", "by=uid", NULL) == GOOD,
	      "%s: token_bucket by=uid", pair->path);
	count = count_calls(pair, pair->handle, 20, &error);
	check(count >= 3 && count <= 6 && error == -EDQUOT, "%s: its burst: %d", pair->path, count);
	check_errno(try_tool(pair, other, TOOL_READ), EDQUOT, "%s: another handle of the user",
		    pair->path);
	check(mcp_policy("attach", "token_bucket", "rate=1000000", "burst=1000000", NULL) == GOOD,
	      "%s: a large one", pair->path);
	count = count_calls(pair, pair->handle, 20, &error);
	check(count == 20 && !error, "%s: lets all through", pair->path);
	check(mcp_policy("detach", NULL) == GOOD, "%s: detach", pair->path);
	close(other);
}

int main(void)
{
	struct pair pair;

	test_begin();
	if (!access(PIN, F_OK))
		skip_all("a policy is attached");
	if (mcp_policy("attach", "read_only", NULL) || mcp_policy("detach", NULL))
		bail_out("mcp-policy cannot attach");
	test_words();
	test_lock();
	test_pin();
	for (enum path path = 0; path < PATHS; path++) {
		pair_need(&pair, path, path);
		test_read_only(&pair);
		test_allow_list(&pair);
		test_token_bucket(&pair);
		pair_close(&pair);
	}
	return test_end();
}
