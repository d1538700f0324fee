// SPDX-License-Identifier: GPL-2.0
/*
 * mcp_net.ko over a pair of devices: who may bind, the handshake, calls, and
 * everything that must be refused. mcp_net.ko and veth.ko are loaded before;
 * the last test unloads mcp_net.ko.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/keyctl.h>

#include "net_crypto.h"
#include "net_link.h"
#include "net_peer.h"

#define OURS	"mcp0"
#define THEIRS	"mcp1"
#define MTU	1500
#define MAX	(MTU - 72)
#define COUNT(name) MCP_NET_A_COUNTS_##name

struct lab {
	struct port client, server;
	__u8 name[MCP_NAME_SIZE];
	int handle, key, there;
	__u64 handle_id;
	struct net_peer peer;
	unsigned char our_mac[6];
};

static unsigned char secret[32];

/* ---- Keys ---------------------------------------------------------------- */

static int key_new(const char *type, size_t bytes)
{
	static int number;
	unsigned char payload[64];
	char name[32];
	long got;

	memset(payload, 0x5a, sizeof(payload));
	memcpy(secret, payload, sizeof(secret));
	snprintf(name, sizeof(name), "mcp:%d", ++number);
	got = syscall(SYS_add_key, type, name, payload, bytes, KEY_SPEC_SESSION_KEYRING);
	return got < 0 ? -errno : got;
}

static long key_control(int operation, long a, long b)
{
	long got = syscall(SYS_keyctl, operation, a, b, 0, 0);

	return got < 0 ? -errno : got;
}

/* ---- The lab ------------------------------------------------------------- */

static struct net_bind wish(const struct lab *lab)
{
	return (struct net_bind){ .ifindex = if_nametoindex(OURS), .handle = lab->handle,
				  .key = lab->key };
}

static int bind_plain(const struct lab *lab)
{
	struct net_bind bind = wish(lab);

	return net_bind(&bind);
}

static void devices_need(struct lab *lab)
{
	int here = space_here();

	if (veth_need(OURS, THEIRS, lab->there))
		skip_all("no pair of devices: is veth.ko loaded?");
	space_enter(lab->there);
	peer_need(&lab->peer, THEIRS);
	space_enter(here);
	close(here);
}

/* What the peer sends to: our device's address, as its own socket tells it. */
static void meet(struct lab *lab)
{
	struct net_peer other;

	peer_need(&other, OURS);
	memcpy(lab->our_mac, other.own, 6);
	memcpy(lab->peer.other, other.own, 6);
	close(other.socket);
	memcpy(lab->peer.key, secret, 32);
}

static void server_need(struct lab *lab, const char *suffix)
{
	test_name(lab->name, suffix);
	port_need(&lab->server, 256 << 10);
	serve_need(&lab->server, lab->name);
	lab->handle = open_handle(&lab->client, lab->name, ALL_RIGHTS, &lab->handle_id);
	if (lab->handle < 0)
		bail_out("no handle");
}

static __u64 counted(int which)
{
	struct net_state state;

	return net_get(&state) ? 0 : state.counts[which];
}

/* The work is not synchronous with the test. */
static bool becomes(int which, __u64 wanted)
{
	for (int i = 0; i < SOON / 10 && counted(which) < wanted; i++)
		sleep_ms(10);
	return counted(which) == wanted;
}

static bool unbound_soon(void)
{
	struct net_state state;

	for (int i = 0; i < SOON / 10; i++) {
		if (net_get(&state) == -ENOENT)
			return true;
		sleep_ms(10);
	}
	return false;
}

/* ---- The endpoint's side ------------------------------------------------- */

static bool server_next(struct lab *lab, struct mcp_frame *frame, int milliseconds)
{
	struct pollfd wait = { .fd = lab->server.fd, .events = POLLIN };

	return poll(&wait, 1, milliseconds) == 1 &&
	       read(lab->server.fd, frame, sizeof(*frame)) == sizeof(*frame);
}

static int server_say(struct lab *lab, struct mcp_frame frame)
{
	return write(lab->server.fd, &frame, sizeof(frame)) < 0 ? -errno : 0;
}

static const unsigned char *server_body(struct lab *lab, const struct mcp_frame *frame)
{
	return lab->server.arena + frame->slot + MCP_BODY_OFFSET;
}

static void server_release(struct lab *lab, const struct mcp_frame *frame)
{
	if (ioctl(lab->server.fd, MCP_IOC_RELEASE, frame->slot))
		bail_out("a slot is not released");
}

/* ---- The peer's side ----------------------------------------------------- */

static struct net_message request(__u64 cookie)
{
	return (struct net_message){ .kind = MCP_REQUEST, .tool = TOOL_READ, .cookie = cookie,
				     .credit = 2, .reserve = 256 };
}

