// SPDX-License-Identifier: GPL-2.0
/* Small helpers. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

/* Pages that are there before the first measured operation. */
void *allocate(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		die("%zu bytes of memory: %s", bytes, strerror(errno));
	return memory;
}

/* A peer tells the client that it can be called. */
void ready(int fd)
{
	if (write(fd, "", 1) != 1)
		die("cannot tell the client to start: %s", strerror(errno));
	close(fd);
}

/*
 * Room for the largest message, so that the sender of a large one need not
 * wait in the middle: the best that a socket can do. Needs CAP_NET_ADMIN; without
 * it the limits of the system hold, and the switches show what that costs.
 */
void enlarge_buffers(int fd)
{
	int bytes = 4 << 20;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0 &&
	    errno != EPERM)
		die("SO_SNDBUFFORCE: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 &&
	    errno != EPERM)
		die("SO_RCVBUFFORCE: %s", strerror(errno));
}
