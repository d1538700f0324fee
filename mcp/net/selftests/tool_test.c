// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-net: which words it takes, that a peer can then do what they say and no
 * more, and each way that its binding ends. mcp_net.ko and veth.ko are loaded
 * before; mcp-net is found in PATH, or is the first argument.
 */
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "net_link.h"
#include "net_peer.h"
#include "net_program.h"

#define OURS	"mcp0"
#define THEIRS	"mcp1"
#define KEY	"/tmp/mcp-net.key"
#define WORDS	16
/* It has looked after its binding within that time. */
#define LOOKS_MS	12000

static const char *program = "mcp-net";

/* ---- The program --------------------------------------------------------- */

/* @words: what follows its name. */
static void start(struct program *run, char *const *words)
{
	char *all[WORDS + 2] = { (char *)program };

	for (int i = 0; i < WORDS && words[i]; i++)
		all[i + 1] = words[i];
	program_start(run, all, NULL, 0);
}

/* Exit status of what needs no waiting, and whether it said @wanted, which may be NULL. */
static int run_words(const char *wanted, char *const *words)
{
	struct program run;
	bool good;

	start(&run, words);
	good = !wanted || program_says(&run, wanted);
	return program_end(&run) + (good ? 0 : 200);
}

#define RUN(wanted, ...) run_words(wanted, (char *[]){ __VA_ARGS__, NULL })

/* ---- The lab ------------------------------------------------------------- */

struct lab {
	struct port server;
	__u8 name[MCP_NAME_SIZE];
	struct net_peer peer;
	int here;
};

static void write_key(size_t bytes, mode_t mode)
{
	static const unsigned char key[33] = { 9 };
	int fd;

	unlink(KEY);
	fd = open(KEY, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, key, bytes) != (ssize_t)bytes || fchmod(fd, mode))
		bail_out("no key file");
	close(fd);
}

static bool bind_with(struct lab *lab, struct program *run, char *word, char *other)
{
	char *const words[] = { "bind", OURS, (char *)lab->name, KEY, word, other, NULL };

	start(run, words);
	return program_says(run, "bound\n");
}

static void lab_need(struct lab *lab)
{
	struct net_peer other;
	int there;

	space_enter(space_new());
	lab->here = space_here();
	there = space_new();
	if (veth_need(OURS, THEIRS, there))
		skip_all("no pair of devices: is veth.ko loaded?");
	space_enter(there);
	peer_need(&lab->peer, THEIRS);
	space_enter(lab->here);
	peer_need(&other, OURS);
	memcpy(lab->peer.other, other.own, 6);
	close(other.socket);
	lab->peer.key[0] = 9;
	test_name(lab->name, "tool");
	port_need(&lab->server, 64 << 10);
	serve_need(&lab->server, lab->name);
	write_key(32, 0600);
}

/* The errno of a request for a tool; 0 when the endpoint got it, which then answers. */
static int ask(struct lab *lab, unsigned int tool)
{
	struct net_message message = { .kind = MCP_REQUEST, .tool = tool, .cookie = 1 };
	struct pollfd wait[] = { { .fd = lab->server.fd, .events = POLLIN },
				 { .fd = lab->peer.socket, .events = POLLIN } };
	struct net_frame frame;
	struct mcp_frame got;
	size_t len;

	peer_say(&lab->peer, &message, NULL, 0);
	if (poll(wait, 2, SOON) > 0 && wait[0].revents) {
		if (read(lab->server.fd, &got, sizeof(got)) != sizeof(got))
			bail_out("read");
		got = frame_response(got.envelope.cookie, NULL, 0);
		if (write(lab->server.fd, &got, sizeof(got)) != sizeof(got))
			bail_out("write");
	}
	if (!peer_hear(&lab->peer, &message, &frame, &len, SOON))
		return -1;
	return (int)message.status;
}

/* ---- Tests --------------------------------------------------------------- */