/* One call there and back. */
static bool round_trip(struct lab *lab, __u64 cookie, size_t bytes)
{
	struct net_message ask = request(cookie), answer;
	unsigned char body[MAX];
	struct net_frame frame;
	struct mcp_frame got;
	size_t len;

	memset(body, cookie, sizeof(body));
	ask.reserve = bytes;
	peer_say(&lab->peer, &ask, body, bytes);
	if (!server_next(lab, &got, SOON) || got.envelope.kind != MCP_REQUEST ||
	    got.envelope.len != bytes || got.envelope.tool != TOOL_READ ||
	    got.envelope.sender != lab->handle_id ||
	    memcmp(server_body(lab, &got), body, bytes))
		return false;
	memset(body, ~cookie, sizeof(body));
	if (server_say(lab, frame_response(got.envelope.cookie, body, bytes)))
		return false;
	return peer_hear(&lab->peer, &answer, &frame, &len, SOON) && len == bytes &&
	       answer.kind == MCP_RESPONSE && !answer.flags && answer.cookie == cookie &&
	       !memcmp(frame.bytes + BODY_AT, body, bytes);
}

/* The next message is the kernel's word about that cookie. */
static bool refused(struct lab *lab, int kind, __u64 cookie, int error)
{
	struct net_message answer;
	struct net_frame frame;
	size_t len;

	if (!peer_hear(&lab->peer, &answer, &frame, &len, SOON))
		return false;
	if (answer.kind == kind && answer.flags == MCP_F_KERNEL && !len &&
	    (kind == MCP_NOTIFY ? answer.parent : answer.cookie) == cookie &&
	    (int)answer.status == error)
		return true;
	printf("# kind %d flags %d cookie %llu status %u\n", answer.kind, answer.flags,
	       (unsigned long long)answer.cookie, answer.status);
	return false;
}

static bool silent(struct lab *lab)
{
	struct net_frame frame;

	return !peer_frame(&lab->peer, DATA, &frame, NEVER);
}

/* ---- Who may bind what --------------------------------------------------- */

static int bind_in_child(void *argument)
{
	return -bind_plain(argument);
}

static int unbind_in_child(void *argument)
{
	(void)argument;
	return -net_unbind();
}

static int get_in_child(void *argument)
{
	struct net_state state;

	(void)argument;
	return -net_get(&state);
}

/* As root of a user namespace of one's own, in a network namespace of one's own. */
static int bind_in_own_space(void *argument)
{
	struct net_bind bind = wish(argument);

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 99;
	bind.ifindex = 1; /* lo: far enough to be told that it is no Ethernet */
	return -net_bind(&bind);
}

static void test_bind_refusals(struct lab *lab)
{
	static const unsigned char group[6] = { 1, 2, 3, 4, 5, 6 };
	struct net_bind bind;
	struct net_state state;
	int key;

	check_errno(net_get(&state), ENOENT, "get without a binding");
	check_errno(net_unbind(), ENOENT, "unbind without a binding");
	check(as_user(1000, 1000, 0, bind_in_child, lab) == EPERM, "bind without CAP_NET_ADMIN");
	check(as_user(1000, 1000, 0, unbind_in_child, lab) == EPERM, "unbind without it");
	check(as_user(1000, 1000, 0, get_in_child, lab) == ENOENT, "get needs none");
	check(in_child(bind_in_own_space, lab) == EOPNOTSUPP,
	      "the root of a namespace may bind a handle that it was given");

	bind = wish(lab);
	bind.ifindex = 9999;
	check_errno(net_bind(&bind), ENODEV, "a device that is not there");
	bind.ifindex = 1;
	check_errno(net_bind(&bind), EOPNOTSUPP, "lo is no Ethernet");
	bind.ifindex = 0;
	check_errno(net_bind(&bind), EINVAL, "no device named");
	bind = wish(lab);
	bind.no_handle = true;
	check_errno(net_bind(&bind), EINVAL, "no handle named");
	bind = wish(lab);
	bind.no_key = true;
	check_errno(net_bind(&bind), EINVAL, "no key named");
	bind = wish(lab);
	bind.handle = -1;
	check_errno(net_bind(&bind), EBADF, "no descriptor");
	bind.handle = lab->client.fd;
	check_errno(net_bind(&bind), EBADF, "a port is no handle");
	bind = wish(lab);
	bind.key = 0x7ffffff;
	check_errno(net_bind(&bind), ENOKEY, "a key that is not there");
	bind.key = key_new("user", 31);
	check_errno(net_bind(&bind), EKEYREJECTED, "a key of 31 bytes");
	bind.key = key_new("user", 33);
	check_errno(net_bind(&bind), EKEYREJECTED, "a key of 33 bytes");
	bind.key = KEY_SPEC_SESSION_KEYRING;
	check_errno(net_bind(&bind), EKEYREJECTED, "a keyring is no key");
	key = key_new("user", 32);
	key_control(KEYCTL_REVOKE, key, 0);
	bind.key = key;
	check_errno(net_bind(&bind), EKEYREVOKED, "a revoked key");
	bind = wish(lab);
	bind.peer = group;
	bind.peer_bytes = 6;
	check_errno(net_bind(&bind), EINVAL, "a group is no peer");
	bind.peer_bytes = 5;
	check_errno(net_bind(&bind), ERANGE, "an address of 5 bytes");
	bind = wish(lab);
	bind.frames = 15;
	check_errno(net_bind(&bind), ERANGE, "15 frames");
	bind.frames = MCP_NET_MAX_FRAMES + 1;
	check_errno(net_bind(&bind), ERANGE, "too many frames");
	bind = wish(lab);
	bind.seconds = 181;
	check_errno(net_bind(&bind), ERANGE, "181 seconds");
}

