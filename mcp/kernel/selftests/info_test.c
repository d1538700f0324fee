// SPDX-License-Identifier: GPL-2.0
/*
 * Test of /dev/mcp's MCP_IOC_INFO, as a kselftest program: TAP on standard
 * output, exit status 0 when all passed.
 *
 * Usage: info_test            on a machine where mcp.ko is loaded, as root
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mcp_test.h"

static_assert(sizeof(struct mcp_info) == MCP_INFO_SIZE_VER0, "the first version has 64 bytes");
static_assert(sizeof(MCP_IOC_INFO) == 4, "an ioctl number has 32 bits");

/* The ioctl's answer as 0 or errno. */
static int ask(int device, unsigned long request, void *argument)
{
	errno = 0;
	return ioctl(device, request, argument) == 0 ? 0 : errno;
}

static void expect(int device, struct mcp_info info, int wanted, const char *what)
{
	struct mcp_info before = info;
	int got = ask(device, MCP_IOC_INFO, &info);

	if (got != wanted)
		printf("# %s: got %s, wanted %s\n", what, strerror(got), strerror(wanted));
	/* A call that fails writes nothing. */
	if (got != 0 && memcmp(&info, &before, sizeof(info)) != 0)
		got = -1;
	check(got == wanted, "%s", what);
}

static void test_answer(int device)
{
	struct mcp_info info = { .size = sizeof(info) };
	/* What the kernel only writes may hold anything. */
	struct mcp_info dirty = {
		.size = sizeof(dirty), .abi_version = 99, .max_name = 1, .features = ~0ull,
		.max_body = 7, .max_fds = 3, .max_depth = 3, .max_inflight = 3,
	};

	check(ask(device, MCP_IOC_INFO, &info) == 0, "INFO answers");
	check(info.size == MCP_INFO_SIZE_VER0, "it tells the size that it knows");
	check(info.abi_version == MCP_ABI_VERSION,
	      "it tells the version of the header");
	check(info.max_name == MCP_NAME_MAX && info.max_body == MCP_MAX_BODY &&
	      info.max_fds == MCP_MAX_FDS && info.max_depth == MCP_MAX_DEPTH &&
	      info.max_inflight == MCP_MAX_INFLIGHT,
	      "it tells the limits of the header");
	check(!(info.features & ~(MCP_FEATURE_URING | MCP_FEATURE_POLICY | MCP_FEATURE_NETLINK |
				  MCP_FEATURE_AUDIT)),
	      "it tells no feature that the header does not know");
	check(!info.flags && !info.reserved0 && !info.reserved1[0] &&
	      !info.reserved1[1],
	      "reserved fields are zero");
	check(ask(device, MCP_IOC_INFO, &dirty) == 0 && memcmp(&dirty, &info, sizeof(info)) == 0,
	      "output fields may hold anything on the way in");
}

static void test_sizes(int device)
{
	static __u32 large[2048];
	__u32 size;

	for (size = 0; size < MCP_INFO_SIZE_VER0; size += 21)
		expect(device, (struct mcp_info){ .size = size }, EINVAL,
		       "a size below the first version");
	expect(device, (struct mcp_info){ .size = ~0u }, E2BIG, "the largest size");

	memset(large, 0, sizeof(large));
	large[0] = 96;
	check(ask(device, MCP_IOC_INFO, large) == 0 && large[0] == MCP_INFO_SIZE_VER0,
	      "a later, larger structure with zeros at its end");
	memset(large, 0, sizeof(large));
	large[0] = 96;
	large[16] = 1;
	check(ask(device, MCP_IOC_INFO, large) == E2BIG,
	      "a later structure that wants something unknown");
	memset(large, 0, sizeof(large));
	large[0] = 96;
	large[24] = 1;
	check(ask(device, MCP_IOC_INFO, large) == 0 && large[24] == 1,
	      "what is behind the structure is not looked at");
	memset(large, 0, sizeof(large));
	large[0] = 4096;
	check(ask(device, MCP_IOC_INFO, large) == 0, "a page is the largest structure");
	large[0] = sizeof(large);
	check(ask(device, MCP_IOC_INFO, large) == E2BIG, "more than a page is refused");
}