static void test_words(struct lab *lab)
{
	static char *const wrong[] = {
		"rights=", "rights=grant", "rights=read,", "rights=fds", "right=read", "tools=",
		"tools=0", "tools=1,", "tools=1024", "tools=-1", "tools=1x", "tools=99999999999999999999",
		"peer=02:00:00:00:00", "peer=any", "peer=02:00:00:00:00:01:", "peer=2:0:0:0:0:1",
		"peer=02:00:00:00:00:-1", "peer=02:00:00:00:00: 1", "peer=00:00:00:00:00:00",
		"peer=03:00:00:00:00:01", "frames=15", "frames=1048577",
		"frames=", "seconds=0", "seconds=181", "seconds=1.5", "replace=1", "again", "=", "",
	};
	char *name = (char *)lab->name, many[512] = "tools=1", long_name[60];

	check(run_words(NULL, (char *[]){ NULL }) == 2, "no word");
	check(RUN(NULL, "bind") == 2 && RUN(NULL, "bind", OURS) == 2 &&
	      RUN(NULL, "bind", OURS, name) == 2, "too few");
	check(RUN(NULL, "show", "all") == 2 && RUN(NULL, "unbind", OURS) == 2, "too many");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		check(RUN(NULL, "bind", OURS, name, KEY, wrong[i]) == 2, "bind with %s", wrong[i]);
	for (int i = 0; i < 64; i++)
		strcat(many, ",1");
	check(RUN(NULL, "bind", OURS, name, KEY, many) == 2, "65 tools");
	memset(long_name, 'a', sizeof(long_name));
	long_name[49] = 0;
	check(RUN(NULL, "bind", OURS, long_name, KEY) == 2, "a name of 49 characters");
	check(RUN("none\n", "show") == 3 && RUN("none\n", "unbind") == 3, "there is no binding");
}

/* Root without it: what is executed gets what the bounding set has. */
static int bind_in_child(void *lab)
{
	if (prctl(PR_CAPBSET_DROP, CAP_NET_ADMIN))
		return 99;
	return RUN(NULL, "bind", OURS, (char *)((struct lab *)lab)->name, KEY) % 100;
}

static void test_failures(struct lab *lab)
{
	char *name = (char *)lab->name;

	check(RUN(NULL, "bind", "nothing0", name, KEY) == 1, "no such device");
	check(RUN(NULL, "bind", "lo", name, KEY) == 1, "no Ethernet");
	check(RUN(NULL, "bind", OURS, "nobody.here", KEY) == 1, "no such endpoint");
	check(RUN(NULL, "bind", OURS, name, "/nowhere/key") == 1, "no key file");
	check(RUN(NULL, "bind", OURS, name, KEY, "tools=77") == 1, "no such tool");
	write_key(31, 0600);
	check(RUN(NULL, "bind", OURS, name, KEY) == 1, "a key of 31 bytes");
	write_key(33, 0600);
	check(RUN(NULL, "bind", OURS, name, KEY) == 1, "a key of 33 bytes");
	write_key(32, 0640);
	check(RUN(NULL, "bind", OURS, name, KEY) == 1, "a key that a group may read");
	write_key(32, 0600);
	check(in_child(bind_in_child, lab) == 1, "without CAP_NET_ADMIN");
	check(RUN("none\n", "show") == 3, "and nothing is left of any");
}

static void test_show(struct lab *lab)
{
	static const char *const counts[] = { "rx 2\n", "tx 3\n", "sessions 1\n", "malformed 0\n",
					      "strange 0\n", "limited 0\n", "overflow 0\n", "forged 0\n",
					      "replayed 0\n", "expired 0\n", "unmapped 0\n", "lost 0\n" };
	struct net_state state;
	char line[64];
	bool good = true;
	struct program run;

	check(!ask(lab, TOOL_READ), "a call");
	check(!net_get(&state), "get");
	start(&run, (char *[]){ "show", NULL });
	check(program_says(&run, "device " OURS "\n") && program_says(&run, "peer any\n"), "show: device and peer");
	snprintf(line, sizeof(line), "handle %llu\n", (unsigned long long)state.sender);
	check(program_says(&run, line), "handle");
	snprintf(line, sizeof(line), "session %u\n", lab->peer.their_id);
	check(program_says(&run, line) && program_says(&run, "body 1428\n") && program_says(&run, "frames 1048576\n") &&
	      program_says(&run, "seconds 180\n"), "session and limits");
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		good = good && program_says(&run, counts[i]);
	check(good && !program_end(&run), "counters");
}

