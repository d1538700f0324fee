// SPDX-License-Identifier: GPL-2.0
/*
 * A port without a file: how another module of the kernel calls a handle.
 *
 * Concern: the same admission, accounts and order as for a port of user space;
 *          only the body comes from the kernel's memory, and the handle is
 *          given once, instead of with each frame.
 * Context: mcp_kport_open() in the task whose authority it is; sending and
 *          receiving in process context.
 * Locking: none of its own. @wake runs under the port's lock, or with the
 *          registry's held.
 * Lifetime: the kport has the handle and the port; what it sent is ended when
 *           it is closed. The caller sees to it that nobody uses it then.
 */
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "mcp_internal.h"
#include "mcp_kcall.h"

/**
 * struct mcp_kport - a port of the kernel's
 * @port: it has an arena, and @bound set
 * @messages: in the port's list of those who poll
 * @death: in the handle's
 * @wake: whom to tell
 * @data: for @wake
 */
struct mcp_kport {
	struct mcp_port *port;
	wait_queue_entry_t messages;
	wait_queue_entry_t death;
	mcp_kport_wake wake;
	void *data;
};

static int messages_came(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	struct mcp_kport *kport = container_of(entry, struct mcp_kport, messages);

	kport->wake(kport->data);
	return 0;
}

static int handle_died(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	struct mcp_kport *kport = container_of(entry, struct mcp_kport, death);

	kport->wake(kport->data);
	return 0;
}

/* The handle behind a descriptor, if it is valid, with a reference. */
static struct mcp_handle *bind_handle(int number)
{
	struct mcp_handle *handle = NULL;
	struct fd fd = fdget(number);
	int error = EBADF;

	if (fd_file(fd))
		handle = mcp_handle_of(fd_file(fd));
	if (handle)
		error = mcp_handle_error(handle);
	if (!error)
		mcp_handle_get(handle);
	fdput(fd);
	return error ? ERR_PTR(-error) : handle;
}

/* What was made so far goes; the port may be there or not. */
static void give_up(struct mcp_kport *kport, struct mcp_handle *handle)
{
	if (!IS_ERR_OR_NULL(kport->port))
		mcp_port_close(kport->port);
	mcp_handle_put(handle);
	kfree(kport);
}

/**
 * mcp_kport_open() - bind a port of the kernel's to a handle of the current task
 * @fd: a descriptor of the current task
 * @bytes: of the arena, charged to the current task's memory cgroup
 * @wake: who is told of messages and of the handle's death, from now on
 * @data: for @wake
 *
 * The decision is an audit record: from now on somebody else uses the handle.
 *
 * Return: the port; ERR_PTR() of -EBADF for what is not a handle,
 * -EKEYREVOKED, -EKEYEXPIRED or -EPIPE for one that is not valid, -ENOSPC
 * without the record, -EINVAL for a size that no arena has, -ENOMEM.
 */
struct mcp_kport *mcp_kport_open(int fd, u32 bytes, mcp_kport_wake wake, void *data)
{
	struct mcp_handle *handle = bind_handle(fd);
	struct mcp_kport *kport;
	int error;

	if (IS_ERR(handle))
		return ERR_CAST(handle);
	kport = kzalloc(sizeof(*kport), GFP_KERNEL_ACCOUNT);
	if (!kport) {
		mcp_handle_put(handle);
		return ERR_PTR(-ENOMEM);
	}
	kport->port = mcp_port_new(current_cred());
	error = PTR_ERR_OR_ZERO(kport->port);
	if (!error)
		error = mcp_port_set_arena(kport->port, bytes, false);
	if (!error)
		error = mcp_audit_decision("bind", handle->endpoint, handle, handle->rights, 0);
	if (error) {
		give_up(kport, handle);
		return ERR_PTR(error);
	}
	kport->port->bound = handle;
	kport->wake = wake;
	kport->data = data;
	kport->port->binder = mcp_stamp_of_current();
	init_waitqueue_func_entry(&kport->messages, messages_came);
	init_waitqueue_func_entry(&kport->death, handle_died);
	add_wait_queue(&kport->port->poll, &kport->messages);
	add_wait_queue(&handle->poll, &kport->death);
	return kport;
}
EXPORT_SYMBOL_GPL(mcp_kport_open);

