/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the files of libmcp share. A connection belongs to one thread, so there
 * are no locks.
 *
 * A message goes: path (ioctl.c, rw.c, uring.c) -> inbox, a queue of slots ->
 * dispatch() -> a handler of the server, or a call of ours that is open.
 */
#ifndef LIBMCP_INTERNAL_H
#define LIBMCP_INTERNAL_H

#include "buffer.h"
#include "libmcp.h"

/* A request of ours that has no answer yet. */
struct pending {
	struct pending *next;
	struct mcp_frame frame;		/* io_uring may read it until the end */
	__u64 cookie;
	char id[LIBMCP_ID_MAX];
	size_t id_len;			/* 0: a notification */
	void (*notify)(struct libmcp *mcp, uint64_t parent, const char *body, size_t len, void *context);
	libmcp_handler *request;
	void (*cancelled)(struct libmcp *mcp, uint64_t cookie, int error, void *context);
	void *context;
	libmcp_done *done;		/* NULL: libmcp_call() waits for it */
	bool in_ring;			/* a command of io_uring's points here */
	bool over;			/* @error or @slot says how */
	int error;
	uint32_t slot;
};

/* A request that was dispatched and has no answer of ours yet. */
struct open_call {
	uint64_t cookie;
	uint32_t slot;
};

/* Slots that were received and not dispatched, oldest first. */
struct inbox {
	uint32_t *slots;
	unsigned int size, first, count;
};

struct tool_row {
	unsigned int id, flags;
	libmcp_handler *call;
	void *context;
	char *definition;	/* in canonical form, not ended by a zero */
	size_t definition_len;
	struct libmcp_text name;	/* in @definition, with quotes */
	char bus_name[MCP_NAME_SIZE];
	uint8_t digest[MCP_DIGEST_SIZE];
};

struct tool_table {
	struct tool_row *rows;
	unsigned int count;
};

struct ring;

/*
 * One of the three ways. None of them takes a slot out of the inbox.
 * @open, @close: what it needs besides the port.
 * @send: a frame, without waiting for anything.
 * @start: a request; its answer comes by the inbox, or makes it @over.
 * @submit: what was staged, NULL if nothing ever is.
 * @stage: sends @held, at the latest with the next @wait.
 * @wait: sends @held, and waits for something to happen: 0 or -errno.
 * @call: a request and its answer, NULL if @start and @wait are as good.
 */
struct path {
	enum libmcp_path name;
	int (*open)(struct libmcp *mcp);
	void (*close)(struct libmcp *mcp);
	int (*send)(struct libmcp *mcp, struct mcp_frame *frame);
	int (*start)(struct libmcp *mcp, struct pending *pending);
	int (*submit)(struct libmcp *mcp);
	int (*stage)(struct libmcp *mcp);
	int (*wait)(struct libmcp *mcp, int timeout_ms);
	int (*call)(struct libmcp *mcp, struct pending *pending);
};

int ring_fd(const struct libmcp *mcp);
extern const struct path path_ioctl, path_rw, path_uring;

struct libmcp {
	int fd;
	const struct path *path;
	const unsigned char *arena;
	size_t arena_bytes;
	bool blocking;			/* the file has no O_NONBLOCK now */
	uint32_t spare;			/* a slot to release with the next frame */
	struct ring *ring;
	struct inbox inbox;
	struct pending *pending;

	/* An answer that leaves with the next call. */
	bool held;
	struct mcp_frame held_frame;
	uint64_t held_parent;
	struct buffer held_body;

	struct open_call *open;
	unsigned int nopen, open_size;
	struct libmcp_service service;	/* its name and tools are not kept */
	struct tool_table tools;
};

/* connection.c */
const struct mcp_envelope *envelope_at(const struct libmcp *mcp, uint32_t slot);
struct mcp_frame empty_frame(void);
struct mcp_frame new_frame(unsigned int kind, const void *body, size_t len);
void take_spare(struct libmcp *mcp, struct mcp_frame *frame);
int release_slot(struct libmcp *mcp, uint32_t slot);
/* The descriptors of a message, and what to do with those that nobody takes. */
unsigned int message_fds(const struct libmcp *mcp, uint32_t slot, const int **fds);
void close_fds(const struct libmcp *mcp, uint32_t slot);
int wait_readable(int fd, int timeout_ms);
int send_held(struct libmcp *mcp);
int send_frame(struct libmcp *mcp, struct mcp_frame *frame);
/* An errno of a RESPONSE that only says that nobody waits for it. */
bool answer_is_late(int error);

/* inbox.c */
int inbox_open(struct libmcp *mcp);
void inbox_push(struct libmcp *mcp, uint32_t slot);
uint32_t inbox_take(struct libmcp *mcp);
/* The first that belongs to this call of ours, or 0. */
uint32_t inbox_take_of(struct libmcp *mcp, const struct pending *pending);
bool inbox_remove(struct libmcp *mcp, uint32_t slot);

/* dispatch.c */
void dispatch(struct libmcp *mcp, uint32_t slot);
struct pending *pending_find(struct libmcp *mcp, uint64_t cookie);
void pending_drop(struct libmcp *mcp, struct pending *pending);
void pending_end(struct libmcp *mcp, struct pending *pending, int error, uint32_t slot);
/* Calls @done of one call that is over: whether there was one. */
bool pending_report(struct libmcp *mcp);
/* What the slot says, checked. Releases it if that is an error. */
int reply_read(struct libmcp *mcp, const struct pending *pending, struct libmcp_reply *reply);

/* server.c */
void serve_request(struct libmcp *mcp, uint32_t slot);
uint64_t open_cancelled(const struct libmcp *mcp, uint32_t slot);
bool open_forget(struct libmcp *mcp, uint64_t cookie);

/* tools.c */
const struct tool_row *tool_find(const struct tool_table *table, unsigned int id);
int answer_tools_list(struct libmcp_call *call);
void tools_free(struct tool_table *table);

#endif