static void test_binding(struct lab *lab)
{
	struct program run;

	check(bind_with(lab, &run, NULL, NULL) && peer_connect(&lab->peer, 0), "bind");
	test_show(lab);
	check(ask(lab, TOOL_WRITE) == 13, "it has the right to read, and no other");
	check(RUN(NULL, "bind", OURS, (char *)lab->name, KEY) == 1, "there is one already");
	check(!ask(lab, TOOL_READ), "which goes on");
	check(!program_stop(&run) && RUN("none\n", "show") == 3, "it ends with the program");

	check(bind_with(lab, &run, "rights=write,read", "tools=2") && peer_connect(&lab->peer, 0),
	      "bind with rights for one tool");
	check(!ask(lab, TOOL_WRITE) && ask(lab, TOOL_READ) == 13, "and it is that one");
	check(!program_stop(&run), "the end");
	check(bind_with(lab, &run, "frames=500", "seconds=20") && peer_connect(&lab->peer, 0) &&
	      lab->peer.limits[2] == 500 && lab->peer.limits[3] == 20, "limits");
	check(!program_stop(&run), "the end");
	check(bind_with(lab, &run, "peer=02:00:00:00:00:01", NULL) && !peer_connect(&lab->peer, 0),
	      "another peer");
	check(!program_stop(&run), "the end");
}

/* It cannot ask about its binding when it looks, and asks again. */
static void test_unknown(struct lab *lab)
{
	struct rlimit full, few;
	struct program run;

	check(bind_with(lab, &run, NULL, NULL), "bind");
	if (getrlimit(RLIMIT_NOFILE, &full))
		bail_out("a limit");
	/* Less than it has open, and as many as it polls: no socket more. */
	few = (struct rlimit){ .rlim_cur = 3, .rlim_max = full.rlim_max };
	check(!prlimit(run.pid, RLIMIT_NOFILE, &few, NULL), "it cannot ask for its binding");
	sleep_ms(LOOKS_MS);
	check(!waitpid(run.pid, NULL, WNOHANG), "which does not end it");
	check(!prlimit(run.pid, RLIMIT_NOFILE, &full, NULL), "it can again");
	check(!program_stop(&run) && RUN("none\n", "show") == 3, "and unbinds when it shall end");
}

static void test_endings(struct lab *lab)
{
	struct program run, other;

	check(bind_with(lab, &run, NULL, NULL), "bind");
	check(bind_with(lab, &other, "replace", NULL), "another takes its place");
	check(program_stop(&run) == 3, "the first does not end what is not its own");
	check(peer_connect(&lab->peer, 0) && !ask(lab, TOOL_READ), "the other goes on");
	kill(other.pid, SIGKILL);
	check(program_end(&other) == 128 && !ask(lab, TOOL_READ), "even when it is killed");
	check(!RUN(NULL, "unbind"), "until somebody unbinds");
	check(bind_with(lab, &run, "replace", NULL), "there need not be one to replace");
	port_close(&lab->server);
	check(program_end(&run) == 3, "the endpoint goes, and the program with it");
	port_need(&lab->server, 64 << 10);
	serve_need(&lab->server, lab->name);
	check(bind_with(lab, &run, NULL, NULL), "it comes back");
	check(!veth_delete(OURS) && program_end(&run) == 3, "the device goes");
}

int main(int argc, char **argv)
{
	struct lab lab = { 0 };

	test_begin();
	if (argc > 1)
		program = argv[1];
	if (!net_family())
		skip_all("mcp_net.ko is not loaded");
	if (!program_found(program))
		skip_all("mcp-net is not here");
	lab_need(&lab);
	test_words(&lab);
	test_failures(&lab);
	test_binding(&lab);
	test_unknown(&lab);
	test_endings(&lab);
	unlink(KEY);
	return test_end();
}
