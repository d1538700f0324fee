// SPDX-License-Identifier: GPL-2.0
/*
 * The order of steps, and who moves which end of a ring, are those of the
 * kernel's Documentation/networking/af_xdp.rst. One thread has the socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>

#include "xsk.h"

/* Of each ring, and chunks of memory for each direction. A power of two. */
#define ENTRIES	64
#define CHUNK	2048

/* The two are socket.h's where that is new enough. */
#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

/* ---- The program that sends frames to the socket ------------------------- */

static int bpf(int command, union bpf_attr *attr)
{
	long got = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return got < 0 ? -errno : (int)got;
}

#define INSN(operation, to, from, offset, number) \
	((struct bpf_insn){ .code = (operation), .dst_reg = (to), .src_reg = (from), \
			    .off = (offset), .imm = (number) })

/*
 * In C:
 *	if (ctx->data + 14 > ctx->data_end || *(u16 *)(ctx->data + 12) != ethertype)
 *		return XDP_PASS;
 *	return bpf_redirect_map(map, ctx->rx_queue_index, XDP_DROP);
 * Fifteen instructions, so that a test image needs no compiler for eBPF.
 */
static int load(int map, uint16_t ethertype)
{
	struct bpf_insn program[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, data), 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct xdp_md, data_end), 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, ETH_HLEN),
		INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 8, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_H, 4, 2, 2 * ETH_ALEN, 0),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 4, 0, 6, htons(ethertype)),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, rx_queue_index), 0),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_DROP),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = ARRAY_SIZE(program),
		.license = (uintptr_t)"GPL",
		.prog_name = "mcp_bypass",
		.expected_attach_type = BPF_XDP,
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int new_map(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4,
				.max_entries = 1, .map_name = "mcp_bypass" };

	return bpf(BPF_MAP_CREATE, &attr);
}

static int put(int map, int socket)
{
	uint32_t queue = 0;
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&queue,
				.value = (uintptr_t)&socket };

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static int attach(int program, unsigned int ifindex)
{
	union bpf_attr attr = {
		.link_create = { .prog_fd = program, .target_ifindex = ifindex,
				 .attach_type = BPF_XDP, .flags = XDP_FLAGS_SKB_MODE },
	};

	return bpf(BPF_LINK_CREATE, &attr);
}

/* ---- The socket ---------------------------------------------------------- */

static int set(int fd, int option, const void *value, socklen_t bytes)
{
	return setsockopt(fd, SOL_XDP, option, value, bytes) ? -errno : 0;
}

static int share_memory(struct xsk *xsk)
{
	struct xdp_umem_reg region = { .len = 2 * ENTRIES * CHUNK, .chunk_size = CHUNK };

	xsk->unused = calloc(ENTRIES, sizeof(*xsk->unused));
	xsk->memory = mmap(NULL, region.len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!xsk->unused || xsk->memory == MAP_FAILED)
		return -ENOMEM;
	region.addr = (uintptr_t)xsk->memory;
	/* The first half is received into; the second is sent from. */
	while (xsk->count < ENTRIES) {
		xsk->unused[xsk->count] = (uint64_t)(ENTRIES + xsk->count) * CHUNK;
		xsk->count++;
	}
	return set(xsk->fd, XDP_UMEM_REG, &region, sizeof(region));
}

static int map_ring(struct xsk_ring *ring, int fd, const struct xdp_ring_offset *offset,
		    size_t entry, off_t page)
{
	unsigned char *at = mmap(NULL, offset->desc + ENTRIES * entry, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_POPULATE, fd, page);

	if (at == MAP_FAILED)
		return -errno;
	ring->producer = (uint32_t *)(at + offset->producer);
	ring->consumer = (uint32_t *)(at + offset->consumer);
	ring->entries = at + offset->desc;
	return 0;
}

