// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: a file system of one file, which is its root: docs.kernel.org,
 * filesystems/fuse, and include/uapi/linux/fuse.h. A READ is answered late.
 * Context: user space, root. Locking: the one number that two threads know is
 * atomic.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "mcp_slow.h"
#include "mcp_test.h"

/* Of the READ that waits for its answer, one at a time; 0: none does. */
static _Atomic uint64_t waiting;
static _Atomic bool refused;

static void answer(int fuse, uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header header = { .len = sizeof(header) + size, .error = error,
					  .unique = unique };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)data, size } };

	/* Who asked may have been killed: then nobody wants to know. */
	if (writev(fuse, parts, 2) < 0 && errno != ENOENT)
		bail_out("an answer to FUSE");
}

static void *serve(void *argument)
{
	struct slow *slow = argument;
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
				      .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 };
	struct fuse_attr_out attr = { .attr_valid = 3600,
				      .attr = { .ino = FUSE_ROOT_ID, .size = SLOW_BYTES,
						.mode = S_IFREG | 0600, .nlink = 1 } };
	struct fuse_open_out opened = { .fh = 1 };
	static union {
		struct fuse_in_header header;
		char bytes[64 << 10];
	} asked;

	/* ENODEV: it was unmounted. */
	while (read(slow->fuse, &asked, sizeof(asked)) > 0) {
		uint64_t unique = asked.header.unique;

		switch (asked.header.opcode) {
		case FUSE_INIT:
			answer(slow->fuse, unique, 0, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			answer(slow->fuse, unique, 0, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
			answer(slow->fuse, unique, 0, &opened, sizeof(opened));
			break;
		case FUSE_READ:
			if (refused)
				answer(slow->fuse, unique, -EIO, NULL, 0);
			else
				waiting = unique;
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break; /* these have no answer */
		default:
			answer(slow->fuse, unique, -ENOSYS, NULL, 0);
		}
	}
	return NULL;
}

bool slow_open(struct slow *slow)
{
	struct stat found;
	char options[96];
	int fd;

	waiting = 0;
	refused = false;
	strcpy(slow->path, "/tmp/slow.XXXXXX");
	fd = mkostemp(slow->path, O_CLOEXEC);
	/* Without options it fails; but then the module is loaded, if there is one. */
	mount("slow", slow->path, "fuse", 0, "");
	slow->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (slow->fuse < 0) {
		close(fd);
		unlink(slow->path);
		return false;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0", slow->fuse);
	if (fd < 0 || mount("slow", slow->path, "fuse", 0, options) ||
	    pthread_create(&slow->server, NULL, serve, slow))
		bail_out("a file system");
	close(fd);
	fd = open(slow->path, O_RDWR | O_CLOEXEC);
	/* Its size is asked for by that. */
	if (fd < 0 || fstat(fd, &found) || found.st_size != SLOW_BYTES)
		bail_out("a slow file");
	slow->memory = mmap(NULL, SLOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (slow->memory == MAP_FAILED)
		bail_out("slow memory");
	close(fd);
	return true;
}

bool slow_reached(const struct slow *slow)
{
	(void)slow;
	for (__u64 end = now_ns() + SOON * 1000000ull; now_ns() < end; sleep_ms(1))
		if (waiting)
			return true;
	return false;
}

void slow_fill(struct slow *slow, unsigned char byte)
{
	unsigned char bytes[SLOW_BYTES];

	memset(bytes, byte, sizeof(bytes));
	answer(slow->fuse, atomic_exchange(&waiting, 0), 0, bytes, sizeof(bytes));
}

void slow_refuse(struct slow *slow)
{
	/* The kernel asks once more, after its readahead has failed. */
	refused = true;
	answer(slow->fuse, atomic_exchange(&waiting, 0), -EIO, NULL, 0);
}

void slow_close(struct slow *slow)
{
	munmap(slow->memory, SLOW_BYTES);
	umount2(slow->path, MNT_DETACH);
	pthread_join(slow->server, NULL);
	close(slow->fuse);
	unlink(slow->path);
}
