// SPDX-License-Identifier: GPL-2.0
/* Whole messages over a byte stream that may take and give them in parts. */
#include <string.h>

#include "bench.h"
#include "sys.h"

void send_stream(struct row *row, int fd, const __u8 *from, size_t bytes)
{
	while (bytes) {
		long done = counted_write(row->mine, fd, from, bytes);

		if (done <= 0)
			die("%s: write: %s", row->path->name, strerror((int)-done));
		from += done;
		bytes -= (size_t)done;
	}
}

void receive_stream(struct row *row, int fd, __u8 *to, size_t bytes)
{
	while (bytes) {
		long done = counted_read(row->mine, fd, to, bytes);

		if (done <= 0)
			die("%s: read: %s", row->path->name,
			    done ? strerror((int)-done) : "the other side has gone");
		to += done;
		bytes -= (size_t)done;
	}
}
