// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_net.ko: its bindings, and a peer that speaks to them, well and
 * badly. What frames cause is done by a softirq and a work, whose trace is that
 * of the thread that has sent the frame and made the binding.
 * Context: user space; a namespace of this process has the binding, another the
 *	    peer.
 * Locking: one operation at a time, handed over by two semaphores.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/keyctl.h>

#include "net_link.h"
#include "net_peer.h"
#include "world.h"

#define OURS	"kcov0"
#define THEIRS	"kcov1"
/* An answer comes in less, or not at all. */
#define ANSWER_MS 60
#define LISTEN_MS 4

struct wire {
	pthread_t thread;
	struct trace trace;
	sem_t given, done;
	struct world *world;
	const struct op *op;	/* NULL: the end of a sequence */

	struct genl genl;	/* the family mcp-net, in the namespace of the binding */
	struct net_peer peer;
	struct net_frame last;
	__u32 ifindex;
	__s32 key;
	bool bound, live;
	__u64 cookies;		/* how many the peer has used */
	__u64 asked;		/* the last that the endpoint asked with */
};

/* ---- The family ---------------------------------------------------------- */

static long ask(struct wire *wire)
{
	return world_count(wire->world, ENTRY_NETLINK, genl_ask(&wire->genl));
}

static void bind_one(struct wire *wire, const struct op *op)
{
	struct genl *genl = &wire->genl;
	__s32 handle = world_handle(wire->world, op);
	__u32 frames = 16 + (op->x >> 4) % 100, seconds = 1 + (op->x >> 12) % 180;

	genl_begin(genl, MCP_NET_CMD_BIND, NLM_F_ACK);
	genl_put_u32(genl, MCP_NET_A_BIND_IFINDEX, wire->ifindex);
	genl_put(genl, MCP_NET_A_BIND_HANDLE, &handle, 4);
	genl_put(genl, MCP_NET_A_BIND_KEY, &wire->key, 4);
	if (op->x & 1)
		genl_put(genl, MCP_NET_A_BIND_PEER, wire->peer.own, 6);
	if (op->x & 2)
		genl_put_u32(genl, MCP_NET_A_BIND_FRAMES, frames);
	if (op->x & 4)
		genl_put_u32(genl, MCP_NET_A_BIND_SECONDS, seconds);
	if (op->change & 0x100)
		change_bytes(genl->request + NLMSG_HDRLEN, genl->used - NLMSG_HDRLEN, op->change);
	if (ask(wire) >= 0)
		wire->bound = true;
}

static void unbind(struct wire *wire)
{
	genl_begin(&wire->genl, MCP_NET_CMD_UNBIND, NLM_F_ACK);
	ask(wire);
	wire->bound = wire->live = false;
}

static void binding(struct wire *wire, const struct op *op)
{
	genl_begin(&wire->genl, MCP_NET_CMD_GET, 0);
	if (op->change & 0x100)
		change_bytes(wire->genl.request + NLMSG_HDRLEN, wire->genl.used - NLMSG_HDRLEN,
			     op->change);
	ask(wire);
}

/* ---- Frames -------------------------------------------------------------- */

static void transmit(struct wire *wire, const struct net_frame *frame)
{
	ssize_t sent = send(wire->peer.socket, frame->bytes, frame->size, 0);

	wire->last = *frame;
	world_count(wire->world, ENTRY_FRAME, sent < 0 ? -errno : 0);
}

/* As a stranger on the link would: the addresses stay, so that it gets there. */
static void spoil(struct net_frame *frame, __u32 change)
{
	if (change & 0x100000)
		frame->size -= (change >> 4) % (frame->size - ETH);
	else
		change_bytes(frame->bytes + ETH, frame->size - ETH, change);
}

static void hello(struct wire *wire, const struct op *op)
{
	struct net_peer *peer = &wire->peer;
	struct net_frame confirm;

	peer_drain(peer);
	peer_make_hello1(peer, wire->live && op->x & 1 ? peer->their_id : 0);
	if (op->change && op->x & 2)
		spoil(&peer->hello1, op->change);
	transmit(wire, &peer->hello1);
	if (!peer_take_hello2(peer, ANSWER_MS))
		return;
	peer_make_confirm(peer, &confirm);
	if (op->change)
		spoil(&confirm, op->change);
	transmit(wire, &confirm);
	wire->live |= peer_take_confirm(peer, ANSWER_MS);
}

/* What came back: the cookie of a nested request is what an answer names. */
static void listen_to(struct wire *wire)
{
	struct net_message message;
	struct net_frame frame;
	size_t len;

	while (peer_hear(&wire->peer, &message, &frame, &len, LISTEN_MS))
		if (message.kind == MCP_REQUEST)
			wire->asked = message.cookie;
}

