/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what a sequence has made and not yet closed, and how an operation
 * becomes a call on it.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "coverage.h"
#include "mcp_genl.h"
#include "mcp_ring.h"
#include "mcp_test.h"
#include "sequence.h"
#include "waiter.h"

/* Descriptors below are a sequence's own, and closed after it. */
#define KEEP_ABOVE	200

enum { PORTS = 4, HANDLES = 8, COOKIES = 16, SLOTS = 16, WAITERS = 2 };

/* Calls by what they go through, for the report. */
enum entry {
	ENTRY_IOCTL, ENTRY_WRITE, ENTRY_READ, ENTRY_URING, ENTRY_NETLINK, ENTRY_FRAME, ENTRY_OTHER,
	ENTRIES
};

#define ERRNOS 134

/* What has been done, in memory that outlives the process. */
struct tally {
	uint64_t calls[ENTRIES];
	uint64_t ops[OP_CODES];
	uint64_t results[ENTRIES][ERRNOS];
};

struct wire;

struct world {
	struct port ports[PORTS];
	__u64 endpoints[PORTS];
	struct {
		int fd;
		__u64 sender;
	} handles[HANDLES];
	struct {
		__u64 number;
		unsigned int server;	/* a port, or PORTS if it is not known */
	} cookies[COOKIES];
	struct {
		unsigned int port;
		__u32 offset;
	} slots[SLOTS];
	unsigned int handle_count, cookie_count, slot_count;	/* places are used again */

	/* Of the sequence: they stay as they are until the kernel has done with them. */
	struct mcp_frame frames[SEQUENCE_OPS];
	_Atomic __u64 results[SEQUENCE_OPS];
	__s32 fds[SEQUENCE_OPS][MCP_MAX_FDS];
	struct {
		unsigned int port;
		bool waits;
	} commands[SEQUENCE_OPS];

	/* Of the process. */
	struct ring ring;
	unsigned int unfinished;	/* commands of the ring */
	struct waiter waiters[WAITERS];
	struct trace trace, child;
	struct genl genl;
	struct wire *wire;		/* NULL: no network */
	struct tally *tally;
	unsigned int calls;		/* of this sequence */
};

/* The program ends when it fails. @network: mcp_net.ko and veth.ko are there. */
void world_need(struct world *world, struct tally *tally, bool network);
/* Does operation @number of a sequence. */
void world_do(struct world *world, const struct op *op, unsigned int number);
/* Everything that it made is closed; false: something does not end. */
bool world_clear(struct world *world);

/* ---- Between the files of world_ ----------------------------------------- */

/* Counts a call, and gives @result (-errno or what it gave). */
long world_count(struct world *world, enum entry entry, long result);
unsigned int world_port(const struct world *world, const struct op *op);
int world_handle(const struct world *world, const struct op *op);
__u64 world_sender(const struct world *world, const struct op *op);
__u64 world_cookie(const struct world *world, const struct op *op);
void world_got_handle(struct world *world, int fd, __u64 sender);
void world_got_cookie(struct world *world, __u64 cookie, unsigned int server);
/* A message was received there. */
void world_got_slot(struct world *world, unsigned int port, __u32 slot);
/* What threads and the ring have ended meanwhile. */
void world_collect(struct world *world);

void world_frame(struct world *world, const struct op *op, unsigned int number);
void world_receive(struct world *world, const struct op *op, unsigned int number);
void world_release(struct world *world, const struct op *op, unsigned int number);
void world_ring(struct world *world, const struct op *op);
void world_netlink(struct world *world, const struct op *op);
void world_fork(struct world *world, const struct op *op);

/* The network; all do nothing without one. */
struct wire *wire_need(int above);
void wire_do(struct world *world, const struct op *op);
void wire_clear(struct world *world);
const struct trace *wire_trace(const struct wire *wire);

#endif /* WORLD_H */
