// SPDX-License-Identifier: GPL-2.0
/* A call through the broker of broker.c: "why not a good AF_UNIX daemon?" */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "broker.h"
#include "sys.h"

#define NAME	"bench"
#define TOOL	1

struct client {
	struct sockaddr_un address;
	socklen_t address_size;
	int listener, socket;
	__u32 handle;
};

static void prepare(struct row *row)
{
	struct client *client = allocate(sizeof(*client));
	int length;

	/* In the abstract name space: the name goes away with the socket. */
	client->address.sun_family = AF_UNIX;
	length = snprintf(client->address.sun_path + 1, sizeof(client->address.sun_path) - 1,
			  "mcp-bench.%d", (int)getpid());
	client->address_size = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 +
			       (socklen_t)length;
	client->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (client->listener < 0 ||
	    bind(client->listener, (struct sockaddr *)&client->address, client->address_size) < 0 ||
	    listen(client->listener, 8) < 0)
		die("broker's socket: %s", strerror(errno));
	row->state = client;
}

static void run_broker(struct row *row, int ready_fd)
{
	struct client *client = row->state;

	finish_before_peers();
	ready(ready_fd);
	broker_run(client->listener, row->mine);
}

static long send_piece(struct row *row, int fd, struct broker_header *header, const void *body)
{
	struct iovec parts[2] = {
		{ header, sizeof(*header) },
		{ (void *)body, header->len },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	return counted(row->mine, SYS_sendmsg, fd, (long)&message, MSG_NOSIGNAL, 0, 0, 0);
}

static void receive_piece(struct row *row, int fd, struct broker_header *header, void *body,
			  size_t room)
{
	struct iovec parts[2] = {
		{ header, sizeof(*header) },
		{ body, room },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	long bytes = counted(row->mine, SYS_recvmsg, fd, (long)&message, MSG_CMSG_CLOEXEC, 0, 0, 0);

	if (bytes < (long)sizeof(*header) || header->magic != BROKER_MAGIC ||
	    header->len != (size_t)bytes - sizeof(*header))
		die("broker: read: %s", bytes < 0 ? strerror((int)-bytes) : "not a message");
	if (header->status)
		die("broker: %s", strerror((int)header->status));
}

static void send_message(struct row *row, int fd, struct broker_header *header, const __u8 *body)
{
	for (size_t at = 0; at < row->bytes; at += PIECE) {
		size_t left = row->bytes - at;
		long done;

		header->len = (__u32)(left < PIECE ? left : PIECE);
		header->flags = left > PIECE ? BROKER_MORE : 0;
		done = send_piece(row, fd, header, body + at);
		if (done < 0)
			die("broker: write: %s", strerror((int)-done));
	}
}

static void receive_message(struct row *row, int fd, struct broker_header *header, __u8 *body)
{
	size_t at = 0;

	do {
		receive_piece(row, fd, header, body + at, row->bytes - at);
		at += header->len;
	} while (header->flags & BROKER_MORE);
	if (at != row->bytes)
		die("broker: a message of %zu bytes, %zu wanted", at, row->bytes);
}

/* Connects, sends SERVE or OPEN with the name, and gives the broker's answer. */
static __u32 join(struct row *row, enum broker_kind kind, __u64 tools)
{
	struct client *client = row->state;
	struct broker_header header = {
		.magic = BROKER_MAGIC, .version = 1, .kind = (__u8)kind,
		.len = sizeof(NAME) - 1, .cookie = tools,
	};
	__u8 none;

	close(client->listener);
	client->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (client->socket < 0 ||
	    connect(client->socket, (struct sockaddr *)&client->address, client->address_size) < 0)
		die("broker: connect: %s", strerror(errno));
	enlarge_buffers(client->socket);
	if (send_piece(row, client->socket, &header, NAME) < 0)
		die("broker: no answer to a name");
	receive_piece(row, client->socket, &header, &none, sizeof(none));
	return header.handle;
}

static void serve(struct row *row, int ready_fd)
{
	struct client *client = row->state;
	__u8 *body = allocate(row->bytes);

	join(row, BROKER_SERVE, 1u << TOOL);
	ready(ready_fd);
	for (;;) {
		struct broker_header header, answer;

		receive_message(row, client->socket, &header, body);
		if (header.kind != BROKER_REQUEST || header.tool != TOOL)
			die("broker: the server got something else than its request");
		make_answer(body, body, row->bytes);
		answer = (struct broker_header){
			.magic = BROKER_MAGIC, .version = 1, .kind = BROKER_RESPONSE,
			.cookie = header.cookie,
		};
		send_message(row, client->socket, &answer, body);
	}
}

static void connect_broker(struct row *row)
{
	struct client *client = row->state;

	client->handle = join(row, BROKER_OPEN, 0);
}

static void call(struct row *row, unsigned int count)
{
	struct client *client = row->state;

	while (count--) {
		struct broker_header header = {
			.magic = BROKER_MAGIC, .version = 1, .kind = BROKER_REQUEST,
			.handle = client->handle, .tool = TOOL, .cookie = count,
		};

		stamp(row, 0);
		send_message(row, client->socket, &header, row->request);
		receive_message(row, client->socket, &header, row->answer);
		if (header.kind != BROKER_RESPONSE || header.cookie != count)
			die("broker: the answer to another request");
		check_answer(row, 0, row->answer, row->bytes);
	}
}

const struct path broker_path = {
	.name = "broker",
	.hops = 4,
	.prepare = prepare,
	.broker = run_broker,
	.serve = serve,
	.connect = connect_broker,
	.call = call,
};
