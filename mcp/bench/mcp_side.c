// SPDX-License-Identifier: GPL-2.0
/*
 * A client's or a server's side of /dev/mcp. The slot of an answer is given
 * back in the frame of the next call, so that releasing it costs no call; the
 * request's slot goes with its answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mcp_side.h"

/* One sender may hold a quarter of an arena; twice that leaves it never full. */
#define SHARES	8

static size_t arena_bytes(const struct row *row)
{
	size_t slot = (MCP_BODY_OFFSET + row->bytes + 255) & ~(size_t)255;
	size_t bytes = slot * row->depth * SHARES;

	if (bytes < MCP_ARENA_MIN)
		bytes = MCP_ARENA_MIN;
	if (bytes > MCP_ARENA_MAX)
		bytes = MCP_ARENA_MAX;
	return (bytes + 65535) & ~(size_t)65535;
}

void port_open(struct port *port, const struct row *row)
{
	struct mcp_arena arena = { .size = sizeof(arena), .bytes = arena_bytes(row) };

	port->fd = open("/dev/mcp", O_RDWR | O_CLOEXEC);
	if (port->fd < 0)
		die("/dev/mcp: %s", strerror(errno));
	if (ioctl(port->fd, MCP_IOC_ARENA, &arena) < 0)
		die("MCP_IOC_ARENA of %zu bytes: %s", (size_t)arena.bytes, strerror(errno));
	port->bytes = arena.bytes;
	port->arena = mmap(NULL, port->bytes, PROT_READ, MAP_SHARED, port->fd, 0);
	if (port->arena == MAP_FAILED)
		die("the arena's mapping: %s", strerror(errno));
}

/* A name for each row: rows never meet. */
static void set_name(__u8 *field, pid_t client)
{
	memset(field, 0, MCP_NAME_SIZE);
	snprintf((char *)field, MCP_NAME_SIZE, "bench.%d", (int)client);
}

void port_serve(struct port *port, pid_t client)
{
	struct mcp_tool tool = {
		.id = BENCH_TOOL, .flags = MCP_TOOL_READ_ONLY, .digest = { 1 }, .name = "echo",
	};
	struct mcp_serve serve = {
		.size = sizeof(serve), .uid = ~0u, .gid = ~0u, .mode = 0700,
		.ntools = 1, .tool_size = sizeof(tool), .tools = (uintptr_t)&tool,
	};

	set_name(serve.name, client);
	if (ioctl(port->fd, MCP_IOC_SERVE, &serve) < 0)
		die("MCP_IOC_SERVE: %s", strerror(errno));
}

void port_connect(struct port *port, pid_t client)
{
	struct mcp_open request = { .size = sizeof(request), .rights = MCP_RIGHT_READ };

	set_name(request.name, client);
	if (ioctl(port->fd, MCP_IOC_OPEN, &request) < 0)
		die("MCP_IOC_OPEN: %s", strerror(errno));
	port->handle = request.fd;
}

const struct mcp_envelope *port_message(const struct port *port, __u32 slot)
{
	if (!slot || slot >= port->bytes)
		die("slot %u is not in the arena", slot);
	return (const struct mcp_envelope *)(port->arena + slot);
}

/* The body of a request that is as it was sent; anything else ends the row. */
const __u8 *port_request(const struct row *row, const struct port *port, __u32 slot)
{
	const struct mcp_envelope *envelope = port_message(port, slot);

	if (envelope->kind != MCP_REQUEST || envelope->flags || envelope->tool != BENCH_TOOL ||
	    envelope->len != row->bytes)
		die("%s: the server got kind %u flags %u status %u tool %u length %u",
		    row->path->name, envelope->kind, envelope->flags, envelope->status,
		    envelope->tool, envelope->len);
	return port->arena + slot + MCP_BODY_OFFSET;
}

void port_check(struct row *row, unsigned int which, const struct port *port, __u32 slot)
{
	const struct mcp_envelope *envelope = port_message(port, slot);

	if (envelope->kind != MCP_RESPONSE || envelope->flags)
		die("%s: the client got kind %u flags %u status %u", row->path->name,
		    envelope->kind, envelope->flags, envelope->status);
	check_answer(row, which, port->arena + slot + MCP_BODY_OFFSET, envelope->len);
}

/* All that stays the same from one request to the next. */
void frame_request(struct mcp_frame *frame, const struct row *row, const struct port *port,
		   unsigned int which)
{
	*frame = (struct mcp_frame){
		.envelope = {
			.magic = MCP_MAGIC,
			.version = MCP_ENVELOPE_VERSION,
			.kind = MCP_REQUEST,
			.len = (__u32)row->bytes,
			.tool = BENCH_TOOL,
			.method = MCP_METHOD_TOOLS_CALL,
			.proto = MCP_PROTO_2026_07_28,
			.reserve = (__u32)row->bytes,
		},
		.body = (uintptr_t)(row->request + which * row->bytes),
		.handle = port->handle,
	};
}

/* The same for an answer; its cookie is that of the request. */
void frame_response(struct mcp_frame *frame, const struct row *row, const __u8 *body)
{
	*frame = (struct mcp_frame){
		.envelope = {
			.magic = MCP_MAGIC,
			.version = MCP_ENVELOPE_VERSION,
			.kind = MCP_RESPONSE,
			.len = (__u32)row->bytes,
		},
		.body = (uintptr_t)body,
		.handle = -1,
	};
}
