// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-net: let a peer on the Ethernet call one handle of this machine.
 *
 * Concern: the command line; a handle, a key and a binding that go together.
 *
 * `bind` stays, as a service does: until a signal, and then it unbinds; or until
 * the binding has ended, with its endpoint or its device. Ends with 0, with 1 when
 * something failed, with 2 for words that it does not know, with 3 when `show` or
 * `unbind` finds no binding and when that of `bind` has ended by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/keyctl.h>
#include <linux/mcp.h>

#include "family.h"
#include "words.h"

#define KEY_SIZE 32
/* Nothing tells a program that its binding went with the device: it looks, now and then. */
#define LOOK_MS 10000

enum { GOOD, FAILED, MISUSED, NONE };

extern char **environ;

static int usage(void)
{
	fputs("mcp-net bind DEVICE ENDPOINT KEYFILE [WORD ...]   until a signal, or the binding's end\n"
	      "mcp-net unbind\n"
	      "mcp-net show\n"
	      "words: rights=query,read,write (read) tools=ID,... (all) peer=ADDRESS (any)\n"
	      "       frames=NUMBER (1048576) seconds=NUMBER (180) replace\n", stderr);
	return MISUSED;
}

static int failed(const char *what, int error)
{
	fprintf(stderr, "mcp-net: %s: %s\n", what, strerror(-error));
	if (error == -EPERM)
		fputs("it takes CAP_NET_ADMIN\n", stderr);
	else if (error == -ENOPKG)
		fputs("mcp_net.ko was not found, or not taken by this kernel\n", stderr);
	else if (error == -EKEYREJECTED)
		fputs("a key has 32 bytes, and nobody else may read its file\n", stderr);
	else if (error == -EBUSY)
		fputs("there is a binding: mcp-net unbind ends it, and so does the word replace\n", stderr);
	return FAILED;
}

/* ---- What a binding needs ------------------------------------------------ */

/* modprobe knows where modules lie and what they need. */
static int load_module(void)
{
	char *const words[] = { "modprobe", "mcp_net", NULL };
	int error, status;
	pid_t pid;

	if (family_is_there())
		return 0;
	error = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);
	if (error)
		return -error;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return family_is_there() ? 0 : -ENOPKG;
}

/*
 * A key that nobody can read back. It is in this process's keyring, and the
 * binding holds it, so a `bind` that was killed leaves one that works.
 */
static int add_key(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char bytes[KEY_SIZE + 1];
	struct stat about;
	ssize_t got;
	long key;

	if (fd < 0)
		return -errno;
	got = fstat(fd, &about) ? -1 : read(fd, bytes, sizeof(bytes));
	if (got < 0)
		got = -errno;
	close(fd);
	if (got < 0)
		return (int)got;
	/* A key that others can read is none. */
	if (got != KEY_SIZE || about.st_mode & 0077) {
		explicit_bzero(bytes, sizeof(bytes));
		return -EKEYREJECTED;
	}
	key = syscall(SYS_add_key, "logon", "mcp:net", bytes, (size_t)KEY_SIZE,
		      KEY_SPEC_PROCESS_KEYRING);
	explicit_bzero(bytes, sizeof(bytes));
	return key < 0 ? -errno : (int)key;
}

static int open_handle(const struct wish *wish, uint64_t *sender)
{
	struct mcp_open request = {
		.size = sizeof(request), .rights = wish->rights, .npins = wish->ntools,
		.pins = wish->ntools ? (uintptr_t)wish->tools : 0,
		.pin_size = wish->ntools ? sizeof(wish->tools[0]) : 0,
	};
	int port = open("/dev/mcp", O_RDWR | O_CLOEXEC);

	if (port < 0)
		return -errno;
	memcpy(request.name, wish->endpoint, strlen(wish->endpoint));
	/* The port stays open as long as the program runs. */
	if (ioctl(port, MCP_IOC_OPEN, &request))
		return -errno;
	*sender = request.sender;
	return request.fd;
}

/* ---- Words --------------------------------------------------------------- */

