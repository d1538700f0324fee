// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-bypass (mcp/bench/bypass) over a pair of devices: the same peer as
 * net_test's gets the same answers past the kernel's network, and what is not
 * the peer's gets none. veth.ko is loaded before; mcp_net.ko must not be.
 * mcp-bypass is found in PATH, or is the first argument.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net_crypto.h"
#include "net_link.h"
#include "net_peer.h"
#include "net_program.h"

#define OURS	"mcp0"
#define THEIRS	"mcp1"
#define MAX	(1500 - 72)
#define FLOOD	320

static const char *program = "mcp-bypass";
static const unsigned char secret[33] = { 7, 7, 7 };

/* ---- The program --------------------------------------------------------- */

/* In the order in which it prints them. */
struct counts {
	unsigned long long messages, handshakes, malformed, strange, limited, forged, replayed,
		expired, answered, refused, unsupported, lost;
};

/* Returns whether it says that it is ready. */
static bool start(struct program *run, const char *device, const char *endpoint, size_t key_bytes)
{
	char *const words[] = { (char *)program, (char *)device, (char *)endpoint, NULL };

	program_start(run, words, secret, key_bytes);
	return program_says(run, "ready\n");
}

/* Its exit status; the counters if that is 0. */
static int stop(struct program *run, struct counts *counts)
{
	static const char *const names[] = { "messages", "handshakes", "malformed", "strange",
					     "limited", "forged", "replayed", "expired",
					     "answered", "refused", "unsupported", "lost" };
	unsigned long long *value = (unsigned long long *)counts;
	char name[16];

	_Static_assert(sizeof(*counts) == ARRAY_SIZE(names) * sizeof(*value),
		       "a name for each");
	kill(run->pid, SIGTERM);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (fscanf(run->said, "%15s %llu", name, value + i) != 2 || strcmp(name, names[i]))
			value[i] = ~0ull;
	return program_end(run);
}

static void refuses(const char *device, const char *endpoint, size_t key_bytes, int wanted,
		    const char *why)
{
	struct counts counts;
	struct program run;
	bool ready = start(&run, device, endpoint, key_bytes);

	check(stop(&run, &counts) == wanted && !ready, "%s: status %d", why, wanted);
}

/* ---- The lab ------------------------------------------------------------- */

struct lab {
	struct port server;
	__u8 name[MCP_NAME_SIZE];
	struct net_peer peer;
	struct program run;
	int ours, other;	/* packet sockets on our device, of both EtherTypes */
	unsigned int calls;	/* that were answered */
};

static bool next(struct lab *lab, struct mcp_frame *frame, int milliseconds)
{
	struct pollfd wait = { .fd = lab->server.fd, .events = POLLIN };

	return poll(&wait, 1, milliseconds) == 1 &&
	       read(lab->server.fd, frame, sizeof(*frame)) == sizeof(*frame);
}

static struct net_message request(__u64 cookie, size_t reserve)
{
	return (struct net_message){ .kind = MCP_REQUEST, .tool = TOOL_READ, .cookie = cookie,
				     .reserve = reserve };
}

/*
 * One call there and back, with a body that depends on its cookie. What was sent
 * before it has been looked at by then.
 */
static bool round_trip(struct lab *lab, __u64 cookie, size_t bytes)
{
	struct net_message ask = request(cookie, bytes), answer;
	struct mcp_peer caller = { .size = sizeof(caller) };
	unsigned char body[MAX];
	struct mcp_frame got;
	struct net_frame frame;
	size_t len;

	memset(body, cookie, sizeof(body));
	peer_say(&lab->peer, &ask, body, bytes);
	if (!next(lab, &got, SOON) || got.envelope.kind != MCP_REQUEST ||
	    got.envelope.len != bytes ||
	    memcmp(lab->server.arena + got.slot + MCP_BODY_OFFSET, body, bytes))
		return false;
	caller.cookie = got.envelope.cookie;
	if (call(lab->server.fd, MCP_IOC_PEER, &caller) || (pid_t)caller.pid != lab->run.pid ||
	    caller.rights != MCP_RIGHT_READ)
		return false;
	memset(body, ~cookie, sizeof(body));
	got = frame_response(got.envelope.cookie, body, bytes);
	if (write(lab->server.fd, &got, sizeof(got)) != sizeof(got))
		return false;
	lab->calls++;
	return peer_hear(&lab->peer, &answer, &frame, &len, SOON) && len == bytes &&
	       answer.kind == MCP_RESPONSE && !answer.flags && answer.cookie == cookie &&
	       !memcmp(frame.bytes + BODY_AT, body, bytes);
}

static bool refused(struct lab *lab, const struct net_message *message, int error)
{
	struct net_message answer;
	struct net_frame frame;
	size_t len;

	peer_say(&lab->peer, message, NULL, 0);
	return peer_hear(&lab->peer, &answer, &frame, &len, SOON) && !len &&
	       answer.kind == MCP_RESPONSE && answer.flags == MCP_F_KERNEL &&
	       answer.cookie == message->cookie && (int)answer.status == error;
}