static void test_binding(struct lab *lab)
{
	struct net_state state;
	struct net_bind bind;

	peer_make_hello1(&lab->peer, 0);
	peer_send(&lab->peer, &lab->peer.hello1);
	check(!peer_take_hello2(&lab->peer, NEVER), "unbound: not a word");
	check_errno(bind_plain(lab), 0, "bind");
	check_errno(bind_plain(lab), EBUSY, "bind twice");
	check_errno(net_get(&state), 0, "get");
	check(state.ifindex == if_nametoindex(OURS) && !state.session && state.max_body == MAX &&
	      state.frames == MCP_NET_MAX_FRAMES && state.seconds == 180 &&
	      state.sender == lab->handle_id && !state.has_peer, "what get says");
	check_errno(net_unbind(), 0, "unbind");
	check_errno(net_get(&state), ENOENT, "and it is gone");
	bind = wish(lab);
	bind.key = key_new("logon", 32);
	bind.key = bind.key < 0 ? key_new("user", 32) : bind.key;
	bind.peer = lab->our_mac;
	bind.peer_bytes = 6;
	check_errno(net_bind(&bind), 0, "bind to one address");
	peer_send(&lab->peer, &lab->peer.hello1);
	check(becomes(COUNT(STRANGE), 1), "another address is not listened to");
	net_unbind();
}

/* ---- The handshake ------------------------------------------------------- */

static void test_handshake(struct lab *lab)
{
	struct net_frame confirm, old;
	struct net_state state;
	__u32 first;

	check_errno(bind_plain(lab), 0, "bind");
	lab->peer.key[0] ^= 1;
	peer_make_hello1(&lab->peer, 0);
	peer_send(&lab->peer, &lab->peer.hello1);
	check(becomes(COUNT(FORGED), 1) && !peer_take_hello2(&lab->peer, NEVER),
	      "another key: no answer");
	lab->peer.key[0] ^= 1;

	peer_make_hello1(&lab->peer, 0);
	peer_send(&lab->peer, &lab->peer.hello1);
	check(peer_take_hello2(&lab->peer, SOON), "HELLO2 proves the key and is fresh");
	check(!net_get(&state) && !state.session, "no session yet");
	peer_make_confirm(&lab->peer, &confirm);
	old = confirm;
	confirm.bytes[40] ^= 1;
	peer_send(&lab->peer, &confirm);
	check(becomes(COUNT(FORGED), 2), "a forged CONFIRM");
	peer_send(&lab->peer, &old);
	check(peer_take_confirm(&lab->peer, SOON), "CONFIRM is answered");
	check(lab->peer.limits[0] == MAX && lab->peer.limits[1] == 32 &&
	      lab->peer.limits[2] == MCP_NET_MAX_FRAMES && lab->peer.limits[3] == 180,
	      "with the limits");
	check(!net_get(&state) && state.session == lab->peer.their_id, "the session is live");
	first = state.session;
	peer_send(&lab->peer, &old);
	check(becomes(COUNT(STRANGE), 1), "a replayed CONFIRM is of no session");
	peer_send(&lab->peer, &lab->peer.hello1);
	check(peer_take_hello2(&lab->peer, SOON) == true, "a replayed HELLO1 gets fresh randomness");
	peer_send(&lab->peer, &old);
	sleep_ms(NEVER);
	check(!net_get(&state) && state.session == first, "which its replayer has no use of");
	net_unbind();
}

/* Every length of every type, and each field of the header. */
static void test_malformed(struct lab *lab)
{
	struct net_message message = request(1);
	struct net_frame frame, short_frame;
	__u64 wanted;

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	peer_make_data(&lab->peer, &frame, &message, NULL, 0);
	peer_seal(&lab->peer, &frame, 0);
	wanted = 0;
	for (size_t size = ETH; size < BODY_AT + 16; size++) {
		short_frame = frame;
		short_frame.size = size;
		peer_send(&lab->peer, &short_frame);
		wanted++;
	}
	check(becomes(COUNT(MALFORMED), wanted), "DATA cut at each length");
	for (int byte = 14; byte < 18; byte++) {
		short_frame = frame;
		short_frame.bytes[byte] ^= 0x40;
		peer_send(&lab->peer, &short_frame);
		wanted++;
	}
	check(becomes(COUNT(MALFORMED), wanted), "version, type and reserved bytes");
	short_frame = frame;
	memset(short_frame.bytes + 22, 0, 8);
	peer_send(&lab->peer, &short_frame);
	short_frame = lab->peer.hello1;
	short_frame.size++;
	peer_send(&lab->peer, &short_frame);
	short_frame = lab->peer.hello2;
	memcpy(short_frame.bytes, lab->our_mac, 6);
	memcpy(short_frame.bytes + 6, lab->peer.own, 6);
	peer_send(&lab->peer, &short_frame);
	check(becomes(COUNT(MALFORMED), wanted + 3),
	      "a counter of zero, a long HELLO1, and a HELLO2 to the one who sends them");
	check(round_trip(lab, 7, 10), "the session has not noticed");
	net_unbind();
}

