/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: an AF_XDP socket that takes every frame of one EtherType from a
 * device's first queue, and sends others.
 *
 * Copy mode: it works over every driver, with generic XDP too, and the kernel
 * copies each frame once. Functions give 0 or -errno unless they say otherwise.
 */
#ifndef XSK_H
#define XSK_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* The largest frame: a chunk less the room that the kernel leaves before it. */
#define XSK_FRAME_MAX	1792

/* A ring that is shared with the kernel. */
struct xsk_ring {
	uint32_t *producer, *consumer;
	void *entries;
};

struct xsk {
	int fd, link;
	unsigned char *memory;
	struct xsk_ring fill, completion, rx, tx;
	uint64_t *unused;	/* chunks that may be sent */
	unsigned int count;	/* of them */
};

/* All of it is the process's, and ends with it. @what: the step that failed. */
int xsk_open(struct xsk *xsk, unsigned int ifindex, uint16_t ethertype, const char **what);

/*
 * The oldest frame that came, where the kernel put it, or NULL. It is the
 * caller's, and may be written, until xsk_release().
 */
unsigned char *xsk_receive(struct xsk *xsk, size_t *bytes);
void xsk_release(struct xsk *xsk);

/* -EMSGSIZE; -ENOBUFS if all chunks are on their way; or what sendto() said. */
int xsk_send(struct xsk *xsk, const unsigned char *frame, size_t bytes);

#endif /* XSK_H */
