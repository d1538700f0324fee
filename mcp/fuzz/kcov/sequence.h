/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: sequences of calls as data: made valid, then changed. What an
 * operation does is done in world.c; here it is numbers.
 */
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include <stdint.h>

#include "random.h"

#define SEQUENCE_OPS	24
#define SEQUENCE_LEAST	5

enum op_code {
	OP_PORT,	/* open, arena, mmap */
	OP_SERVE,
	OP_UPDATE,
	OP_OPEN,
	OP_GRANT,
	OP_REVOKE,
	OP_REQUEST,
	OP_NESTED,
	OP_RESPONSE,
	OP_NOTIFY,
	OP_CANCEL,
	OP_RECEIVE,
	OP_RELEASE,
	OP_REAP,	/* what the ring has completed */
	OP_INFO,
	OP_PEER,
	OP_REQUIRE,
	OP_ARENA,	/* a second one, or a bad one */
	OP_MAP,
	OP_POLL,
	OP_FDINFO,
	OP_STRANGE,	/* another number, another call on a port or a handle */
	OP_CLOSE_PORT,
	OP_CLOSE_HANDLE,
	OP_DUP,
	OP_SIGNAL,	/* to a thread that waits */
	OP_FORK,
	OP_SLEEP,	/* a deadline or an end passes */
	OP_RING,	/* another ring; the old one ends with what it holds */
	OP_ASK,		/* the family mcp: one answer */
	OP_DUMP,	/* likewise: many */
	OP_BIND,	/* mcp_net */
	OP_UNBIND,
	OP_BINDING,	/* get */
	OP_HELLO,	/* a handshake */
	OP_SAY,		/* a message in a frame */
	OP_FRAME,	/* a frame that was sent, changed, again */
	OP_CODES
};

/* The ways in, for what has several. */
enum op_way { WAY_WRITE, WAY_RING, WAY_RING_WAIT, WAY_IOCTL, WAY_IOCTL_OTHER, WAYS };

struct op {
	uint8_t code;
	uint8_t port;		/* which of ours; these four are taken modulo what there is */
	uint8_t ref;		/* which handle, cookie or slot */
	uint8_t way;
	uint32_t x, y;		/* sizes, tools, rights: each operation reads them its own way */
	uint32_t change;	/* 0, or how what is passed to the kernel is changed */
};

struct sequence {
	uint32_t count;
	struct op ops[SEQUENCE_OPS];
};

/* A valid one. */
void sequence_make(struct sequence *sequence, struct random *random);
/* One of @of, changed; @other is what it may be spliced with. */
void sequence_mutate(struct sequence *sequence, const struct sequence *of,
		     const struct sequence *other, struct random *random);
const char *op_name(unsigned int code);
/* Changes @bytes at @data as @change says. */
void change_bytes(void *data, unsigned int bytes, uint32_t change);

#endif /* SEQUENCE_H */
