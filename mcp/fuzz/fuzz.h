/* SPDX-License-Identifier: GPL-2.0 */
/* Concern: what every harness needs: an input that is read from its front, and a check. */
#ifndef FUZZ_H
#define FUZZ_H

#include "include/host.h"

struct input {
	const u8 *at;
	size_t left;
};

/* Bytes of the input; zeros once it is used up. */
static inline void take_bytes(struct input *input, void *to, size_t size)
{
	size_t have = size < input->left ? size : input->left;

	memset(to, 0, size);
	memcpy(to, input->at, have);
	input->at += have;
	input->left -= have;
}

static inline u64 take_number(struct input *input, size_t bytes)
{
	u64 number = 0;

	take_bytes(input, &number, bytes);
	return number;
}

/* What must hold; else the fuzzer keeps the input. */
#define CHECK(condition) do {								\
	if (!(condition)) {								\
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);	\
		abort();								\
	}										\
} while (0)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#endif /* FUZZ_H */
