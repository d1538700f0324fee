// SPDX-License-Identifier: GPL-2.0
/*
 * TCP over the loopback device: the floor under MCP over HTTP. Without Nagle's
 * delay, and with room for a whole message.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

struct tcp {
	int listener;
	int connection;
	struct sockaddr_in address;
};

static void tune(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("TCP_NODELAY: %s", strerror(errno));
}

static void prepare(struct row *row)
{
	struct tcp *tcp = allocate(sizeof(*tcp));
	socklen_t size = sizeof(tcp->address);

	tcp->address.sin_family = AF_INET;
	tcp->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tcp->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (tcp->listener < 0)
		die("socket: %s", strerror(errno));
	/* Before listen(): the window's scale is agreed on with the first packet. */
	enlarge_buffers(tcp->listener);
	if (bind(tcp->listener, (struct sockaddr *)&tcp->address, size) < 0 ||
	    listen(tcp->listener, 1) < 0 ||
	    getsockname(tcp->listener, (struct sockaddr *)&tcp->address, &size) < 0)
		die("listen on the loopback device: %s", strerror(errno));
	row->state = tcp;
}

static void serve(struct row *row, int ready_fd)
{
	struct tcp *tcp = row->state;
	__u8 *body = allocate(row->bytes);

	ready(ready_fd);
	tcp->connection = accept4(tcp->listener, NULL, NULL, SOCK_CLOEXEC);
	if (tcp->connection < 0)
		die("accept: %s", strerror(errno));
	tune(tcp->connection);
	for (;;) {
		receive_stream(row, tcp->connection, body, row->bytes);
		make_answer(body, body, row->bytes);
		send_stream(row, tcp->connection, body, row->bytes);
	}
}

static void connect_tcp(struct row *row)
{
	struct tcp *tcp = row->state;

	close(tcp->listener);
	tcp->connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (tcp->connection < 0)
		die("socket: %s", strerror(errno));
	enlarge_buffers(tcp->connection);
	if (connect(tcp->connection, (struct sockaddr *)&tcp->address, sizeof(tcp->address)) < 0)
		die("connect: %s", strerror(errno));
	tune(tcp->connection);
}

static void call(struct row *row, unsigned int count)
{
	struct tcp *tcp = row->state;

	while (count--) {
		stamp(row, 0);
		send_stream(row, tcp->connection, row->request, row->bytes);
		receive_stream(row, tcp->connection, row->answer, row->bytes);
		check_answer(row, 0, row->answer, row->bytes);
	}
}

const struct path tcp_path = {
	.name = "tcp",
	.hops = 2,
	.prepare = prepare,
	.serve = serve,
	.connect = connect_tcp,
	.call = call,
};
