/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * libmcp: MCP over /dev/mcp. docs/libmcp.md is its manual; docs/transport.md
 * says what both sides of the transport have to do.
 *
 * Every function that can fail returns 0 (or what its comment says) or -errno.
 * A connection belongs to one thread: the one that made it. Nothing is global,
 * nothing runs in the background, no signal is touched.
 */
#ifndef LIBMCP_H
#define LIBMCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/mcp.h>

#ifdef __cplusplus
extern "C" {
#endif

struct libmcp;		/* a connection: an open file of /dev/mcp */

/* A piece of JSON as it stands in a body: not ended by a zero; @len 0: it is not there. */
struct libmcp_text {
	const char *text;
	size_t len;
};

/* ---- JSON and names: these need no connection --------------------------------- */

#define LIBMCP_ID_MAX	128	/* bytes of an id, as it is written */

enum libmcp_kind {
	LIBMCP_REQUEST = 1,
	LIBMCP_NOTIFICATION,
	LIBMCP_RESULT,
	LIBMCP_ERROR,
};

/* What a JSON-RPC message says of itself. */
struct libmcp_message {
	enum libmcp_kind kind;
	struct libmcp_text id, method, params, result, error;
	struct libmcp_text name, arguments;	/* of params */
	struct libmcp_text revision;	/* of params._meta */
};

/* -EBADMSG: not JSON (-32700); -EINVAL: no JSON-RPC message, or ambiguous (-32600). */
int libmcp_read(const void *body, size_t len, struct libmcp_message *message);
/* Whether a string, with its quotes, says @text, however it is escaped. */
bool libmcp_text_is(struct libmcp_text string, const char *text);
/* A member of an object: -ENOENT, -EINVAL if it is there twice or @object is none. */
int libmcp_member(struct libmcp_text object, const char *name, struct libmcp_text *value);
/* A string decoded to UTF-8 with a zero at its end: its length; -ENOSPC, -EINVAL. */
int libmcp_string(struct libmcp_text string, char *out, size_t size);
/* RFC 8785; @canonical is for free(). -EBADMSG, -EINVAL (a name twice), -ERANGE (a number), -ENOMEM. */
int libmcp_canonical(const char *json, size_t len, char **canonical, size_t *written);
/* SHA-256 of the canonical form. */
int libmcp_digest(const char *json, size_t len, uint8_t digest[MCP_DIGEST_SIZE]);
/* A tool's name as it is on the bus. -EINVAL: empty, or not UTF-8. */
int libmcp_bus_name(const char *name, size_t len, char out[MCP_NAME_SIZE]);

/* An errno of the transport, for gateways: in a range that is no peer's. @error is negative. */
#define LIBMCP_TRANSPORT_CODE(error)	(-33000 + (error))
const char *libmcp_error_name(int error);
/* A whole JSON-RPC error with that code; @body is for free(). */
int libmcp_transport_error(int error, struct libmcp_text id, char **body, size_t *len);

/* ---- Connections ---------------------------------------------------------------- */

enum libmcp_path {
	LIBMCP_AUTO,	/* io_uring where it may be used, else ioctl */
	LIBMCP_IOCTL,
	LIBMCP_URING,
	LIBMCP_RW,
};

struct libmcp_options {
	enum libmcp_path path;
	unsigned int arena_flags;	/* MCP_ARENA_TAKES_FDS */
	size_t arena;		/* bytes, 0 for 1 MiB */
	const char *device;	/* NULL for /dev/mcp */
};

/* @options may be NULL. -EPROTO: another ABI version; -EOPNOTSUPP: no io_uring. */
int libmcp_connect(struct libmcp **out, const struct libmcp_options *options);
/* Ends it and all that it has open; callbacks of open calls are not called. NULL is fine. */
void libmcp_close(struct libmcp *mcp);
/* LIBMCP_IOCTL, _URING or _RW. */
enum libmcp_path libmcp_path(const struct libmcp *mcp);
/* For poll(), after libmcp_run(mcp, 0) has returned 0: readable means that there is more to do. */
int libmcp_fd(const struct libmcp *mcp);
/*
 * Handles one message, at most so many milliseconds from now (-1: however long
 * it takes). 1; 0 when none came; -EINTR after a signal (0 if there was a time). An answer that a
 * handler made leaves with the next libmcp_run(), libmcp_flush() or
 * libmcp_close(): so one system call answers and waits.
 */
int libmcp_run(struct libmcp *mcp, int timeout_ms);
int libmcp_flush(struct libmcp *mcp);

/* ---- Serving -------------------------------------------------------------------- */

/*
 * A request that was received. All of it is in the arena and ends with the
 * answer, or when @cancelled was called for it. A copy may be kept until then.
 */
struct libmcp_call {
	struct libmcp *mcp;
	uint64_t cookie;	/* the parent of what is sent within it */
	uint64_t sender, parent, deadline;
	unsigned int tool;	/* stamped by the kernel: what may be acted on */
	uint32_t reserve;	/* bytes that an answer may have */
	uint8_t credit;
	uint32_t slot;
	const char *body;
	size_t len;
	const int *fds;		/* ours to close */
	unsigned int nfds;
	struct libmcp_message message;
	void *context;		/* of the tool, or of whoever handles it */
};

/* Answers now, or returns LIBMCP_LATER and answers later. Another value is an error -32603. */
typedef int libmcp_handler(struct libmcp_call *call);
#define LIBMCP_LATER	1

struct libmcp_tool {
	unsigned int id;	/* 1 to MCP_TOOL_ID_MAX */
	const char *definition;	/* the object of tools/list, ended by a zero; it is copied */
	libmcp_handler *call;
	void *context;
};

struct libmcp_owner {
	unsigned int uid, gid;
};

struct libmcp_service {
	const char *name;
	unsigned int mode;	/* 0 for 0700 */
	const struct libmcp_owner *owner;	/* NULL: who opened the connection */
	unsigned int flags;	/* MCP_SERVE_* */
	unsigned int max_inflight;	/* 0: the kernel's */
	const struct libmcp_tool *tools;
	unsigned int ntools;
	/* Requests and notifications that are no tools/call; NULL: -32601. tools/list is answered here. */
	libmcp_handler *request;
	/* A notification within a call that is open. May be NULL. */
	void (*notify)(struct libmcp *mcp, uint64_t parent, const char *body, size_t len, void *context);
	/* A call that was left for later ends now, without an answer: @error is -errno. May be NULL. */
	void (*cancelled)(struct libmcp *mcp, uint64_t cookie, int error, void *context);
	void *context;
};

/* As MCP_IOC_SERVE; -EINVAL for a definition without a name or an id twice, -EEXIST for a name twice. */
int libmcp_serve(struct libmcp *mcp, const struct libmcp_service *service);
/* Another table of tools; what was called goes on. */
int libmcp_update(struct libmcp *mcp, const struct libmcp_tool *tools, unsigned int ntools);

/* Answers. -EMSGSIZE when even an error does not fit; -ECANCELED: nobody waits, which is no fault. */
int libmcp_result(struct libmcp_call *call, const char *json, size_t len);
/* The result of a tool: one text, of any bytes; @failed is its isError. */
int libmcp_result_text(struct libmcp_call *call, const char *text, size_t len, bool failed);
int libmcp_error(struct libmcp_call *call, int code, const char *message);
/* That a notification was taken. */
int libmcp_taken(struct libmcp_call *call);
/* A whole message of the caller's, with descriptors; it is sent at once and not copied. */
int libmcp_answer(struct libmcp_call *call, const void *body, size_t len, const int *fds, unsigned int nfds);

/* ---- Calling -------------------------------------------------------------------- */

struct libmcp_handle {
	int fd;		/* the caller's to close */
	uint64_t sender;
};

/* As MCP_IOC_OPEN. @pins may be NULL: every tool that there is now. */
int libmcp_open(struct libmcp *mcp, const char *name, unsigned int rights, const struct mcp_pin *pins,
		unsigned int npins, struct libmcp_handle *handle);
/* As MCP_IOC_GRANT; size, handle and pin_size of @grant are filled in. */
int libmcp_grant(struct libmcp *mcp, const struct libmcp_handle *from, struct mcp_grant *grant,
		 struct libmcp_handle *handle);
/* As MCP_IOC_REVOKE; @with NULL: as the server. */
int libmcp_revoke(struct libmcp *mcp, const struct libmcp_handle *with, uint64_t sender);
/* As MCP_IOC_PEER: who sent it, for the log. */
int libmcp_peer(const struct libmcp_call *call, struct mcp_peer *peer);

struct libmcp_request {
	const char *body;	/* a JSON-RPC request or notification; stays until the answer */
	size_t len;
	int handle;		/* of libmcp_open(), or -1 with a parent */
	unsigned int tool;	/* of tools/call; 0 for all else */
	uint64_t parent;	/* the cookie of the call that it is nested in, or 0 */
	uint32_t reserve;	/* 0 for 64 KiB, or what a quarter of the arena holds */
	unsigned int timeout_ms;	/* 0: never */
	uint8_t credit;		/* notifications that may come at a time */
	const int *fds;
	unsigned int nfds;
	/* What comes before the answer. May be NULL; then requests are refused. */
	void (*notify)(struct libmcp *mcp, uint64_t parent, const char *body, size_t len, void *context);
	libmcp_handler *request;
	/* Of those, one that was left for later; not called any more when the call itself is over. */
	void (*cancelled)(struct libmcp *mcp, uint64_t cookie, int error, void *context);
	void *context;
};

/* An answer, in the arena until libmcp_release(). @message.kind says whether it is an error of the peer's. */
struct libmcp_reply {
	const char *body;
	size_t len;
	const int *fds;
	unsigned int nfds;
	uint32_t slot;
	struct libmcp_message message;
};

/*
 * Sends and waits. An errno is the transport's, as in docs/uapi.md, or -EPROTO:
 * the answer is none. Other messages of the connection wait meanwhile.
 */
int libmcp_call(struct libmcp *mcp, const struct libmcp_request *request, struct libmcp_reply *reply);
/* Sends; @done is called from libmcp_run(), once: @error 0 and a reply, which is released after it. */
typedef void libmcp_done(struct libmcp *mcp, int error, const struct libmcp_reply *reply, void *context);
int libmcp_send(struct libmcp *mcp, const struct libmcp_request *request, libmcp_done *done, uint64_t *cookie);
/* @done gets -ECANCELED. -ENOENT: the answer was faster. */
int libmcp_cancel(struct libmcp *mcp, uint64_t cookie);
/* A notification within an exchange, either way. -EAGAIN: the caller has no credit left. */
int libmcp_notify(struct libmcp *mcp, uint64_t parent, const void *body, size_t len);
int libmcp_release(struct libmcp *mcp, struct libmcp_reply *reply);

#ifdef __cplusplus
}
#endif

#endif