/* Neither the endpoint nor the peer has anything. */
static bool silent(struct lab *lab)
{
	struct net_frame frame;
	struct mcp_frame got;

	return !next(lab, &got, NEVER) && !peer_frame(&lab->peer, DATA, &frame, NEVER);
}

static void lab_need(struct lab *lab)
{
	int here, there;
	struct net_peer other;

	space_enter(space_new());
	here = space_here();
	there = space_new();
	if (veth_need(OURS, THEIRS, there))
		skip_all("no pair of devices: is veth.ko loaded?");
	space_enter(there);
	peer_need(&lab->peer, THEIRS);
	space_enter(here);
	peer_need(&other, OURS);
	memcpy(lab->peer.other, other.own, 6);
	close(other.socket);
	memcpy(lab->peer.key, secret, 32);
	lab->ours = packet_need(OURS, 0xfaf0);
	lab->other = packet_need(OURS, ANOTHER);
	test_name(lab->name, "bypass");
	port_need(&lab->server, 64 << 10);
	serve_need(&lab->server, lab->name);
}

/* ---- Tests --------------------------------------------------------------- */

static void test_calls(struct lab *lab)
{
	struct net_message message;

	check(peer_connect(&lab->peer, 0), "a session");
	check(lab->peer.limits[0] == MAX && lab->peer.limits[1] == 1 &&
	      lab->peer.limits[2] == 1 << 20 && lab->peer.limits[3] == 180, "with its limits");
	check(round_trip(lab, 1, 0), "a call, by the program's own handle");
	check(round_trip(lab, 2, 100), "one with a body");
	check(round_trip(lab, 3, MAX), "one with the largest");
	for (__u64 i = 0; i < 200; i++)
		if (!round_trip(lab, 100 + i, i))
			bail_out("one of 200 calls has failed");
	check(!packet_count(lab->ours), "the kernel's network has not seen one frame");
	message = request(4, 0);
	message.tool = TOOL_WRITE;
	check(refused(lab, &message, EACCES), "a tool that the handle may not call");
	message = request(5, MAX + 1);
	check(refused(lab, &message, EMSGSIZE), "an answer that no frame holds");
	message = request(6, 0);
	message.parent = 1;
	check(refused(lab, &message, EOPNOTSUPP), "a request with a parent");
	message = request(7, 0);
	message.timeout = 100;
	check(refused(lab, &message, ETIMEDOUT), "a call that nobody answers ends in time");
}

/* Returns how many bytes of the frame were changed. */
static unsigned int test_forged(struct lab *lab)
{
	struct net_message message = request(20, 64);
	struct net_frame good, bad, confirm;
	unsigned int changed = 0;
	bool goes_on = true;
	struct mcp_frame got;

	/* Its caller is told first, and may be heard before it is taken from the queue. */
	sleep_ms(NEVER);
	check(!next(lab, &got, NEVER), "nothing is left of it");
	peer_make_data(&lab->peer, &good, &message, "body", 4);
	bad = good;
	peer_seal(&lab->peer, &bad, 1);
	peer_send(&lab->peer, &bad);
	changed++;
	peer_seal(&lab->peer, &good, 0);
	/* The counter: its two lowest bytes; above, it is beyond the session's. */
	for (size_t byte = 22; byte < good.size; byte++) {
		if (byte >= 24 && byte < 30)
			continue;
		bad = good;
		bad.bytes[byte] ^= 0x02;
		peer_send(&lab->peer, &bad);
		changed++;
		/* Fewer than the ring holds are under way. */
		if (changed % 16 == 0)
			goes_on = goes_on && round_trip(lab, 21, 10);
	}
	check(goes_on && silent(lab), "frames with one byte changed get no answer");
	peer_send(&lab->peer, &good);
	check(next(lab, &got, SOON), "the good one is a call, all the same");
	lab->calls++;
	got = frame_response(got.envelope.cookie, NULL, 0);
	check(write(lab->server.fd, &got, sizeof(got)) == sizeof(got) &&
	      peer_frame(&lab->peer, DATA, &bad, SOON), "and answered");
	peer_send(&lab->peer, &good);
	check(silent(lab), "replayed, it is neither");
	peer_make_data(&lab->peer, &bad, &message, NULL, 0);
	bad.size -= 20;
	peer_seal(&lab->peer, &bad, 0);
	peer_send(&lab->peer, &bad);
	check(silent(lab), "nor is one that is too short");
	peer_make_hello1(&lab->peer, 0);
	lab->peer.hello1.bytes[40] ^= 1;
	peer_send(&lab->peer, &lab->peer.hello1);
	check(!peer_take_hello2(&lab->peer, NEVER), "a forged HELLO1");
	peer_make_hello1(&lab->peer, 0);
	peer_send(&lab->peer, &lab->peer.hello1);
	check(peer_take_hello2(&lab->peer, SOON), "HELLO2");
	peer_make_confirm(&lab->peer, &confirm);
	confirm.bytes[50] ^= 1;
	peer_send(&lab->peer, &confirm);
	check(!peer_take_confirm(&lab->peer, NEVER), "a forged CONFIRM");
	return changed + 2;
}

