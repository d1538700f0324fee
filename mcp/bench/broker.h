/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The protocol of the broker that /dev/mcp is compared with: messages of
 * AF_UNIX SEQPACKET, each with this header; a body above PIECE comes in
 * pieces, of which all but the last say MORE.
 */
#ifndef MCP_BENCH_BROKER_H
#define MCP_BENCH_BROKER_H

#include <assert.h>
#include <stddef.h>
#include <linux/types.h>

#define BROKER_MAGIC		0x314b5242u
#define BROKER_NAME_MAX		48
#define BROKER_MAX_FDS		16
#define BROKER_MAX_TOOLS	64

enum broker_kind {
	BROKER_SERVE	= 1,	/* body: a name; answered with SERVE */
	BROKER_OPEN	= 2,	/* body: a name; answered with OPEN and @handle */
	BROKER_REQUEST	= 3,	/* @handle, @tool, @cookie of the client's choice */
	BROKER_RESPONSE	= 4,	/* @cookie as the request had it */
	BROKER_ERROR	= 5,	/* from the broker: @status is an errno */
};

#define BROKER_MORE	1u	/* flag: another piece follows */

struct broker_header {
	__u32 magic;
	__u8 version;
	__u8 kind;
	__u16 flags;
	__u32 len;		/* of the body in this piece */
	__u32 tool;
	__u32 handle;
	__u32 status;
	__u64 cookie;
	__u64 sender;	/* stamped by the broker, as are uid, gid, pid */
	__u32 uid;
	__u32 gid;
	__u32 pid;
	__u32 nfds;
	__u32 reserved[2];
};

static_assert(sizeof(struct broker_header) == 64, "as large as the kernel's envelope");

/* broker.c: serves the listening socket until it is killed. */
struct tally;
void broker_run(int listener, struct tally *tally);

#endif
