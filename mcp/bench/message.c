// SPDX-License-Identifier: GPL-2.0
/*
 * What a body is: its first and last byte change with every request, and the
 * server's answer to them is different from both, so that an answer that is
 * old, short or the request itself is noticed.
 */
#include "bench.h"

#define FIRST	0x5a
#define LAST	0xa5

void stamp(struct row *row, unsigned int which)
{
	__u8 *body = row->request + which * row->bytes;

	row->sequence++;
	body[0] = row->sequence;
	body[row->bytes - 1] = (__u8)~row->sequence;
}

/* @answer and @request may be the same. */
void make_answer(__u8 *answer, const __u8 *request, size_t bytes)
{
	answer[0] = request[0] ^ FIRST;
	answer[bytes - 1] = request[bytes - 1] ^ LAST;
}

void check_answer(struct row *row, unsigned int which, const __u8 *answer, size_t bytes)
{
	const __u8 *body = row->request + which * row->bytes;

	if (bytes != row->bytes)
		die("%s: an answer of %zu bytes, %zu wanted", row->path->name, bytes, row->bytes);
	if (answer[0] != (body[0] ^ FIRST) || answer[bytes - 1] != (body[bytes - 1] ^ LAST))
		die("%s: the answer to another request", row->path->name);
}
