// SPDX-License-Identifier: GPL-2.0
/* AF_UNIX SEQPACKET, connected: whole messages up to PIECE, larger ones in pieces. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "sys.h"

static void prepare(struct row *row)
{
	int *ends = allocate(2 * sizeof(*ends));

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		die("socketpair: %s", strerror(errno));
	if (row->bytes > PIECE) {
		enlarge_buffers(ends[0]);
		enlarge_buffers(ends[1]);
	}
	row->state = ends;
}

static void send_pieces(struct row *row, int fd, const __u8 *from)
{
	for (size_t at = 0; at < row->bytes; at += PIECE) {
		size_t bytes = row->bytes - at < PIECE ? row->bytes - at : PIECE;
		long done = counted_write(row->mine, fd, from + at, bytes);

		if (done != (long)bytes)
			die("unix: write of %zu: %s", bytes,
			    done < 0 ? strerror((int)-done) : "short");
	}
}

static void receive_pieces(struct row *row, int fd, __u8 *to)
{
	for (size_t at = 0; at < row->bytes; at += PIECE) {
		size_t bytes = row->bytes - at < PIECE ? row->bytes - at : PIECE;
		long done = counted_read(row->mine, fd, to + at, bytes);

		if (done != (long)bytes)
			die("unix: read of %zu: %s", bytes,
			    done < 0 ? strerror((int)-done) : "short");
	}
}

static void serve(struct row *row, int ready_fd)
{
	int *ends = row->state;
	__u8 *body = allocate(row->bytes);

	close(ends[0]);
	ready(ready_fd);
	for (;;) {
		receive_pieces(row, ends[1], body);
		make_answer(body, body, row->bytes);
		send_pieces(row, ends[1], body);
	}
}

static void connect_unix(struct row *row)
{
	int *ends = row->state;

	close(ends[1]);
}

static void call(struct row *row, unsigned int count)
{
	int *ends = row->state;

	while (count--) {
		stamp(row, 0);
		send_pieces(row, ends[0], row->request);
		receive_pieces(row, ends[0], row->answer);
		check_answer(row, 0, row->answer, row->bytes);
	}
}

const struct path unix_path = {
	.name = "unix",
	.hops = 2,
	.prepare = prepare,
	.serve = serve,
	.connect = connect_unix,
	.call = call,
};