static int their_mtu(const struct lab *lab, int mtu)
{
	int here = space_here(), error;

	space_enter(lab->there);
	error = mtu_set(THEIRS, mtu);
	space_enter(here);
	close(here);
	return error;
}

/* A pair of devices passes up to four bytes more than the receiver's MTU: room for a tag. */
static void test_larger_than_mtu(struct lab *lab)
{
	struct net_message message = request(1);
	unsigned char body[MAX + 4] = { 0 };

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	check_errno(their_mtu(lab, MTU + 100), 0, "the peer's device takes larger frames");
	for (size_t more = 1; more <= 4; more++)
		peer_say(&lab->peer, &message, body, MAX + more);
	check(becomes(COUNT(MALFORMED), 4) && counted(COUNT(RX)) == 1,
	      "frames above our MTU are none, though their peer has sealed them");
	check_errno(their_mtu(lab, MTU), 0, "as before");
	check(round_trip(lab, 2, MAX), "the largest that fits");
	net_unbind();
}

/* ---- Calls --------------------------------------------------------------- */

static void test_calls(struct lab *lab)
{
	struct net_message message = request(9), answer;
	unsigned char body[4096] = { 1 };
	struct net_frame frame;
	struct mcp_frame got;
	size_t len;

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	check(round_trip(lab, 1, 0), "a call without a body");
	check(round_trip(lab, 2, 100), "a call");
	check(round_trip(lab, 3, MAX), "a call of the largest body, both ways");

	/* Larger answers. */
	message.reserve = MAX + 1;
	peer_say(&lab->peer, &message, body, 1);
	check(refused(lab, MCP_RESPONSE, 9, EMSGSIZE), "an answer that no frame holds: EMSGSIZE");
	message.reserve = MAX;
	peer_say(&lab->peer, &message, body, 1);
	check(server_next(lab, &got, SOON), "a call");
	check_errno(server_say(lab, frame_response(got.envelope.cookie, body, 4096)), EMSGSIZE,
		    "the endpoint is told that its answer is too large");
	check_errno(server_say(lab, frame_response(got.envelope.cookie, body, MAX + 1)), 0,
		    "the space is rounded up, so this one is not");
	check(refused(lab, MCP_RESPONSE, 9, EMSGSIZE), "but the peer is");

	/* What the handle does not give. */
	message = request(10);
	message.tool = 500;
	peer_say(&lab->peer, &message, NULL, 0);
	check(refused(lab, MCP_RESPONSE, 10, EACCES), "a tool that is not there");
	message = request(11);
	message.tool = MCP_TOOL_ID_MAX + 1;
	peer_say(&lab->peer, &message, NULL, 0);
	check(refused(lab, MCP_RESPONSE, 11, EINVAL), "an id that no tool has");
	message = request(12);
	message.parent = 3;
	peer_say(&lab->peer, &message, NULL, 0);
	check(refused(lab, MCP_RESPONSE, 12, EOPNOTSUPP), "a request of the peer's with a parent");
	message = request(13);
	message.flags = 2;
	peer_say(&lab->peer, &message, NULL, 0);
	check(refused(lab, MCP_RESPONSE, 13, EINVAL), "a flag of the kernel's");

	/* A deadline. */
	message = request(14);
	message.timeout = 500;
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &got, SOON) && got.envelope.deadline, "a call with a timeout");
	check(refused(lab, MCP_RESPONSE, 14, ETIMEDOUT), "it ends in time");
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_CANCEL, "the endpoint knows");
	check_errno(server_say(lab, frame_response(got.envelope.cookie, NULL, 0)), ECANCELED,
		    "and answers in vain");

	/* Notifications, both ways; cancel; a repeated request. */
	message = request(15);
	peer_say(&lab->peer, &message, body, 3);
	check(server_next(lab, &got, SOON), "a call");
	peer_say(&lab->peer, &message, body, 3);
	check(becomes(COUNT(UNMAPPED), 1), "repeated while it is in flight: dropped");
	check_errno(server_say(lab, frame_notify(got.envelope.cookie, "abc", 3)), 0, "NOTIFY");
	check(peer_hear(&lab->peer, &answer, &frame, &len, SOON) && answer.kind == MCP_NOTIFY &&
	      answer.parent == 15 && len == 3 && !memcmp(frame.bytes + BODY_AT, "abc", 3),
	      "the peer has it");
	check_errno(server_say(lab, frame_notify(got.envelope.cookie, body, 4096)), 0,
		    "NOTIFY that no frame holds");
	check(refused(lab, MCP_NOTIFY, 15, EMSGSIZE), "the peer is told that there was one");
	message = (struct net_message){ .kind = MCP_NOTIFY, .parent = 15 };
	peer_say(&lab->peer, &message, "xy", 2);
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_NOTIFY &&
	      got.envelope.len == 2, "NOTIFY of the peer");
	server_release(lab, &got);
	message.credit = 1;
	peer_say(&lab->peer, &message, "xy", 2);
	check(refused(lab, MCP_NOTIFY, 15, EINVAL), "a malformed one comes back");
	message = (struct net_message){ .kind = MCP_NOTIFY, .parent = 99 };
	peer_say(&lab->peer, &message, "xy", 2);
	check(becomes(COUNT(UNMAPPED), 2), "NOTIFY of nothing");
	message = (struct net_message){ .kind = MCP_CANCEL, .cookie = 15 };
	peer_say(&lab->peer, &message, NULL, 0);
	check(refused(lab, MCP_RESPONSE, 15, ECANCELED), "CANCEL");
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_CANCEL, "the endpoint knows");
	check_errno(server_say(lab, frame_response(got.envelope.cookie, NULL, 0)), ECANCELED,
		    "and answers in vain");
	message = (struct net_message){ .kind = 9, .cookie = 1 };
	peer_say(&lab->peer, &message, NULL, 0);
	check(becomes(COUNT(MALFORMED), 1), "a kind that there is not");
	check(round_trip(lab, 15, 10), "its number may be used again");
	net_unbind();
}

