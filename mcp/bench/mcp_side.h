/* SPDX-License-Identifier: GPL-2.0 */
/* What the rows over /dev/mcp share: a port with its arena, and frames. */
#ifndef MCP_BENCH_MCP_SIDE_H
#define MCP_BENCH_MCP_SIDE_H

#include <linux/mcp.h>

#include "bench.h"

#define BENCH_TOOL	1

/* An open file of /dev/mcp with its arena. */
struct port {
	int fd;
	int handle;		/* of a client */
	const __u8 *arena;
	size_t bytes;
};

void port_open(struct port *port, const struct row *row);
void port_serve(struct port *port, pid_t client);
void port_connect(struct port *port, pid_t client);
const struct mcp_envelope *port_message(const struct port *port, __u32 slot);
const __u8 *port_request(const struct row *row, const struct port *port, __u32 slot);
void port_check(struct row *row, unsigned int which, const struct port *port, __u32 slot);
void frame_request(struct mcp_frame *frame, const struct row *row, const struct port *port,
		   unsigned int which);
void frame_response(struct mcp_frame *frame, const struct row *row, const __u8 *body);

#endif