/**
 * mcp_kport_close() - the end of a port of the kernel's
 * @kport: nobody sends or receives any more, and @wake's work may still come
 *
 * What was sent ends with EPIPE. After this @wake is not called again.
 */
void mcp_kport_close(struct mcp_kport *kport)
{
	struct mcp_handle *handle = kport->port->bound;

	remove_wait_queue(&handle->poll, &kport->death);
	remove_wait_queue(&kport->port->poll, &kport->messages);
	give_up(kport, handle);
}
EXPORT_SYMBOL_GPL(mcp_kport_close);

/**
 * mcp_kport_error() - is its handle still valid?
 * @kport: any
 *
 * Return: 0, or why not: -EKEYREVOKED, -EKEYEXPIRED, -EPIPE.
 */
int mcp_kport_error(const struct mcp_kport *kport)
{
	return -mcp_handle_error(kport->port->bound);
}
EXPORT_SYMBOL_GPL(mcp_kport_error);

/**
 * mcp_kport_sender() - the id of its handle
 * @kport: any
 *
 * Return: what receivers see as the sender.
 */
u64 mcp_kport_sender(const struct mcp_kport *kport)
{
	return kport->port->bound->sender;
}
EXPORT_SYMBOL_GPL(mcp_kport_sender);

static int send_request(struct mcp_kport *kport, const struct mcp_frame *frame, u64 *cookie)
{
	struct mcp_exchange *exchange;
	int error;

	exchange = mcp_request_prepare(kport->port, frame, MCP_ANSWER_QUEUE);
	if (IS_ERR(exchange))
		return PTR_ERR(exchange);
	*cookie = exchange->cookie;
	error = mcp_request_publish(exchange, frame);
	mcp_exchange_put(exchange);
	return error;
}

/**
 * mcp_kport_send() - send a message, without waiting
 * @kport: the sender
 * @envelope: as a sender of user space would fill it; it carries no descriptors
 * @body: its bytes, in the kernel's memory
 * @cookie: REQUEST: what the exchange is called; its answer may come before
 *	    this returns
 *
 * Return: as writing the frame would, without -EFAULT.
 */
int mcp_kport_send(struct mcp_kport *kport, const struct mcp_envelope *envelope, const void *body,
		   u64 *cookie)
{
	struct mcp_frame frame = {
		.envelope = *envelope,
		.body = envelope->len ? (uintptr_t)body : 0,
		.handle = -1,
	};
	int error;

	if (envelope->nfds)
		return -EINVAL;
	error = mcp_frame_begin(kport->port, &frame);
	if (error)
		return error;
	return envelope->kind == MCP_REQUEST ? send_request(kport, &frame, cookie) :
					       mcp_frame_send(kport->port, &frame);
}
EXPORT_SYMBOL_GPL(mcp_kport_send);

/* A request that nobody here will answer. */
static void refuse(struct mcp_exchange *exchange, int error)
{
	mcp_exchange_end(exchange, error);
	mcp_exchange_finish(exchange);
}

/**
 * mcp_kport_receive() - have one message looked at, and release its slot
 * @kport: the receiver
 * @take: who looks
 * @data: for @take
 *
 * Of a REQUEST that is not refused, the exchange stays open for its RESPONSE.
 *
 * Return: whether there was a message.
 */
bool mcp_kport_receive(struct mcp_kport *kport, mcp_kport_take take, void *data)
{
	struct mcp_port *port = kport->port;
	struct mcp_exchange *exchange;
	struct mcp_envelope *envelope;
	struct mcp_taken taken;
	struct mcp_msg *msg;
	u32 slot;
	int error;

	spin_lock(&port->lock);
	taken = mcp_port_pop(port);
	/* A CANCEL lies in the slot of its request. */
	slot = round_down(taken.slot, MCP_UNIT);
	if (slot) {
		msg = mcp_slots_owner(&port->area->slots, slot / MCP_UNIT);
		exchange = mcp_exchange_get(msg->exchange);
	}
	spin_unlock(&port->lock);
	if (!slot)
		return false;
	envelope = (struct mcp_envelope *)(port->area->base + taken.slot);
	error = take(data, envelope, port->area->base + slot + MCP_BODY_OFFSET);
	if (envelope->kind == MCP_REQUEST && error)
		refuse(exchange, -error);
	else
		mcp_port_release(port, slot);
	mcp_exchange_put(exchange);
	return true;
}
EXPORT_SYMBOL_GPL(mcp_kport_receive);