static void test_nested(struct lab *lab)
{
	struct net_message message = request(20), asked;
	unsigned char body[4096] = { 0 };
	struct mcp_frame outer, got;
	struct net_frame frame;
	size_t len;

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &outer, SOON), "a call");
	got = frame_nested(outer.envelope.cookie, "who?", 4);
	got.envelope.reserve = 64;
	check_errno(server_say(lab, got), 0, "the endpoint asks inside it");
	check(peer_hear(&lab->peer, &asked, &frame, &len, SOON) && asked.kind == MCP_REQUEST &&
	      asked.parent == 20 && asked.cookie && len == 4, "the peer is asked");
	message = (struct net_message){ .kind = MCP_RESPONSE, .cookie = asked.cookie };
	peer_say(&lab->peer, &message, "me", 2);
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_RESPONSE &&
	      got.envelope.len == 2 && !memcmp(server_body(lab, &got), "me", 2), "its answer came");
	server_release(lab, &got);
	peer_say(&lab->peer, &message, "me", 2);
	check(refused(lab, MCP_RESPONSE, asked.cookie, ENOENT), "a second answer");
	got = frame_nested(outer.envelope.cookie, body, 4096);
	check_errno(server_say(lab, got), 0, "a question that no frame holds");
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_RESPONSE &&
	      got.envelope.flags == MCP_F_KERNEL && got.envelope.status == EMSGSIZE,
	      "is refused for the peer");
	server_release(lab, &got);
	got = frame_nested(outer.envelope.cookie, NULL, 0);
	check_errno(server_say(lab, got), 0, "one more question");
	check(peer_hear(&lab->peer, &asked, &frame, &len, SOON), "the peer is asked");
	check_errno(server_say(lab, frame_response(outer.envelope.cookie, "x", 1)), 0,
		    "the call ends first");
	check(peer_hear(&lab->peer, &message, &frame, &len, SOON) &&
	      (message.kind == MCP_RESPONSE || message.kind == MCP_CANCEL), "the peer hears");
	check(peer_hear(&lab->peer, &asked, &frame, &len, SOON) && asked.kind != message.kind &&
	      (asked.kind == MCP_RESPONSE || asked.kind == MCP_CANCEL),
	      "of the answer and of the question's end");
	check(server_next(lab, &got, SOON) && got.envelope.status == ECANCELED,
	      "so does the endpoint");
	server_release(lab, &got);
	check(round_trip(lab, 21, 10), "and all goes on");
	net_unbind();
}

static void test_inflight(struct lab *lab)
{
	struct mcp_frame got[32];
	int taken = 0;

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	for (__u64 i = 1; i <= 33; i++) {
		struct net_message message = request(i);

		peer_say(&lab->peer, &message, NULL, 0);
	}
	check(refused(lab, MCP_RESPONSE, 33, EDQUOT), "33 in flight");
	while (taken < 32 && server_next(lab, got + taken, SOON))
		taken++;
	check(taken == 32, "32 arrived");
	net_unbind();
	taken = 0;
	for (int i = 0; i < 32; i++) {
		struct mcp_frame cancel;

		if (server_next(lab, &cancel, SOON) && cancel.envelope.kind == MCP_CANCEL)
			taken++;
	}
	check(taken == 32, "unbind cancels all of them");
	for (int i = 0; i < 32; i++)
		server_say(lab, frame_response(got[i].envelope.cookie, NULL, 0));
	check(silent(lab), "and nothing is answered");
}

