/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of mcp_net.ko share with each other, and with nobody else.
 *
 * Locks, outermost first: RTNL (which binding a namespace has) and, of
 * mcp.ko, the registry's and a port's. All else of a binding belongs to its
 * work, of which there is never more than one running.
 */
#ifndef _MCP_NET_INTERNAL_H
#define _MCP_NET_INTERNAL_H

#include <linux/atomic.h>
#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>

#include <linux/mcp.h>
#include <uapi/linux/mcp_net.h>

#include "../kernel/compat.h"
#include "../kernel/mcp_kcall.h"
#include "mcp_net_crypto.h"
#include "mcp_net_frame.h"
#include "mcp_net_replay.h"

#define MCP_NET_ARENA		(64u << 10)
#define MCP_NET_INFLIGHT	32u	/* requests of the peer */
#define MCP_NET_QUEUE		64u	/* frames that wait for the work */
#define MCP_NET_BUDGET		32u	/* frames, and messages, in one run of it */
#define MCP_NET_HALF_OPEN	4u
#define MCP_NET_HALF_LIFE	(5 * NSEC_PER_SEC)
#define MCP_NET_HELLOS		16u	/* at once, and in a second */

/* What became of a frame, or of a message. */
enum mcp_net_count {
	MCP_NET_RX,		/* authenticated frames of the peer */
	MCP_NET_TX,		/* frames to the peer */
	MCP_NET_SESSIONS,	/* that went live */
	MCP_NET_MALFORMED,	/* not a frame, or not a message */
	MCP_NET_STRANGE,	/* another address, a tag, another session */
	MCP_NET_LIMITED,	/* frames of a handshake beyond the rate */
	MCP_NET_OVERFLOW,	/* the queue was full */
	MCP_NET_FORGED,		/* a MAC or a tag is wrong */
	MCP_NET_REPLAYED,	/* a counter was taken before */
	MCP_NET_EXPIRED,	/* beyond the frames or the seconds of a session */
	MCP_NET_UNMAPPED,	/* a message of a request that is not in flight */
	MCP_NET_LOST,		/* no memory for a frame */
	MCP_NET_COUNTS,
};

/**
 * struct mcp_net_session - what follows from one handshake
 * @id: ours: in frames to us; 0 for none
 * @peer_id: the peer's: in frames to it
 * @continues: the session that it continues, or 0
 * @eth_rx: the Ethernet header of frames to us
 * @eth_tx: of frames to the peer
 * @rx_key: of frames to us
 * @tx_key: of frames to the peer
 * @sent: the last counter that was used
 * @ends: when it is over, CLOCK_BOOTTIME in nanoseconds
 * @window: counters of the peer's
 */
struct mcp_net_session {
	u32 id;
	u32 peer_id;
	u32 continues;
	u8 eth_rx[MCP_NET_ETH];
	u8 eth_tx[MCP_NET_ETH];
	u8 rx_key[MCP_NET_KEY];
	u8 tx_key[MCP_NET_KEY];
	u64 sent;
	u64 ends;
	struct mcp_net_window window;
};

/* A request in flight: what the peer calls it, and what this machine does. */
struct mcp_net_call {
	u64 peer;
	u64 cookie;
};

struct key;

/**
 * struct mcp_net_binding - one device, one key, one handle
 * @packet: receives, from the moment that it is complete
 * @refs: the namespace's, or whoever detached it, and that of @reap while it is queued
 * @dev: where; a reference. NULL unless a namespace has the binding; RTNL
 * @tracker: of that reference
 * @kport: what frames become calls on
 * @key: that both sides have; a reference
 * @any_peer: @peer was left out
 * @peer: the only address that is listened to
 * @max_frames: no counter of a session reaches it
 * @max_seconds: that a session lives
 * @queue: frames that came, at most MCP_NET_QUEUE
 * @hellos: how many frames of handshakes may come now
 * @hellos_at: when that was so, in jiffies; both belong to @queue's lock
 * @live_id: @live.id, for softirq
 * @work: does all that is not done in softirq; what follows is its own
 * @expire: starts @work when the live session ends
 * @reap: unbinds, for @work, which cannot wait for itself
 * @bury: lets go of what its device has left
 * @live: the session that has been confirmed
 * @half: those that have not
 * @calls: requests in flight; @cookie 0 for a free row
 * @counts: by enum mcp_net_count
 * @kcov_handle: of who bound it, if that is a fuzzer (CONFIG_KCOV), for @work
 */
