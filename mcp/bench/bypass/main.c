// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-bypass DEVICE ENDPOINT < KEY: the peer of docs/network.md without the
 * kernel's network and without mcp_net.ko.
 *
 * Frames of EtherType 0xFAF0 come by AF_XDP; they are authenticated here, and
 * become calls on a handle of this program's own, which has the right to read.
 * KEY is 32 bytes on standard input. It says "ready", runs until SIGTERM or
 * SIGINT, and then prints what it has counted. Exit status: 0; 1 for an error of
 * the kernel's; 2 for one of the command line or of the key.
 *
 * It is an example to measure with, in no product: one call at a time; no NOTIFY,
 * CANCEL or nested request either way; cryptography that is plain to read and not
 * free of side channels.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/mcp.h>

#include "session.h"
#include "xsk.h"

#define ETHERTYPE	0xfaf0
#define ARENA		(64u << 10)
/* Longest of one call, also for a peer that names no timeout: nothing else is done meanwhile. */
#define CALL_MOST	10000000000ull

struct bypass {
	struct xsk xsk;
	struct session session;
	int port, handle;
	const unsigned char *arena;
	unsigned long long verdicts[SESSION_VERDICTS], answered, refused, unsupported, lost;
};

static int fail(const char *what, int error)
{
	fprintf(stderr, "mcp-bypass: %s: %s\n", what, strerror(error));
	return 1;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* ---- Calls --------------------------------------------------------------- */

/* One call, all the way: 0 and the slot of its RESPONSE, or -errno. */
static int call(const struct bypass *bypass, struct mcp_frame *frame)
{
	const struct mcp_envelope *got;
	__u64 cookie = 0;

	frame->result = (uintptr_t)&cookie;
	for (;;) {
		__u32 slot;

		if (ioctl(bypass->port, MCP_IOC_CALL, frame))
			return -errno;
		got = (const void *)(bypass->arena + frame->slot);
		if (got->kind == MCP_RESPONSE)
			return 0;
		/* A notification, or a question that ends with the call: neither is carried. */
		slot = frame->slot - (got->kind == MCP_CANCEL ? MCP_CANCEL_OFFSET : 0);
		*frame = (struct mcp_frame){ .envelope.cookie = cookie, .slot = slot,
					     .handle = -1 };
	}
}

/* What mcp_net.ko refuses too, in its order. */
static int refusal(const struct bypass *bypass, const struct session_message *message)
{
	if (message->flags || message->status || !message->cookie)
		return -EINVAL;
	if (message->parent)
		return -EOPNOTSUPP;
	return message->reserve > bypass->session.mtu - SESSION_OVERHEAD ? -EMSGSIZE : 0;
}

static void say(struct bypass *bypass, const struct session_message *message, const void *body,
		size_t len)
{
	static struct session_frame frame;

	if (!session_say(&bypass->session, &frame, message, body, len, now_ns(CLOCK_BOOTTIME)) ||
	    xsk_send(&bypass->xsk, frame.bytes, frame.size))
		bypass->lost++;
}

static void refuse(struct bypass *bypass, uint64_t cookie, int error)
{
	struct session_message answer = { .kind = MCP_RESPONSE, .flags = MCP_F_KERNEL,
					  .status = -error, .cookie = cookie };

	bypass->refused++;
	say(bypass, &answer, NULL, 0);
}

static void answer(struct bypass *bypass, uint64_t cookie, uint32_t slot)
{
	const struct mcp_envelope *got = (const void *)(bypass->arena + slot);
	struct session_message message = { .kind = MCP_RESPONSE, .cookie = cookie,
					   .flags = got->flags & MCP_F_KERNEL,
					   .status = got->status };

	/* The space for an answer is rounded up, so it may be larger than was asked for. */
	if (got->len > bypass->session.mtu - SESSION_OVERHEAD) {
		refuse(bypass, cookie, -EMSGSIZE);
		return;
	}
	bypass->answered++;
	say(bypass, &message, bypass->arena + slot + MCP_BODY_OFFSET, got->len);
}

static void request(struct bypass *bypass, const struct session_message *message,
		    const unsigned char *body, size_t len)
{
	uint64_t timeout = message->timeout * 1000000ull;
	struct mcp_frame frame = {
		.envelope = {
			.magic = MCP_MAGIC, .version = MCP_ENVELOPE_VERSION, .kind = MCP_REQUEST,
			.len = (uint32_t)len, .tool = message->tool, .method = message->method,
			.proto = message->proto, .reserve = message->reserve,
		},
		.body = len ? (uintptr_t)body : 0, .handle = bypass->handle,
	};
	int error = refusal(bypass, message);

	if (!timeout || timeout > CALL_MOST)
		timeout = CALL_MOST;
	frame.envelope.deadline = now_ns(CLOCK_MONOTONIC) + timeout;
	if (!error)
		error = call(bypass, &frame);
	if (error) {
		refuse(bypass, message->cookie, error);
		return;
	}
	answer(bypass, message->cookie, frame.slot);
	ioctl(bypass->port, MCP_IOC_RELEASE, frame.slot);
}

/* ---- Frames -------------------------------------------------------------- */

static void take(struct bypass *bypass, unsigned char *bytes, size_t size)
{
	static struct session_frame reply;
	struct session_message message;
	enum session_verdict verdict;

	verdict = session_take(&bypass->session, bytes, size, now_ns(CLOCK_BOOTTIME), &reply);
	bypass->verdicts[verdict]++;
	if (verdict == SESSION_HANDSHAKE && xsk_send(&bypass->xsk, reply.bytes, reply.size))
		bypass->lost++;
	if (verdict != SESSION_MESSAGE)
		return;
	memcpy(&message, bytes + SESSION_BODY_AT - sizeof(message), sizeof(message));
	if (message.kind == MCP_REQUEST)
		request(bypass, &message, bytes + SESSION_BODY_AT,
			size - SESSION_ETH - SESSION_OVERHEAD);
	else
		bypass->unsupported++;
}

static int run(struct bypass *bypass, int signals)
{
	struct pollfd wait[] = { { .fd = bypass->xsk.fd, .events = POLLIN },
				 { .fd = signals, .events = POLLIN } };
	unsigned char *frame;
	size_t bytes;

	while (!wait[1].revents) {
		if (poll(wait, 2, -1) < 0)
			return fail("poll", errno);
		/* The device is gone, or down. */
		if (wait[0].revents & ~POLLIN)
			return fail("the device", ENETDOWN);
		frame = xsk_receive(&bypass->xsk, &bytes);
		if (frame) {
			take(bypass, frame, bytes);
			xsk_release(&bypass->xsk);
		}
	}
	return 0;
}

static int print_counts(const struct bypass *bypass)
{
	static const char *const names[] = { "messages", "handshakes", "malformed", "strange",
					     "limited", "forged", "replayed", "expired" };

	_Static_assert(ARRAY_SIZE(names) == SESSION_VERDICTS, "a name for each");
	for (int i = 0; i < SESSION_VERDICTS; i++)
		printf("%s %llu\n", names[i], bypass->verdicts[i]);
	printf("answered %llu\nrefused %llu\nunsupported %llu\nlost %llu\n", bypass->answered,
	       bypass->refused, bypass->unsupported, bypass->lost);
	return fflush(stdout) ? fail("standard output", errno) : 0;
}

/* ---- The beginning ------------------------------------------------------- */

static int open_handle(struct bypass *bypass, const char *endpoint)
{
	struct mcp_arena arena = { .size = sizeof(arena), .bytes = ARENA };
	struct mcp_open open_args = { .size = sizeof(open_args), .rights = MCP_RIGHT_READ };

	memcpy(open_args.name, endpoint, strlen(endpoint));
	bypass->port = open("/dev/mcp", O_RDWR | O_CLOEXEC);
	if (bypass->port < 0 || ioctl(bypass->port, MCP_IOC_ARENA, &arena) ||
	    ioctl(bypass->port, MCP_IOC_OPEN, &open_args))
		return errno;
	bypass->handle = open_args.fd;
	bypass->arena = mmap(NULL, ARENA, PROT_READ, MAP_SHARED, bypass->port, 0);
	return bypass->arena == MAP_FAILED ? errno : 0;
}

static int learn_device(const char *name, unsigned char own[6], uint32_t *mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;
	struct ifreq request = { 0 };

	if (fd < 0)
		return errno;
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		error = errno;
	memcpy(own, request.ifr_hwaddr.sa_data, 6);
	if (!error && ioctl(fd, SIOCGIFMTU, &request))
		error = errno;
	*mtu = (uint32_t)request.ifr_mtu;
	close(fd);
	/* Frames of one chunk, in which what SESSION_OVERHEAD stands for fits too. */
	if (!error && (*mtu < SESSION_OVERHEAD || *mtu > XSK_FRAME_MAX - SESSION_ETH))
		error = EMSGSIZE;
	return error;
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

int main(int argc, char **argv)
{
	static struct bypass bypass;
	unsigned char key[33], own[6];
	const char *what;
	int error, signals;
	uint32_t mtu = 0;

	if (argc != 3 || strlen(argv[2]) > MCP_NAME_MAX) {
		fprintf(stderr, "usage: mcp-bypass DEVICE ENDPOINT < KEY\n");
		return 2;
	}
	if (read(STDIN_FILENO, key, sizeof(key)) != 32) {
		fprintf(stderr, "mcp-bypass: a key has 32 bytes\n");
		return 2;
	}
	signals = block_signals();
	if (signals < 0)
		return fail("signals", errno);
	error = learn_device(argv[1], own, &mtu);
	if (error)
		return fail(argv[1], error);
	error = open_handle(&bypass, argv[2]);
	if (error)
		return fail(argv[2], error);
	session_start(&bypass.session, key, own, mtu, now_ns(CLOCK_BOOTTIME));
	error = xsk_open(&bypass.xsk, if_nametoindex(argv[1]), ETHERTYPE, &what);
	if (error)
		return fail(what, -error);
	puts("ready");
	fflush(stdout);
	error = run(&bypass, signals);
	return error ? error : print_counts(&bypass);
}