/* ---- What must be refused ------------------------------------------------ */

static void test_replay(struct lab *lab)
{
	struct net_message message = { .kind = MCP_CANCEL, .cookie = 77 };
	struct net_frame frames[4], frame;
	__u64 unmapped;

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	for (int i = 0; i < 4; i++) {
		peer_make_data(&lab->peer, frames + i, &message, NULL, 0);
		peer_seal(&lab->peer, frames + i, 0);
	}
	peer_send(&lab->peer, frames + 3);
	peer_send(&lab->peer, frames + 1);
	check(becomes(COUNT(UNMAPPED), 2), "frames out of order are taken");
	peer_send(&lab->peer, frames + 3);
	peer_send(&lab->peer, frames + 1);
	check(becomes(COUNT(REPLAYED), 2), "and once");
	/* 960 ahead of frame 1, whose counter is then just out of reach; not so 2. */
	lab->peer.sent = 960;
	peer_make_data(&lab->peer, &frame, &message, NULL, 0);
	peer_seal(&lab->peer, &frame, 0);
	peer_send(&lab->peer, &frame);
	check(becomes(COUNT(UNMAPPED), 3), "the window moves on");
	peer_send(&lab->peer, frames + 0);
	check(becomes(COUNT(REPLAYED), 3), "too old, though never seen");
	peer_send(&lab->peer, frames + 2);
	check(becomes(COUNT(UNMAPPED), 4), "old, and still within reach");
	/* A forged frame does not move it. */
	lab->peer.sent = 500000;
	peer_make_data(&lab->peer, &frame, &message, NULL, 0);
	peer_seal(&lab->peer, &frame, 0);
	frame.bytes[40] ^= 1;
	unmapped = counted(COUNT(UNMAPPED));
	peer_send(&lab->peer, &frame);
	check(becomes(COUNT(FORGED), 1), "a forged counter");
	lab->peer.sent = 961;
	check(round_trip(lab, 5, 10) && counted(COUNT(UNMAPPED)) == unmapped,
	      "has not moved the window");
	net_unbind();
}

static void test_tampering(struct lab *lab)
{
	struct net_message message = request(1), answer;
	struct net_frame frame, good, reflected;
	struct mcp_frame got;
	__u64 forged = 0;
	size_t len;

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	peer_make_data(&lab->peer, &good, &message, "body", 4);
	frame = good;
	peer_seal(&lab->peer, &frame, 1);
	peer_send(&lab->peer, &frame);
	check(becomes(COUNT(FORGED), ++forged), "sealed for the other direction");
	peer_seal(&lab->peer, &good, 0);
	for (size_t byte = 22; byte < good.size; byte++) {
		frame = good;
		frame.bytes[byte] ^= 0x02;
		/* A counter beyond the session's is told apart before. */
		if (byte >= 24 && byte < 30)
			continue;
		peer_send(&lab->peer, &frame);
		forged++;
		if (forged % 16 == 0 && !becomes(COUNT(FORGED), forged))
			break;
	}
	check(becomes(COUNT(FORGED), forged), "each byte of counter, text and tag");
	frame = good;
	frame.bytes[18] ^= 1;
	peer_send(&lab->peer, &frame);
	check(becomes(COUNT(STRANGE), 1), "another session");
	frame = good;
	frame.bytes[6] ^= 2;
	peer_send(&lab->peer, &frame);
	check(becomes(COUNT(STRANGE), 2), "another sender's address");
	frame = good;
	frame.bytes[5] ^= 2;
	peer_send(&lab->peer, &frame);
	memset(frame.bytes, 0xff, 6);
	peer_send(&lab->peer, &frame);
	check(!server_next(lab, &got, NEVER), "another receiver's address, and everybody's");

	check(round_trip(lab, 2, 10), "a call");
	message = request(3);
	message.tool = 500;
	peer_say(&lab->peer, &message, NULL, 0);
	check(peer_frame(&lab->peer, DATA, &reflected, SOON), "a frame of theirs");
	memcpy(reflected.bytes, lab->our_mac, 6);
	memcpy(reflected.bytes + 6, lab->peer.own, 6);
	peer_send(&lab->peer, &reflected);
	sleep_ms(NEVER);
	check(becomes(COUNT(STRANGE), counted(COUNT(STRANGE))), "reflected: of another session");
	memcpy(reflected.bytes + 18, &lab->peer.their_id, 4);
	reflected.bytes[23] ^= 1; /* a counter that was not used */
	peer_send(&lab->peer, &reflected);
	check(becomes(COUNT(FORGED), forged + 1), "and with the session's number: another key");
	peer_send(&lab->peer, &good);
	check(server_next(lab, &got, SOON), "the frame itself is good");
	server_say(lab, frame_response(got.envelope.cookie, NULL, 0));
	check(peer_hear(&lab->peer, &answer, &frame, &len, SOON) && answer.cookie == 1,
	      "and is answered");
	net_unbind();
}

