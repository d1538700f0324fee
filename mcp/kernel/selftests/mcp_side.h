/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: one party of an exchange, the same for a test whichever path it
 * takes. One thread can so play both parties: nothing here waits for an answer
 * before it is asked to.
 */
#ifndef MCP_SIDE_H
#define MCP_SIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "mcp_ring.h"
#include "mcp_test.h"

enum path {
	BY_IOCTL,	/* CALL in a thread of its own, REPLY_WAIT */
	BY_RW,		/* read, write, poll */
	BY_URING,	/* SEND, NOTIFY, RECV_PARK */
	BY_URING_CALL,	/* as BY_URING, but requests are CALLs */
	PATHS,
};

extern const char *const path_names[PATHS];

/* A message that was received; of a call that failed, one as the kernel makes it. */
struct message {
	struct mcp_envelope envelope;
	const unsigned char *body;	/* in the arena, NULL with a failed call */
	const __s32 *fds;
	__u32 slot;
};

#define SIDE_PENDING	64
#define SIDE_CALLS	16

/* A call that one of our threads, or a ring, waits in. */
struct pending_call {
	struct mcp_frame frame;
	_Atomic __u64 cookie;
	bool busy;
};

struct side {
	enum path path;
	struct port port;
	bool serves;
	struct message queue[SIDE_PENDING];
	unsigned int first, count;

	/* BY_URING, BY_URING_CALL */
	struct ring ring;
	bool parked;
	struct pending_call calls[SIDE_CALLS];
	struct pending_call *sending;

	/* BY_IOCTL: at most one call at a time. */
	pthread_t thread;
	struct pending_call call;
	bool running;		/* there is a thread to join */
	_Atomic pid_t tid;
	bool open;		/* an exchange to go on waiting in */
	atomic_bool done;
	int result;
};

void side_need(struct side *side, enum path path, size_t arena);
/* Ends the file, and with it the endpoint; calls that wait are interrupted. */
void side_close(struct side *side);
/*
 * Sends. 0 or -errno; the cookie of a request comes in *@cookie (may be NULL).
 * BY_IOCTL cannot tell a NOTIFY that has no credit from one that was sent.
 */
int side_send(struct side *side, const struct mcp_frame *frame, __u64 *cookie);
/* The next message within so many milliseconds. */
bool side_next(struct side *side, struct message *message, int milliseconds);
/* BY_IOCTL: a signal ends the wait of the call; the exchange stays open. */
void side_interrupt(struct side *side);
/* Releases the slot of a message. */
int side_release(struct side *side, const struct message *message);

/* What a message is. */
bool is_kind(const struct message *message, unsigned int kind, __u64 cookie);
/* The kernel's own word, with that errno. */
bool is_kernel(const struct message *message, unsigned int kind, __u64 cookie, unsigned int status);
bool has_body(const struct message *message, const void *body, size_t len);

/* A server and a client of it on one path, with a handle that may do all. */
struct pair {
	struct side server, client;
	__u8 name[MCP_NAME_SIZE];
	__u64 endpoint_id, handle_id;
	int handle;
	const char *path;
};

#define PAIR_ARENA	(256u << 10)

void pair_need(struct pair *pair, enum path server, enum path client);
void pair_close(struct pair *pair);
/* A request that the server has received. */
bool pair_request(struct pair *pair, const struct mcp_frame *frame, struct message *request);

#endif /* MCP_SIDE_H */
