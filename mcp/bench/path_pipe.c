// SPDX-License-Identifier: GPL-2.0
/* Two pipes: what MCP over stdio pays. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

struct pipes {
	int there[2], back[2];
};

static void make_pipe(struct row *row, int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	/* A pipe holds 64 KiB at first; a program with larger messages asks for more. */
	if (row->bytes > 65536 && fcntl(ends[0], F_SETPIPE_SZ, (int)row->bytes) < 0)
		die("F_SETPIPE_SZ: %s", strerror(errno));
}

static void prepare(struct row *row)
{
	struct pipes *pipes = allocate(sizeof(*pipes));

	make_pipe(row, pipes->there);
	make_pipe(row, pipes->back);
	row->state = pipes;
}

static void serve(struct row *row, int ready_fd)
{
	struct pipes *pipes = row->state;
	__u8 *body = allocate(row->bytes);

	close(pipes->there[1]);
	close(pipes->back[0]);
	ready(ready_fd);
	for (;;) {
		receive_stream(row, pipes->there[0], body, row->bytes);
		make_answer(body, body, row->bytes);
		send_stream(row, pipes->back[1], body, row->bytes);
	}
}

static void connect_pipes(struct row *row)
{
	struct pipes *pipes = row->state;

	close(pipes->there[0]);
	close(pipes->back[1]);
}

static void call(struct row *row, unsigned int count)
{
	struct pipes *pipes = row->state;

	while (count--) {
		stamp(row, 0);
		send_stream(row, pipes->there[1], row->request, row->bytes);
		receive_stream(row, pipes->back[0], row->answer, row->bytes);
		check_answer(row, 0, row->answer, row->bytes);
	}
}

const struct path pipe_path = {
	.name = "pipe",
	.hops = 2,
	.prepare = prepare,
	.serve = serve,
	.connect = connect_pipes,
	.call = call,
};