static void test_sessions(struct lab *lab)
{
	struct net_message message = request(30), answer;
	struct net_bind bind = wish(lab);
	struct net_frame frame, old;
	struct mcp_frame got;
	struct net_peer first;
	size_t len;

	bind.frames = 16;
	check_errno(net_bind(&bind), 0, "bind for 16 frames");
	if (!check(peer_connect(&lab->peer, 0) && lab->peer.limits[2] == 16, "a session"))
		return;
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &got, SOON), "a call");
	lab->peer.sent = 14;
	message = (struct net_message){ .kind = MCP_CANCEL, .cookie = 77 };
	peer_say(&lab->peer, &message, NULL, 0);
	check(becomes(COUNT(UNMAPPED), 1), "counter 15 is the last");
	peer_say(&lab->peer, &message, NULL, 0);
	lab->peer.sent = ~0ull - 1;
	peer_say(&lab->peer, &message, NULL, 0);
	check(becomes(COUNT(EXPIRED), 2), "16 and 2^64 - 1 are not taken");
	first = lab->peer;

	/* Rekey: the call goes on. */
	check(peer_connect(&lab->peer, first.their_id), "a handshake that continues the session");
	first.sent = 1;
	peer_make_data(&first, &old, &message, NULL, 0);
	peer_seal(&first, &old, 0);
	peer_send(&lab->peer, &old);
	check(becomes(COUNT(STRANGE), 1), "a frame of the old session");
	check(memcmp(first.tx_key, lab->peer.tx_key, 32), "the keys are others");
	check_errno(server_say(lab, frame_response(got.envelope.cookie, "ok", 2)), 0, "the answer");
	check(peer_hear(&lab->peer, &answer, &frame, &len, SOON) && answer.cookie == 30 &&
	      !answer.flags, "comes under the new keys");

	/* Our frames are limited too: 15 answers, the next one after a rekey. */
	for (__u64 i = 1; i <= 14; i++)
		if (!round_trip(lab, i, 1))
			check(false, "call %llu of a session", (unsigned long long)i);
	message = request(40);
	lab->peer.sent = 14;
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &got, SOON) &&
	      !server_say(lab, frame_response(got.envelope.cookie, "last", 4)) && silent(lab),
	      "an answer waits when the frames are used up");
	check(peer_connect(&lab->peer, lab->peer.their_id) &&
	      peer_hear(&lab->peer, &answer, &frame, &len, SOON) && answer.cookie == 40,
	      "and comes with the next session");

	/* "Reboot": the peer knows nothing of its calls. */
	message = request(50);
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &got, SOON), "a call");
	check(peer_connect(&lab->peer, 0), "a new session");
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_CANCEL,
	      "the call of the old one is cancelled");
	server_say(lab, frame_response(got.envelope.cookie, NULL, 0));
	check(silent(lab) && round_trip(lab, 50, 5), "and its number is free");
	net_unbind();

	/* Our side is bound anew: nothing of the old sessions is known. */
	bind_plain(lab);
	peer_say(&lab->peer, &message, NULL, 0);
	check(becomes(COUNT(STRANGE), 1), "a session of before");
	net_unbind();

	/* Time. */
	bind = wish(lab);
	bind.seconds = 1;
	net_bind(&bind);
	check(peer_connect(&lab->peer, 0) && lab->peer.limits[3] == 1, "a session of a second");
	message = request(60);
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &got, SOON), "a call");
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_CANCEL,
	      "is cancelled when the session is over");
	server_say(lab, frame_response(got.envelope.cookie, NULL, 0));
	net_unbind();
}

static void test_flood(struct lab *lab)
{
	struct net_message message = request(1);
	struct net_state state;
	struct net_frame frame;
	__u64 sum, start, overflown;

	start = now_ns();
	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	for (int i = 0; i < 200; i++)
		peer_send(&lab->peer, &lab->peer.hello1);
	sleep_ms(100);
	check(!net_get(&state), "get");
	/* 16 at once, 2 of which were ours, and 16 a second: on a slow machine that is more. */
	sum = state.counts[COUNT(LIMITED)] + state.counts[COUNT(OVERFLOW)];
	check(sum + 16 + 16 * (now_ns() - start) / 1000000000 >= 200, "a flood of HELLO1 is limited");
	peer_drain(&lab->peer);
	check(round_trip(lab, 1, 10), "the session goes on");
	overflown = counted(COUNT(OVERFLOW));
	peer_make_data(&lab->peer, &frame, &message, NULL, 0);
	peer_seal(&lab->peer, &frame, 0);
	frame.bytes[50] ^= 1;
	for (int i = 0; i < 3000; i++)
		peer_send(&lab->peer, &frame);
	sleep_ms(200);
	check(!net_get(&state), "get");
	sum = state.counts[COUNT(FORGED)] + state.counts[COUNT(OVERFLOW)];
	sum -= overflown;
	check(sum == 3000, "a flood of forged DATA: looked at, or dropped");
	check(round_trip(lab, 2, 10), "the session goes on");
	net_unbind();
}

