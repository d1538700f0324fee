/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of mcp-bench share: a row is one path with one size and one
 * depth; it is measured by a client with one server (and a broker, where the
 * path has one), all of them fresh processes on CPU 0.
 *
 * Both sides know the length beforehand and a stream carries no framing, so
 * that each path is shown at its cheapest; the answer is as long as the
 * request.
 */
#ifndef MCP_BENCH_H
#define MCP_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/types.h>
#include <sys/types.h>

#define MAX_PEERS	2	/* a server and a broker */
#define MAX_DEPTH	32
#define MAX_BYTES	1048576u

/* Sockets carry larger messages in pieces of this size. */
#define PIECE		(64u << 10)

/* What one side has done; in memory that both sides share. */
struct tally {
	__u64 syscalls;
};

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* An error ends the process, and with it the row. */
#define die(...) \
	(fputs("mcp-bench: ", stderr), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))

struct path;

/* A row while it runs: made before the fork, then each side has its copy. */
struct row {
	const struct path *path;
	size_t bytes;
	unsigned int depth;
	struct tally *tallies;	/* [0] is the client's, the others the peers' */
	struct tally *mine;
	pid_t peers[MAX_PEERS];
	unsigned int npeers;
	__u8 *request;	/* of the client: what it sends, for each in flight */
	__u8 *answer;	/* where a path that copies out puts what came */
	__u8 sequence;
	void *state;		/* the path's own, made by its prepare */
};

/**
 * struct path - one way from a client to a server and back
 * @name: as in the table.
 * @counts_copies: the kernel counts what it copies of bodies.
 * @hops: messages on the way there and back: 2, or 4 through a broker. Each
 *	  costs one context switch when both sides share a CPU.
 * @prepare: in the client, before the peers are started: makes @state.
 * @broker: in the process of the broker; NULL for a path without one.
 * @serve: in the server; calls ready() once, then answers until it is killed.
 * @connect: in the client, when every peer is ready.
 * @call: in the client: @count round trips, each answer checked.
 */
struct path {
	const char *name;
	bool counts_copies;
	unsigned int hops;
	void (*prepare)(struct row *row);
	void (*broker)(struct row *row, int ready_fd);
	void (*serve)(struct row *row, int ready_fd);
	void (*connect)(struct row *row);
	void (*call)(struct row *row, unsigned int count);
};

extern const struct path pipe_path, unix_path, tcp_path, broker_path;
extern const struct path mcp_ioctl_path, mcp_rw_path, mcp_uring_path;

/* What a row gave, for one round trip each; goes through a pipe as it is. */
struct sample {
	double instructions;	/* see measure.c for what makes ns that */
	double syscalls;
	double switches;
	double outside;		/* share of the time that no side was running */
	double copied;		/* bytes of bodies, as mcp.ko counts them; below 0: nobody does */
};

/*
 * 2.05 for a round trip without a broker: a switch too many shows that a side
 * was woken for nothing, and such a row says little about its path.
 */
#define MAX_SWITCHES_PER_HOP	1.025

/* The kernel's own threads may take the CPU once in this many nanoseconds. */
#define OTHERS_TURN	1e7

/* measure.c */
struct sample measure_row(const struct path *path, size_t bytes, unsigned int depth,
			  unsigned int count);
unsigned int count_for(size_t bytes, unsigned int depth);
__u64 now_ns(void);
void pin(void);
void finish_before_peers(void);

/* message.c */
void stamp(struct row *row, unsigned int which);
void make_answer(__u8 *answer, const __u8 *request, size_t bytes);
void check_answer(struct row *row, unsigned int which, const __u8 *answer, size_t bytes);

/* stream.c: a byte stream, whole messages */
void send_stream(struct row *row, int fd, const __u8 *from, size_t bytes);
void receive_stream(struct row *row, int fd, __u8 *to, size_t bytes);

/* util.c */
void *allocate(size_t bytes);
void ready(int fd);
void enlarge_buffers(int fd);

#endif