static int map_rings(struct xsk *xsk)
{
	static const int options[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING,
				       XDP_TX_RING };
	struct xdp_mmap_offsets at;
	socklen_t bytes = sizeof(at);
	int entries = ENTRIES, error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(options) && !error; i++)
		error = set(xsk->fd, options[i], &entries, sizeof(entries));
	if (error)
		return error;
	if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes))
		return -errno;
	error = map_ring(&xsk->fill, xsk->fd, &at.fr, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
	if (!error)
		error = map_ring(&xsk->completion, xsk->fd, &at.cr, sizeof(uint64_t),
				 XDP_UMEM_PGOFF_COMPLETION_RING);
	if (!error)
		error = map_ring(&xsk->rx, xsk->fd, &at.rx, sizeof(struct xdp_desc),
				 XDP_PGOFF_RX_RING);
	if (!error)
		error = map_ring(&xsk->tx, xsk->fd, &at.tx, sizeof(struct xdp_desc),
				 XDP_PGOFF_TX_RING);
	return error;
}

/* Our end of a ring is ours to read; the kernel's is acquired. */
static uint32_t theirs(const uint32_t *end)
{
	return __atomic_load_n(end, __ATOMIC_ACQUIRE);
}

static void advance(uint32_t *end)
{
	__atomic_store_n(end, *end + 1, __ATOMIC_RELEASE);
}

/* There is always room: as many entries as chunks. */
static void give(struct xsk *xsk, uint64_t chunk)
{
	((uint64_t *)xsk->fill.entries)[*xsk->fill.producer % ENTRIES] = chunk;
	advance(xsk->fill.producer);
}

int xsk_open(struct xsk *xsk, unsigned int ifindex, uint16_t ethertype, const char **what)
{
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP, .sxdp_ifindex = ifindex,
					.sxdp_flags = XDP_COPY };
	int map, program, error;

	memset(xsk, 0, sizeof(*xsk));
	*what = "AF_XDP";
	xsk->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xsk->fd < 0)
		return -errno;
	error = share_memory(xsk);
	if (!error)
		error = map_rings(xsk);
	if (error)
		return error;
	for (uint64_t i = 0; i < ENTRIES; i++)
		give(xsk, i * CHUNK);
	if (bind(xsk->fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	*what = "the XDP program";
	map = new_map();
	if (map < 0)
		return map;
	error = put(map, xsk->fd);
	if (error)
		return error;
	program = load(map, ethertype);
	if (program < 0)
		return program;
	xsk->link = attach(program, ifindex);
	return xsk->link < 0 ? xsk->link : 0;
}

/* ---- Frames -------------------------------------------------------------- */

static const struct xdp_desc *oldest(const struct xsk *xsk)
{
	return (const struct xdp_desc *)xsk->rx.entries + *xsk->rx.consumer % ENTRIES;
}

unsigned char *xsk_receive(struct xsk *xsk, size_t *bytes)
{
	if (*xsk->rx.consumer == theirs(xsk->rx.producer))
		return NULL;
	*bytes = oldest(xsk)->len;
	return xsk->memory + oldest(xsk)->addr;
}

void xsk_release(struct xsk *xsk)
{
	uint64_t chunk = oldest(xsk)->addr / CHUNK * CHUNK;

	advance(xsk->rx.consumer);
	give(xsk, chunk);
}

static void take_back(struct xsk *xsk)
{
	while (*xsk->completion.consumer != theirs(xsk->completion.producer)) {
		const uint64_t *chunks = xsk->completion.entries;

		xsk->unused[xsk->count++] = chunks[*xsk->completion.consumer % ENTRIES];
		advance(xsk->completion.consumer);
	}
}

int xsk_send(struct xsk *xsk, const unsigned char *frame, size_t bytes)
{
	struct xdp_desc *row = (struct xdp_desc *)xsk->tx.entries + *xsk->tx.producer % ENTRIES;

	if (bytes > CHUNK)
		return -EMSGSIZE;
	take_back(xsk);
	if (!xsk->count)
		return -ENOBUFS;
	*row = (struct xdp_desc){ .addr = xsk->unused[--xsk->count], .len = bytes };
	memcpy(xsk->memory + row->addr, frame, bytes);
	advance(xsk->tx.producer);
	/* In copy mode nothing leaves before this. Busy or short of memory: it goes with the next. */
	if (sendto(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
	    errno != EBUSY && errno != ENOBUFS)
		return -errno;
	return 0;
}