/* ---- How a binding ends -------------------------------------------------- */

static void test_endings(struct lab *lab)
{
	struct net_message message = request(1);
	struct net_state state;
	struct net_bind bind = wish(lab);
	struct mcp_frame got;
	int space, here, key;

	bind_plain(lab);
	if (!check(peer_connect(&lab->peer, 0), "a session"))
		return;
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &got, SOON), "a call");
	check_errno(revoke(&lab->server, -1, lab->handle_id), 0, "the handle is revoked");
	check(unbound_soon(), "and the binding is gone");
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_CANCEL, "so is the call");
	server_say(lab, frame_response(got.envelope.cookie, NULL, 0));
	check_errno(bind_plain(lab), EKEYREVOKED, "bind a revoked handle");
	close(lab->handle);
	lab->handle = open_handle(&lab->client, lab->name, ALL_RIGHTS, &lab->handle_id);

	key = key_new("user", 32);
	bind = wish(lab);
	bind.key = key;
	check_errno(net_bind(&bind), 0, "bind");
	check(peer_connect(&lab->peer, 0) && round_trip(lab, 1, 4), "a session");
	key_control(KEYCTL_REVOKE, key, 0);
	peer_say(&lab->peer, &message, NULL, 0);
	check(becomes(COUNT(STRANGE), 1) && !net_get(&state) && !state.session,
	      "a revoked key ends the session");
	peer_make_hello1(&lab->peer, 0);
	peer_send(&lab->peer, &lab->peer.hello1);
	check(becomes(COUNT(EXPIRED), 1), "and there is no other");
	net_unbind();

	/* The device, with its namespace, and with the endpoint's end. */
	bind_plain(lab);
	check(peer_connect(&lab->peer, 0), "a session");
	check_errno(veth_delete(OURS), 0, "the device goes");
	check_errno(net_get(&state), ENOENT, "and the binding with it");
	close(lab->peer.socket);
	here = space_here();
	space = space_new();
	space_enter(space);
	if (veth_need(OURS, THEIRS, here))
		bail_out("no devices");
	bind = wish(lab);
	check_errno(net_bind(&bind), 0, "bind in another namespace");
	space_enter(here);
	check_errno(net_get(&state), ENOENT, "which the first one does not see");
	close(space);
	for (int i = 0; i < SOON / 10 && if_nametoindex(THEIRS); i++)
		sleep_ms(10);
	check(!if_nametoindex(THEIRS), "a namespace goes with its binding");
	close(here);
	devices_need(lab);
	meet(lab);
	check_errno(bind_plain(lab), 0, "bind");
	check(peer_connect(&lab->peer, 0) && round_trip(lab, 1, 1), "a session");
	port_close(&lab->server);
	check(unbound_soon(), "the endpoint goes, and the binding with it");
	check_errno(bind_plain(lab), EPIPE, "bind a handle to nothing");
	close(lab->handle);
}

static void test_unload(struct lab *lab)
{
	struct mcp_frame got;
	struct net_message message = request(1);

	server_need(lab, "unload");
	check_errno(bind_plain(lab), 0, "bind");
	check(peer_connect(&lab->peer, 0), "a session");
	peer_say(&lab->peer, &message, NULL, 0);
	check(server_next(lab, &got, SOON), "a call");
	check(syscall(SYS_delete_module, "mcp", O_NONBLOCK) == -1, "mcp.ko stays while it is used");
	check_errno(syscall(SYS_delete_module, "mcp_net", O_NONBLOCK) ? -errno : 0, 0,
		    "mcp_net.ko goes, though it is bound");
	check(!net_family(), "the family is gone");
	check(server_next(lab, &got, SOON) && got.envelope.kind == MCP_CANCEL,
	      "the call was cancelled");
}

int main(void)
{
	struct lab lab = { 0 };

	test_begin();
	check(net_crypto_good(), "the examples of RFC 7693 and RFC 8439");
	if (!net_family())
		skip_all("mcp_net.ko is not loaded");
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		bail_out("no session keyring");
	lab.key = key_new("user", 32);
	if (lab.key < 0)
		bail_out("no key");
	space_enter(space_new());
	lab.there = space_new();
	devices_need(&lab);
	meet(&lab);
	port_need(&lab.client, 64 << 10);
	server_need(&lab, "net");

	test_bind_refusals(&lab);
	test_binding(&lab);
	test_handshake(&lab);
	test_malformed(&lab);
	test_larger_than_mtu(&lab);
	test_calls(&lab);
	test_nested(&lab);
	test_inflight(&lab);
	test_replay(&lab);
	test_tampering(&lab);
	test_sessions(&lab);
	test_flood(&lab);
	test_endings(&lab);
	test_unload(&lab);
	return test_end();
}
