// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mcp by io_uring commands. At depth n the client makes n calls with one
 * system call and waits for their n answers; the server answers with one
 * system call whatever has arrived when it runs.
 */
#include <string.h>
#include <unistd.h>

#include "mcp_side.h"
#include "uring.h"

struct side {
	struct port port;
	struct uring ring;
	struct mcp_frame frames[MAX_DEPTH];
};

static void prepare(struct row *row)
{
	row->state = allocate(sizeof(struct side));
}

static void command(struct side *side, unsigned int operation, unsigned int which, bool frame)
{
	struct io_uring_sqe *sqe = uring_sqe(&side->ring);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = 0;
	sqe->cmd_op = operation;
	sqe->user_data = which;
	if (frame) {
		sqe->addr = (uintptr_t)&side->frames[which];
		sqe->len = sizeof(side->frames[which]);
	}
}

static void serve(struct row *row, int ready_fd)
{
	struct side *side = row->state;
	__u8 *bodies = allocate(row->bytes * row->depth);
	const struct io_uring_cqe *cqe;

	port_open(&side->port, row);
	port_serve(&side->port, getppid());
	uring_open(&side->ring, row->mine, row->depth, side->port.fd);
	for (unsigned int i = 0; i < row->depth; i++) {
		frame_response(&side->frames[i], row, bodies + i * row->bytes);
		command(side, MCP_CMD_RECV_PARK, i, false);
	}
	uring_enter(&side->ring, 0);
	ready(ready_fd);
	for (;;) {
		uring_enter(&side->ring, 1);
		while ((cqe = uring_cqe(&side->ring))) {
			unsigned int which = (unsigned int)cqe->user_data;
			__u8 *body = bodies + which * row->bytes;
			__u32 slot;

			if (cqe->res < 0)
				die("a parked command: %s", strerror(-cqe->res));
			slot = (__u32)cqe->res;
			uring_seen(&side->ring);
			make_answer(body, port_request(row, &side->port, slot), row->bytes);
			side->frames[which].envelope.cookie =
				port_message(&side->port, slot)->cookie;
			command(side, MCP_CMD_REPLY_AND_PARK, which, true);
		}
	}
}

static void connect_client(struct row *row)
{
	struct side *side = row->state;

	port_open(&side->port, row);
	port_connect(&side->port, getpid());
	uring_open(&side->ring, row->mine, row->depth, side->port.fd);
	for (unsigned int i = 0; i < row->depth; i++)
		frame_request(&side->frames[i], row, &side->port, i);
}

static void call(struct row *row, unsigned int count)
{
	struct side *side = row->state;
	const struct io_uring_cqe *cqe;

	for (unsigned int done = 0; done < count; done += row->depth) {
		unsigned int answers = 0;

		for (unsigned int i = 0; i < row->depth; i++) {
			stamp(row, i);
			command(side, MCP_CMD_CALL, i, true);
		}
		uring_enter(&side->ring, row->depth);
		while ((cqe = uring_cqe(&side->ring))) {
			unsigned int which = (unsigned int)cqe->user_data;

			if (cqe->res < 0)
				die("MCP_CMD_CALL: %s", strerror(-cqe->res));
			/* Given back in the frame of the next call. */
			side->frames[which].slot = (__u32)cqe->res;
			uring_seen(&side->ring);
			port_check(row, which, &side->port, side->frames[which].slot);
			answers++;
		}
		if (answers != row->depth)
			die("%u answers to %u calls", answers, row->depth);
	}
}

const struct path mcp_uring_path = {
	.name = "mcp-uring",
	.counts_copies = true,
	.hops = 2,
	.prepare = prepare,
	.serve = serve,
	.connect = connect_client,
	.call = call,
};