static void say(struct wire *wire, const struct op *op)
{
	static const unsigned char body[2048];
	struct net_message message = { 0 };
	struct net_frame frame;
	size_t len = op->x % 4 ? (op->x >> 2) % 200 : (op->x >> 2) % 1429;

	switch (op->y % 8) {
	case 5:
		message.kind = MCP_RESPONSE;
		message.cookie = wire->asked;
		break;
	case 6:
		message.kind = MCP_NOTIFY;
		message.parent = 1 + (op->y >> 8) % (wire->cookies ?: 1);
		break;
	case 7:
		message.kind = MCP_CANCEL;
		message.cookie = 1 + (op->y >> 8) % (wire->cookies ?: 1);
		len = 0;
		break;
	default:
		message.kind = MCP_REQUEST;
		message.cookie = ++wire->cookies;
		message.tool = (op->y >> 8) % 4;
		message.credit = (op->y >> 10) % 3;
		message.timeout = (op->y >> 12) % 4 == 1 ? 1 + (op->y >> 14) % 8 : 0;
		message.reserve = (op->y >> 17) % 1500;
	}
	/* A peer that has the key and means ill; then one that has not. */
	if (op->change & 0x200000)
		change_bytes(&message, sizeof(message), op->change);
	peer_make_data(&wire->peer, &frame, &message, body, len);
	if (op->change & 0x400000)
		change_bytes(frame.bytes + ETH, 16, op->change);
	peer_seal(&wire->peer, &frame, op->change >> 24 == 1);
	if (op->change & 0x800000)
		spoil(&frame, op->change);
	transmit(wire, &frame);
	listen_to(wire);
}

/* The last frame again, or something else of our EtherType. */
static void frame_again(struct wire *wire, const struct op *op)
{
	struct net_frame frame = wire->last;

	if (!frame.size)
		return;
	if (op->x & 1)
		spoil(&frame, op->change ?: op->y);
	if (op->x % 16 == 2)
		frame.bytes[op->y % 12] ^= 1 << op->y / 12 % 8;	/* an address */
	for (unsigned int left = 1 + (op->x >> 8) % 3; left; left--)
		transmit(wire, &frame);
	listen_to(wire);
}

/* ---- The thread ---------------------------------------------------------- */

static void one_op(struct wire *wire, const struct op *op)
{
	switch (op->code) {
	case OP_BIND:
		return bind_one(wire, op);
	case OP_UNBIND:
		return unbind(wire);
	case OP_BINDING:
		return binding(wire, op);
	case OP_HELLO:
		return hello(wire, op);
	case OP_SAY:
		return say(wire, op);
	case OP_FRAME:
		return frame_again(wire, op);
	}
}

static void clear(struct wire *wire)
{
	if (wire->bound)
		unbind(wire);
	peer_drain(&wire->peer);
	wire->last.size = 0;
	wire->cookies = wire->asked = 0;
}

static void *serve(void *argument)
{
	struct wire *wire = argument;

	if (trace_others(&wire->trace))
		bail_out("a trace of others");
	for (;;) {
		sem_wait(&wire->given);
		if (wire->op)
			one_op(wire, wire->op);
		else
			clear(wire);
		sem_post(&wire->done);
	}
	return NULL;
}

static void hand_over(struct world *world, const struct op *op)
{
	struct wire *wire = world->wire;

	wire->world = world;
	wire->op = op;
	sem_post(&wire->given);
	while (sem_wait(&wire->done) && errno == EINTR)
		;
}

void wire_do(struct world *world, const struct op *op)
{
	bool asks = op->code == OP_BIND || op->code == OP_UNBIND || op->code == OP_BINDING;

	/* What the family does itself is this thread's to trace; what a binding does, the other's. */
	world->wire->world = world;
	if (asks && op->x & 8)
		one_op(world->wire, op);
	else
		hand_over(world, op);
}

void wire_clear(struct world *world)
{
	if (world->wire->bound || world->wire->last.size)
		hand_over(world, NULL);
}

const struct trace *wire_trace(const struct wire *wire)
{
	return &wire->trace;
}

/* ---- The lab ------------------------------------------------------------- */

static void family_need(struct genl *genl)
{
	const struct nlmsghdr *message = (const void *)genl->answer;

	genl->fd = fcntl(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), F_DUPFD_CLOEXEC, KEEP_ABOVE);
	genl->family = GENL_ID_CTRL;
	genl_begin(genl, CTRL_CMD_GETFAMILY, 0);
	genl_put(genl, CTRL_ATTR_FAMILY_NAME, MCP_NET_FAMILY_NAME, sizeof(MCP_NET_FAMILY_NAME));
	if (genl_ask(genl) < 0)
		bail_out("no family mcp-net");
	genl->family = genl_number(message, CTRL_ATTR_FAMILY_ID);
}

struct wire *wire_need(int above)
{
	struct wire *wire = calloc(1, sizeof(*wire));
	int here = space_here(), ours = space_new(), theirs = space_new();
	struct net_peer other;

	if (!wire || trace_open(&wire->trace, above, TRACE_WORDS))
		bail_out("a trace");
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		bail_out("a keyring");
	memset(wire->peer.key, 0x5a, sizeof(wire->peer.key));
	wire->key = syscall(SYS_add_key, "user", "kcov", wire->peer.key, sizeof(wire->peer.key),
			    KEY_SPEC_SESSION_KEYRING);
	space_enter(ours);
	if (veth_need(OURS, THEIRS, theirs))
		bail_out("no pair of devices: is veth.ko loaded?");
	family_need(&wire->genl);
	wire->ifindex = if_nametoindex(OURS);
	peer_need(&other, OURS);
	close(other.socket);
	space_enter(theirs);
	peer_need(&wire->peer, THEIRS);
	wire->peer.socket = fcntl(wire->peer.socket, F_DUPFD_CLOEXEC, above);
	memcpy(wire->peer.other, other.own, 6);
	space_enter(here);
	if (wire->key < 0 || sem_init(&wire->given, 0, 0) || sem_init(&wire->done, 0, 0) ||
	    pthread_create(&wire->thread, NULL, serve, wire))
		bail_out("a thread for frames");
	return wire;
}
