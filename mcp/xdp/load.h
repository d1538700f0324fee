/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: one XDP program out of an object file of clang's, into the kernel.
 *
 * Neither libbpf nor a light skeleton: the first would be larger than all else
 * here, and the second's own loader reads kernel memory with a helper that the
 * product's kernel, which has no tracing, does not offer.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>

/* A map that the program names; its descriptor is the caller's. */
struct load_map {
	const char *name;
	int fd;
};

/*
 * The program of section @section, whose references to @maps are resolved. Gives
 * its descriptor, or -errno: -EINVAL for what is not such an object, -ENOENT for
 * a map that is not there, or what the kernel said, with its reasons on
 * standard error.
 */
int load_program(const void *object, size_t bytes, const char *section,
		 const struct load_map *maps, unsigned int count);
long sys_bpf(int command, void *attr, size_t bytes);

#endif /* LOAD_H */