static void test_fields(int device)
{
	struct mcp_info good = { .size = sizeof(good) }, info;

	for (unsigned int bit = 0; bit < 32; bit += 31) {
		info = good;
		info.flags = 1u << bit;
		expect(device, info, EINVAL, "an unknown flag");
	}
	info = good;
	info.reserved0 = 1;
	expect(device, info, EINVAL, "the first reserved field is not zero");
	for (unsigned int i = 0; i < 2; i++) {
		info = good;
		info.reserved1[i] = 1ull << 63;
		expect(device, info, EINVAL, "a later reserved field is not zero");
	}
}

static void test_pointers(int device)
{
	long page = sysconf(_SC_PAGESIZE);
	char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mcp_info good = { .size = sizeof(good) };
	__u32 size = 96;

	check(ask(device, MCP_IOC_INFO, NULL) == EFAULT, "a null pointer");
	check(ask(device, MCP_IOC_INFO, (void *)-64l) == EFAULT,
	      "a pointer into the kernel");
	if (two == MAP_FAILED || munmap(two + page, page) < 0)
		bail_out("pages for the tests of pointers");
	memcpy(two + page - sizeof(good) + 8, &good, sizeof(good) - 8);
	check(ask(device, MCP_IOC_INFO, two + page - sizeof(good) + 8) == EFAULT,
	      "a structure that leaves its page");
	memcpy(two + page - sizeof(good), &good, sizeof(good));
	check(ask(device, MCP_IOC_INFO, two + page - sizeof(good)) == 0,
	      "a structure at the end of its page");
	memcpy(two + page - sizeof(good), &good, sizeof(good));
	memcpy(two + page - sizeof(good), &size, sizeof(size));
	check(ask(device, MCP_IOC_INFO, two + page - sizeof(good)) == EFAULT,
	      "an unknown tail that leaves its page");
	memset(two, 0, page);
	memcpy(two + 3, &good, sizeof(good));
	check(ask(device, MCP_IOC_INFO, two + 3) == 0, "a structure at an odd address");
	memcpy(two, &good, sizeof(good));
	mprotect(two, page, PROT_READ);
	check(ask(device, MCP_IOC_INFO, two) == EFAULT,
	      "a structure that cannot be written");
	mprotect(two, page, PROT_NONE);
	check(ask(device, MCP_IOC_INFO, two) == EFAULT,
	      "a structure that cannot be read");
	munmap(two, page);
}

static void test_requests(int device)
{
	struct mcp_info info = { .size = sizeof(info) };

	check(ask(device, _IO(MCP_IOC_MAGIC, 0x00), &info) == ENOTTY,
	      "INFO's number without a direction");
	check(ask(device, _IOWR(MCP_IOC_MAGIC, 0x00, char[96]), &info) == ENOTTY,
	      "INFO's number with another size");
	check(ask(device, _IOWR(MCP_IOC_MAGIC, 0x01, struct mcp_info), &info) == ENOTTY,
	      "an unknown number");
	check(ask(device, _IOWR(0xfb, 0x00, struct mcp_info), &info) == ENOTTY,
	      "another device's number");
	check(ask(device, 0xffffffff, &info) == ENOTTY, "a number of ones");
}

static void test_file(int device)
{
	struct stat status;
	char byte = 0;

	check(fstat(device, &status) == 0 && S_ISCHR(status.st_mode),
	      "/dev/mcp is a character device");
	check((status.st_mode & 07777) == 0660, "its mode is 0660");
	check(read(device, &byte, 1) < 0 && errno == EINVAL, "a byte cannot be read");
	check(write(device, &byte, 1) < 0 && errno == EINVAL, "a byte cannot be written");
	check(lseek(device, 0, SEEK_END) < 0 && errno == ESPIPE, "it has no end");
	check(fsync(device) < 0 && errno == EINVAL, "there is nothing to write back");
}

static void test_read_only(void)
{
	struct mcp_info info = { .size = sizeof(info) };
	int device = open(MCP_DEVICE, O_RDONLY | O_CLOEXEC);

	check(device >= 0 && ask(device, MCP_IOC_INFO, &info) == 0,
	      "INFO needs no right to write");
	close(device);
}

int main(void)
{
	int device;

	test_begin();
	device = open(MCP_DEVICE, O_RDWR | O_CLOEXEC);
	test_answer(device);
	test_sizes(device);
	test_fields(device);
	test_pointers(device);
	test_requests(device);
	test_file(device);
	test_read_only();
	close(device);
	return test_end();
}