/* Returns how many handshakes must have been too many. */
static unsigned int test_sessions(struct lab *lab)
{
	struct net_message message = request(30, 0);
	struct net_frame old;
	__u64 start, looked_at;
	bool goes_on = true;

	check(peer_connect(&lab->peer, 0), "a session");
	peer_make_data(&lab->peer, &old, &message, NULL, 0);
	peer_seal(&lab->peer, &old, 0);
	check(peer_connect(&lab->peer, lab->peer.their_id), "and its successor");
	peer_send(&lab->peer, &old);
	check(silent(lab), "a frame of the one before");
	/* The window: as in net_test. */
	message = (struct net_message){ .kind = MCP_CANCEL, .cookie = 77 };
	for (__u64 sent = 0; sent < 3; sent++) {
		static const __u64 counters[3] = { 960, 0, 1 };

		lab->peer.sent = counters[sent];
		peer_say(&lab->peer, &message, NULL, 0);
	}
	lab->peer.sent = (1 << 20) - 1;
	peer_say(&lab->peer, &message, NULL, 0);
	lab->peer.sent = 1000;
	check(round_trip(lab, 31, 10), "all goes on");
	start = now_ns();
	for (int i = 1; i <= FLOOD; i++) {
		peer_send(&lab->peer, &lab->peer.hello1);
		if (i % 16 == 0)
			goes_on = goes_on && round_trip(lab, 32, 10);
	}
	check(goes_on, "through a flood of HELLO1, too");
	/* 16 at once, and 16 a second: on a slow machine that is more. */
	looked_at = 16 + 16 * (now_ns() - start) / 1000000000;
	return looked_at < FLOOD ? FLOOD - looked_at : 0;
}

static void test_others(struct lab *lab)
{
	struct net_frame frame = { .size = 60 };

	memcpy(frame.bytes, lab->peer.other, 6);
	memcpy(frame.bytes + 6, lab->peer.own, 6);
	frame.bytes[12] = ANOTHER >> 8;
	frame.bytes[13] = ANOTHER & 0xff;
	peer_send(&lab->peer, &frame);
	check(packet_count(lab->other) == 1, "another EtherType is the kernel's");
	check(!packet_count(lab->ours), "and ours still is not");
}

int main(int argc, char **argv)
{
	struct lab lab = { 0 };
	struct counts counts;
	unsigned int forged, limited;

	test_begin();
	if (argc > 1)
		program = argv[1];
	if (net_family())
		skip_all("mcp_net.ko is loaded");
	if (!program_found(program))
		skip_all("mcp-bypass is not here");
	check(net_crypto_good(), "the examples of RFC 7693 and RFC 8439");
	lab_need(&lab);
	refuses(OURS, (char *)lab.name, 31, 2, "a key of 31 bytes");
	refuses(OURS, (char *)lab.name, 33, 2, "a key of 33 bytes");
	refuses("nothing0", (char *)lab.name, 32, 1, "no such device");
	refuses(OURS, "nobody.here", 32, 1, "no such endpoint");
	peer_make_hello1(&lab.peer, 0);
	peer_send(&lab.peer, &lab.peer.hello1);
	check(!peer_take_hello2(&lab.peer, NEVER) && packet_count(lab.ours) == 1,
	      "without the program: no answer, and the kernel sees the frame");
	check(start(&lab.run, OURS, (char *)lab.name, 32), "with it");
	test_calls(&lab);
	forged = test_forged(&lab);
	limited = test_sessions(&lab);
	test_others(&lab);
	check(!stop(&lab.run, &counts), "it ends when it is told to");
	/* HELLO1 and CONFIRM of three sessions, HELLO1 of one that failed, and the flood's. */
	check(counts.handshakes + counts.limited == 7 + FLOOD && counts.limited >= limited,
	      "%llu handshakes, %llu too many", counts.handshakes, counts.limited);
	check(counts.forged == forged, "%llu forged", counts.forged);
	check(counts.replayed == 2 && counts.expired == 1 && counts.strange == 1,
	      "%llu replayed, %llu expired, %llu strange", counts.replayed, counts.expired,
	      counts.strange);
	check(counts.malformed == 1 && counts.unsupported == 2 && !counts.lost,
	      "%llu malformed, %llu unsupported, %llu lost", counts.malformed, counts.unsupported,
	      counts.lost);
	check(counts.answered == lab.calls && counts.refused == 4 &&
	      counts.messages == counts.answered + counts.refused + counts.unsupported,
	      "%llu answered, %llu refused", counts.answered, counts.refused);
	peer_send(&lab.peer, &lab.peer.hello1);
	check(packet_count(lab.ours) == 1, "and the device is the kernel's again");
	return test_end();
}
