/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What another module may do with mcp.ko: call one handle, as a port does.
 */
#ifndef _MCP_KCALL_H
#define _MCP_KCALL_H

#include <linux/types.h>

#include <linux/mcp.h>

struct mcp_kport;

/**
 * typedef mcp_kport_wake - something happened: a message came, or the handle died
 * @data: of mcp_kport_open()
 *
 * Called with a spinlock held; it may start a work and no more.
 */
typedef void (*mcp_kport_wake)(void *data);

/**
 * typedef mcp_kport_take - look at one message
 * @data: of mcp_kport_receive()
 * @envelope: in the arena, as a receiver of user space would see it
 * @body: @envelope->len bytes in the arena, valid until this returns
 *
 * Return: 0; for a REQUEST also a negative errno: nobody will answer it, and
 * its caller is told so.
 */
typedef int (*mcp_kport_take)(void *data, const struct mcp_envelope *envelope, const void *body);

struct mcp_kport *mcp_kport_open(int fd, u32 bytes, mcp_kport_wake wake, void *data);
void mcp_kport_close(struct mcp_kport *kport);
int mcp_kport_error(const struct mcp_kport *kport);
u64 mcp_kport_sender(const struct mcp_kport *kport);
int mcp_kport_send(struct mcp_kport *kport, const struct mcp_envelope *envelope, const void *body,
		   u64 *cookie);
bool mcp_kport_receive(struct mcp_kport *kport, mcp_kport_take take, void *data);

#endif /* _MCP_KCALL_H */
