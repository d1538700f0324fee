// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-xdp in front of a bound device: what it lets pass, what it drops, and
 * that nothing else notices it. mcp_net.ko and veth.ko are loaded before;
 * mcp-xdp is found in PATH, or is the first argument.
 */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/keyctl.h>

#include "net_link.h"
#include "net_peer.h"
#include "net_program.h"

#define OURS	"mcp0"
#define THEIRS	"mcp1"

static const char *program = "mcp-xdp";

/* ---- The loader ---------------------------------------------------------- */

struct counts {
	unsigned long long passed, malformed, unbound, strange;
};

/* Returns whether the program is in front of the device. */
static bool loader_start(struct program *loader, const char *device, const char *peer)
{
	char *const words[] = { (char *)program, (char *)device, (char *)peer, NULL };

	program_start(loader, words, NULL, 0);
	return program_says(loader, "attached\n");
}

/* Its exit status; the counters if that is 0. */
static int loader_stop(struct program *loader, struct counts *counts)
{
	memset(counts, 0xff, sizeof(*counts));
	kill(loader->pid, SIGTERM);
	if (fscanf(loader->said, "passed %llu malformed %llu unbound %llu strange %llu",
		   &counts->passed, &counts->malformed, &counts->unbound, &counts->strange) != 4)
		counts->passed = ~0ull;
	return program_end(loader);
}

static void loader_refused(const char *device, const char *peer, int wanted)
{
	struct counts counts;
	struct program loader;
	bool started = loader_start(&loader, device, peer);

	check(loader_stop(&loader, &counts) == wanted && !started, "mcp-xdp %s %s: status %d", device,
	      peer, wanted);
}

/* ---- Frames -------------------------------------------------------------- */

static void test_any(struct net_peer *peer)
{
	int ours = packet_need(OURS, 0xfaf0), other = packet_need(OURS, ANOTHER);
	struct net_message message = { .kind = MCP_CANCEL, .cookie = 1 };
	struct net_frame frame, cut;
	unsigned int sent = 0;
	struct program loader;
	struct counts counts;

	check(loader_start(&loader, OURS, "any"), "in front of the device");
	check(peer_connect(peer, 0), "a handshake passes");
	peer_make_data(peer, &frame, &message, NULL, 0);
	peer_seal(peer, &frame, 0);
	peer_send(peer, &frame);
	check(packet_count(ours) == 3, "HELLO1, CONFIRM and DATA came");
	for (size_t size = ETH; size < frame.size; size++) {
		cut = frame;
		cut.size = size;
		peer_send(peer, &cut);
		sent++;
	}
	for (int byte = 14; byte < 18; byte++) {
		cut = frame;
		cut.bytes[byte] ^= 0x40;
		peer_send(peer, &cut);
		sent++;
	}
	cut = peer->hello1;
	cut.size++;
	peer_send(peer, &cut);
	sent++;
	check(!packet_count(ours), "nothing malformed came");
	cut = frame;
	cut.bytes[6] |= 1;
	peer_send(peer, &cut);
	memset(cut.bytes, 0xff, 6);
	peer_send(peer, &cut);
	check(!packet_count(ours), "nor from, nor to, a group");
	cut = frame;
	cut.bytes[12] = ANOTHER >> 8;
	cut.bytes[13] = ANOTHER & 0xff;
	memset(cut.bytes + 14, 0, 20);
	peer_send(peer, &cut);
	check(packet_count(other) == 1, "another EtherType passes, whatever is in it");
	check(!loader_stop(&loader, &counts), "the loader ends");
	check(counts.passed == 3 && counts.malformed == sent && !counts.unbound &&
	      counts.strange == 2, "it has counted %llu, %llu, %llu, %llu", counts.passed,
	      counts.malformed, counts.unbound, counts.strange);
	peer_send(peer, &frame);
	check(packet_count(ours) == 1, "and the program is gone with it");
	close(ours);
	close(other);
}

static void test_address(struct net_peer *peer)
{
	const unsigned char *own = peer->own;
	struct program loader;
	struct counts counts;
	char word[24];

	snprintf(word, sizeof(word), "%02x:%02x:%02x:%02x:%02x:%02x", own[0], own[1], own[2], own[3],
		 own[4], own[5]);
	check(loader_start(&loader, OURS, word) && peer_connect(peer, 0), "the peer's address");
	check(!loader_stop(&loader, &counts) && counts.passed == 2 && !counts.strange, "passes");
	check(loader_start(&loader, OURS, "02:00:00:00:00:01") && !peer_connect(peer, 0),
	      "another address");
	check(!loader_stop(&loader, &counts) && !counts.passed && counts.strange == 1, "does not");
	check(loader_start(&loader, OURS, "none") && !peer_connect(peer, 0), "a device not bound");
	check(!loader_stop(&loader, &counts) && !counts.passed && counts.unbound == 1,
	      "takes nothing");
	check(peer_connect(peer, 0), "without the program all is as before");
}

/* It leaves no device. */
static void test_gone(void)
{
	struct program loader;

	check(loader_start(&loader, OURS, "any") && !veth_delete(OURS), "the device goes");
	check(program_end(&loader) == 1, "the loader ends by itself, and not well");
}

static void bind_need(struct port *client, struct port *server, const unsigned char *secret)
{
	__u8 name[MCP_NAME_SIZE];
	struct net_bind bind = { .ifindex = if_nametoindex(OURS) };

	test_name(name, "xdp");
	port_need(client, 64 << 10);
	port_need(server, 64 << 10);
	serve_need(server, name);
	bind.handle = open_handle(client, name, ALL_RIGHTS, NULL);
	bind.key = syscall(SYS_add_key, "user", "mcp:xdp", secret, (size_t)32,
			   KEY_SPEC_SESSION_KEYRING);
	if (net_bind(&bind))
		bail_out("the device is not bound");
}

int main(int argc, char **argv)
{
	struct port client, server;
	struct net_peer peer = { .key = { 7 } }, other;
	int there, here;

	test_begin();
	if (argc > 1)
		program = argv[1];
	if (!net_family())
		skip_all("mcp_net.ko is not loaded");
	if (!program_found(program))
		skip_all("mcp-xdp is not here");
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		bail_out("no session keyring");
	space_enter(space_new());
	here = space_here();
	there = space_new();
	if (veth_need(OURS, THEIRS, there))
		skip_all("no pair of devices: is veth.ko loaded?");
	space_enter(there);
	peer_need(&peer, THEIRS);
	space_enter(here);
	peer_need(&other, OURS);
	memcpy(peer.other, other.own, 6);
	close(other.socket);
	bind_need(&client, &server, peer.key);

	loader_refused("nothing0", "any", 1);
	loader_refused(OURS, "some", 2);
	loader_refused(OURS, "02:00:00:00:00", 2);
	loader_refused(OURS, "02:00:00:00:00:01:", 2);
	loader_refused(OURS, "2:0:0:0:0:1", 2);
	loader_refused(OURS, "02:00:00:00:00:-1", 2);
	loader_refused(OURS, "02:00:00:00:00: 1", 2);
	loader_refused(OURS, "02:00:00:00:00:0x", 2);
	loader_refused(OURS, "00:00:00:00:00:00", 2);
	loader_refused(OURS, "03:00:00:00:00:01", 2);
	loader_refused(OURS, "ff:ff:ff:ff:ff:ff", 2);
	test_any(&peer);
	test_address(&peer);
	test_gone();
	return test_end();
}
