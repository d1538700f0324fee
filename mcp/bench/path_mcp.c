// SPDX-License-Identifier: GPL-2.0
/* /dev/mcp without io_uring: one ioctl a side, and write with read. */
#include <string.h>
#include <unistd.h>

#include "mcp_side.h"
#include "sys.h"

struct client {
	struct port port;
	struct mcp_frame frame;
};

static void prepare(struct row *row)
{
	row->state = allocate(sizeof(struct client));
}

static void open_server(struct row *row, struct port *port, int ready_fd)
{
	/* A port belongs to the process that opened it. */
	port_open(port, row);
	port_serve(port, getppid());
	ready(ready_fd);
}

static void connect_client(struct row *row)
{
	struct client *client = row->state;

	port_open(&client->port, row);
	port_connect(&client->port, getpid());
	frame_request(&client->frame, row, &client->port, 0);
}

static void serve_ioctl(struct row *row, int ready_fd)
{
	__u8 *body = allocate(row->bytes);
	struct mcp_frame wait = { .handle = -1 }, frame, *next = &wait;
	struct port port;

	open_server(row, &port, ready_fd);
	frame_response(&frame, row, body);
	for (;;) {
		long result = counted_ioctl(row->mine, port.fd, MCP_IOC_REPLY_WAIT, next);

		if (result < 0)
			die("MCP_IOC_REPLY_WAIT: %s", strerror((int)-result));
		make_answer(body, port_request(row, &port, next->slot), row->bytes);
		frame.envelope.cookie = port_message(&port, next->slot)->cookie;
		/* The answer frees the request's slot. */
		frame.slot = MCP_NO_SLOT;
		next = &frame;
	}
}

static void call_ioctl(struct row *row, unsigned int count)
{
	struct client *client = row->state;
	struct mcp_frame *frame = &client->frame;

	while (count--) {
		long result;

		/* frame->slot is that of the answer before: it goes back now. */
		stamp(row, 0);
		result = counted_ioctl(row->mine, client->port.fd, MCP_IOC_CALL, frame);
		if (result < 0)
			die("MCP_IOC_CALL: %s", strerror((int)-result));
		port_check(row, 0, &client->port, frame->slot);
	}
}

static void send_frame(struct row *row, int fd, const struct mcp_frame *frame)
{
	long result = counted_write(row->mine, fd, frame, sizeof(*frame));

	if (result != sizeof(*frame))
		die("write of a frame: %s", result < 0 ? strerror((int)-result) : "short");
}

static void receive_frame(struct row *row, int fd, struct mcp_frame *frame)
{
	long result = counted_read(row->mine, fd, frame, sizeof(*frame));

	if (result != sizeof(*frame))
		die("read of a frame: %s", result < 0 ? strerror((int)-result) : "short");
}

static void serve_rw(struct row *row, int ready_fd)
{
	__u8 *body = allocate(row->bytes);
	struct mcp_frame request, frame;
	struct port port;

	open_server(row, &port, ready_fd);
	frame_response(&frame, row, body);
	for (;;) {
		receive_frame(row, port.fd, &request);
		make_answer(body, port_request(row, &port, request.slot), row->bytes);
		frame.envelope.cookie = request.envelope.cookie;
		send_frame(row, port.fd, &frame);
	}
}

static void call_rw(struct row *row, unsigned int count)
{
	struct client *client = row->state;
	struct mcp_frame *frame = &client->frame, answer;

	while (count--) {
		stamp(row, 0);
		send_frame(row, client->port.fd, frame);
		receive_frame(row, client->port.fd, &answer);
		port_check(row, 0, &client->port, answer.slot);
		frame->slot = answer.slot;
	}
}

const struct path mcp_ioctl_path = {
	.name = "mcp-ioctl",
	.counts_copies = true,
	.hops = 2,
	.prepare = prepare,
	.serve = serve_ioctl,
	.connect = connect_client,
	.call = call_ioctl,
};

const struct path mcp_rw_path = {
	.name = "mcp-rw",
	.counts_copies = true,
	.hops = 2,
	.prepare = prepare,
	.serve = serve_rw,
	.connect = connect_client,
	.call = call_rw,
};
