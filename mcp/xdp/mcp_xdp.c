// SPDX-License-Identifier: GPL-2.0
/*
 * mcp-xdp DEVICE none|any|ADDRESS: put mcp_xdp.bpf.c in front of a device, in
 * generic mode, until a signal comes; then print what it has counted. When the
 * device goes before, end with 1.
 *
 * The second word says which frames of EtherType 0xFAF0 may pass: those of
 * nobody, of anybody, or of one sender. It should be what the device is bound
 * to. Needs CAP_NET_ADMIN and CAP_BPF.
 */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/if_link.h>

#include "../net/tool/address.h"
#include "load.h"
#include "mcp_xdp.h"

/* object.S */
extern const unsigned char mcp_xdp_object[], mcp_xdp_object_end[];

#define CPUS_MAX 256
#define LOOK_SECONDS 10

static int usage(void)
{
	fprintf(stderr, "usage: mcp-xdp DEVICE none|any|ADDRESS\n");
	return 2;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "mcp-xdp: %s: %s\n", what, strerror(error));
	return 1;
}

/* 1 for something that may pass, 0 for nothing, -1 for what is neither. */
static int read_peer(const char *word, struct mcp_xdp_bound *device)
{
	memset(device, 0, sizeof(*device));
	if (!strcmp(word, "none"))
		return 0;
	if (!strcmp(word, "any")) {
		device->any_peer = 1;
		return 1;
	}
	return address_read(word, device->peer) ? 1 : -1;
}

/* A map of numbers of 4 bytes to rows. */
static int new_map(__u32 type, __u32 row, __u32 rows, const char *name)
{
	union bpf_attr attr = {
		.map_type = type,
		.key_size = sizeof(__u32),
		.value_size = row,
		.max_entries = rows,
	};

	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
}

static int set_row(int map, const __u32 *key, const void *value)
{
	union bpf_attr attr = {
		.map_fd = map,
		.key = (unsigned long)key,
		.value = (unsigned long)value,
	};

	return sys_bpf(BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
}

static int attach(int program, unsigned int index)
{
	union bpf_attr attr = {
		.link_create = {
			.prog_fd = program,
			.target_ifindex = index,
			.attach_type = BPF_XDP,
			.flags = XDP_FLAGS_SKB_MODE,
		},
	};

	return sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
}

static int look_up(int map, const void *key, void *value)
{
	union bpf_attr attr = {
		.map_fd = map,
		.key = (unsigned long)key,
		.value = (unsigned long)value,
	};

	return sys_bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr));
}

/* One number for each CPU that there may be; the kernel fills as many as it has. */
static int print_counts(int map)
{
	static const char *const names[MCP_XDP_COUNTS] = { "passed", "malformed", "unbound",
							   "strange" };
	__u64 each[CPUS_MAX];

	for (__u32 row = 0; row < MCP_XDP_COUNTS; row++) {
		__u64 sum = 0;
		int error;

		memset(each, 0, sizeof(each));
		error = look_up(map, &row, each);
		if (error)
			return fail("the counters", -error);
		for (int cpu = 0; cpu < CPUS_MAX; cpu++)
			sum += each[cpu];
		printf("%s %llu\n", names[row], (unsigned long long)sum);
	}
	return fflush(stdout) ? fail("standard output", errno) : 0;
}

/* Whether the link still has a device: it outlives one that is unregistered, and nobody is told. */
static int look_at(int link)
{
	struct bpf_link_info about = { 0 };
	union bpf_attr attr = {
		.info = {
			.bpf_fd = link,
			.info_len = sizeof(about),
			.info = (unsigned long)&about,
		},
	};
	int error = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));

	return error ? error : about.xdp.ifindex ? 0 : -ENODEV;
}

/* Until a signal comes, or the device has gone. */
static int stay(int program, unsigned int index)
{
	static const struct timespec now_and_then = { .tv_sec = LOOK_SECONDS };
	int link, error, signal;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	link = attach(program, index);
	if (link < 0)
		return fail("cannot attach", -link);
	puts("attached");
	fflush(stdout);
	do {
		signal = sigtimedwait(&signals, NULL, &now_and_then);
		error = look_at(link);
	} while (signal < 0 && !error);
	close(link);
	return error ? fail("no longer in front of the device", -error) : 0;
}

static int run(__u32 index, const struct mcp_xdp_bound *device, int listed)
{
	struct load_map maps[] = { { .name = "bound" }, { .name = "counts" } };
	int program, error;

	maps[0].fd = new_map(BPF_MAP_TYPE_HASH, sizeof(*device), MCP_XDP_DEVICES, "bound");
	maps[1].fd = new_map(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u64), MCP_XDP_COUNTS, "counts");
	if (maps[0].fd < 0 || maps[1].fd < 0)
		return fail("no map", -(maps[0].fd < 0 ? maps[0].fd : maps[1].fd));
	error = listed ? set_row(maps[0].fd, &index, device) : 0;
	if (error)
		return fail("the device", -error);
	program = load_program(mcp_xdp_object, mcp_xdp_object_end - mcp_xdp_object, "xdp", maps, 2);
	if (program < 0)
		return fail("cannot load", -program);
	error = stay(program, index);
	return error ? error : print_counts(maps[1].fd);
}

int main(int argc, char **argv)
{
	struct mcp_xdp_bound device;
	unsigned int index;
	int listed;

	if (argc != 3)
		return usage();
	index = if_nametoindex(argv[1]);
	if (!index)
		return fail(argv[1], errno);
	listed = read_peer(argv[2], &device);
	/* All is closed when the program ends. */
	return listed < 0 ? usage() : run(index, &device, listed);
}