struct mcp_net_binding {
	struct packet_type packet;
	refcount_t refs;
	struct net_device *dev;
	netdevice_tracker tracker;
	struct mcp_kport *kport;
	struct key *key;
	bool any_peer;
	u8 peer[ETH_ALEN];
	u32 max_frames;
	u32 max_seconds;
	struct sk_buff_head queue;
	u32 hellos;
	unsigned long hellos_at;
	u32 live_id;
	struct work_struct work;
	struct delayed_work expire;
	struct work_struct reap;
	struct work_struct bury;
	struct mcp_net_session live;
	struct mcp_net_session half[MCP_NET_HALF_OPEN];
	struct mcp_net_call calls[MCP_NET_INFLIGHT];
	atomic64_t counts[MCP_NET_COUNTS];
	struct kcov_common_handle_id kcov_handle;
};

static inline void mcp_net_count(struct mcp_net_binding *binding, enum mcp_net_count which)
{
	atomic64_inc(&binding->counts[which]);
}

/* Bytes of the largest body: what is left of the device's MTU. */
static inline u32 mcp_net_max_body(const struct mcp_net_binding *binding)
{
	u32 mtu = min(READ_ONCE(binding->dev->mtu), ETH_MAX_MTU);

	return mtu > MCP_NET_OVERHEAD ? mtu - MCP_NET_OVERHEAD : 0;
}

/* ---- mcp_net_main.c ---- */

extern struct workqueue_struct *mcp_net_workers;

/* ---- mcp_net_bind.c: which namespace has which binding ---- */

/* What BIND asks for. */
struct mcp_net_wish {
	u32 ifindex;
	int handle;
	int key;
	const u8 *peer;
	u32 frames;
	u32 seconds;
};

int mcp_net_bind(struct net *net, const struct mcp_net_wish *wish);
int mcp_net_unbind(struct net *net);
struct mcp_net_binding *mcp_net_binding_of(struct net *net);
void mcp_net_kill(struct mcp_net_binding *binding);
int __init mcp_net_bind_init(void);
void mcp_net_bind_exit(void);

/* ---- mcp_net_rx.c: softirq ---- */

int mcp_net_receive(struct sk_buff *skb, struct net_device *dev, struct packet_type *packet,
		    struct net_device *original);

/* ---- mcp_net_session.c: handshakes ---- */

int mcp_net_key_check(struct key *key);
void mcp_net_hello1(struct mcp_net_binding *binding, const struct mcp_net_hello_frame *hello1);
void mcp_net_confirm(struct mcp_net_binding *binding, const struct mcp_net_header *header,
		     const u8 *eth, u8 *text);
bool mcp_net_live(struct mcp_net_binding *binding);
void mcp_net_session_end(struct mcp_net_binding *binding);

/* ---- mcp_net_call.c: messages, both ways ---- */

void mcp_net_data(struct mcp_net_binding *binding, const struct mcp_net_header *header,
		  const u8 *eth, u8 *text, u32 bytes);
bool mcp_net_answer(struct mcp_net_binding *binding);
void mcp_net_cancel_all(struct mcp_net_binding *binding);
void mcp_net_work(struct work_struct *work);

/* ---- mcp_net_tx.c: frames to the peer ---- */

void mcp_net_send_hello2(struct mcp_net_binding *binding,
			 const struct mcp_net_hello_frame *hello2);
void mcp_net_send_confirm(struct mcp_net_binding *binding);
void mcp_net_send_message(struct mcp_net_binding *binding, const struct mcp_envelope *envelope,
			  const void *body);

/* ---- mcp_net_netlink.c: bind, unbind, get ---- */

int __init mcp_net_netlink_init(void);
void mcp_net_netlink_exit(void);

#endif /* _MCP_NET_INTERNAL_H */