static int show(void)
{
	static const char *const names[] = {
		[MCP_NET_A_COUNTS_RX] = "rx",
		[MCP_NET_A_COUNTS_TX] = "tx",
		[MCP_NET_A_COUNTS_SESSIONS] = "sessions",
		[MCP_NET_A_COUNTS_MALFORMED] = "malformed",
		[MCP_NET_A_COUNTS_STRANGE] = "strange",
		[MCP_NET_A_COUNTS_LIMITED] = "limited",
		[MCP_NET_A_COUNTS_OVERFLOW] = "overflow",
		[MCP_NET_A_COUNTS_FORGED] = "forged",
		[MCP_NET_A_COUNTS_REPLAYED] = "replayed",
		[MCP_NET_A_COUNTS_EXPIRED] = "expired",
		[MCP_NET_A_COUNTS_UNMAPPED] = "unmapped",
		[MCP_NET_A_COUNTS_LOST] = "lost",
	};
	struct family_state state;
	char device[IF_NAMESIZE];
	int error = family_get(&state);
	const uint8_t *peer = state.peer;

	if (error == -ENOENT || error == -ENOPKG) {
		puts("none");
		return NONE;
	}
	if (error)
		return failed("cannot tell", error);
	printf("device %s\n", if_indextoname(state.ifindex, device) ? device : "gone");
	if (state.has_peer)
		printf("peer %02x:%02x:%02x:%02x:%02x:%02x\n", peer[0], peer[1], peer[2], peer[3],
		       peer[4], peer[5]);
	else
		puts("peer any");
	printf("handle %llu\nsession %u\nbody %u\nframes %u\nseconds %u\n",
	       (unsigned long long)state.sender, state.session, state.max_body, state.frames,
	       state.seconds);
	for (int i = MCP_NET_A_COUNTS_RX; i <= MCP_NET_A_COUNTS_LOST; i++)
		printf("%s %llu\n", names[i], (unsigned long long)state.counts[i]);
	return GOOD;
}

static int unbind(void)
{
	int error = family_unbind();

	if (error == -ENOENT || error == -ENOPKG) {
		puts("none");
		return NONE;
	}
	return error ? failed("cannot unbind", error) : GOOD;
}

static int block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

/*
 * Is there none to the handle of that id? Another one may have replaced it. When
 * the kernel cannot tell, as for want of memory, ours may well be there.
 */
static bool has_ended(uint64_t sender)
{
	struct family_state state;
	int error = family_get(&state);

	if (error)
		return error == -ENOENT || error == -ENOPKG;
	return state.sender != sender;
}

/* Until a signal comes, or the binding to @handle is no more. */
static int stay(int handle, uint64_t sender, int signals)
{
	struct pollfd wait[] = { { .fd = signals, .events = POLLIN }, { .fd = handle } };

	do {
		if (poll(wait, 2, LOOK_MS) < 0)
			return failed("poll", -errno);
		if (wait[0].revents && !has_ended(sender))
			return unbind();
	} while (!wait[1].revents && !has_ended(sender));
	fprintf(stderr, "mcp-net: the binding has ended\n");
	return NONE;
}

static int bind_words(char **words)
{
	struct wish wish;
	const char *wrong = words_read(words, &wish);
	int error, signals = block_signals();
	uint64_t sender = 0;

	if (wrong) {
		fprintf(stderr, "mcp-net: %s\n", wrong);
		return usage();
	}
	if (signals < 0)
		return failed("signals", -errno);
	wish.bind.ifindex = if_nametoindex(wish.device);
	if (!wish.bind.ifindex)
		return failed(wish.device, -errno);
	/* A first key gives a process a new credential, and a port is used with the one that opened it. */
	wish.bind.key = add_key(wish.key_file);
	if (wish.bind.key < 0)
		return failed(wish.key_file, wish.bind.key);
	wish.bind.handle = open_handle(&wish, &sender);
	if (wish.bind.handle < 0)
		return failed(wish.endpoint, wish.bind.handle);
	error = load_module();
	if (!error && wish.replace)
		error = family_unbind();
	if (!error || error == -ENOENT)
		error = family_bind(&wish.bind);
	if (error)
		return failed("cannot bind", error);
	puts("bound");
	fflush(stdout);
	return stay(wish.bind.handle, sender, signals);
}

int main(int count, char **words)
{
	if (count >= 2 && !strcmp(words[1], "bind"))
		return bind_words(words + 2);
	if (count == 2 && !strcmp(words[1], "unbind"))
		return unbind();
	if (count == 2 && !strcmp(words[1], "show"))
		return show();
	return usage();
}
