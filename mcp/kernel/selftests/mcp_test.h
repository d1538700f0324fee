/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what every test program of mcp.ko needs: TAP, ports, endpoints,
 * handles, frames, children of other users.
 *
 * Functions that make a system call return what it returned, or -errno.
 */
#ifndef MCP_TEST_H
#define MCP_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/mcp.h>

#define MCP_DEVICE	"/dev/mcp"
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define ALL_RIGHTS	(MCP_RIGHT_QUERY | MCP_RIGHT_READ | MCP_RIGHT_WRITE | \
			 MCP_RIGHT_FDS | MCP_RIGHT_GRANT)

/* Patience: what must come is waited for so long; what must not come, so long. */
#define SOON		3000	/* milliseconds */
#define NEVER		20

/* The tools of serve(). */
enum { TOOL_READ = 1, TOOL_WRITE = 2, TOOL_LAST = MCP_TOOL_ID_MAX };

/* ---- TAP ----------------------------------------------------------------- */

/* Starts the output and the alarm; ends the program as skipped without /dev/mcp. */
void test_begin(void);
/* Prints the plan; gives main()'s exit status. */
int test_end(void);
void skip_all(const char *why) __attribute__((noreturn));
void bail_out(const char *why) __attribute__((noreturn));
/* One line of TAP. Returns @good. */
bool check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* @got must be -@wanted, or not negative when @wanted is 0. Returns whether it is. */
bool check_errno(long got, int wanted, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- Ports --------------------------------------------------------------- */

/* An open file of /dev/mcp and its arena. */
struct port {
	int fd;
	const unsigned char *arena;
	size_t bytes;
};

/* @bytes 0: without an arena; else one that takes descriptors. */
int port_open(struct port *port, size_t bytes);
/* As port_open(), but the program ends when it fails. */
void port_need(struct port *port, size_t bytes);
void port_close(struct port *port);
/* An ioctl, as 0 or -errno. */
int call(int fd, unsigned long number, void *argument);

/* ---- Endpoints and handles ----------------------------------------------- */

/* A name of this process alone: prefix.PID.suffix */
void test_name(__u8 name[MCP_NAME_SIZE], const char *suffix);
/* A digest whose bytes are all @byte. */
void fill_digest(__u8 digest[MCP_DIGEST_SIZE], unsigned char byte);
struct mcp_tool tool_row(unsigned int id, unsigned int flags, unsigned char digest,
			 const char *name);
/* A good SERVE of mode 0700 with no tools. */
struct mcp_serve serve_args(const __u8 name[MCP_NAME_SIZE]);
/* Serves with TOOL_READ, TOOL_WRITE and TOOL_LAST; the program ends when it fails. */
__u64 serve_need(const struct port *port, const __u8 name[MCP_NAME_SIZE]);
struct mcp_open open_args(const __u8 name[MCP_NAME_SIZE], unsigned int rights);
/* Gives the descriptor, or -errno. @sender may be NULL. */
int open_handle(const struct port *port, const __u8 name[MCP_NAME_SIZE], unsigned int rights,
		__u64 *sender);
struct mcp_grant grant_args(int handle, unsigned int rights);
/* Gives the new descriptor, or -errno. */
int grant(const struct port *port, struct mcp_grant *args);
int revoke(const struct port *port, int handle, __u64 sender);
/* Whether poll() says that the handle is dead. */
bool handle_dead(int handle, int milliseconds);

/* ---- Frames -------------------------------------------------------------- */

struct mcp_frame frame_request(int handle, unsigned int tool, const void *body, size_t len);
struct mcp_frame frame_nested(__u64 parent, const void *body, size_t len);
struct mcp_frame frame_response(__u64 cookie, const void *body, size_t len);
struct mcp_frame frame_notify(__u64 parent, const void *body, size_t len);
struct mcp_frame frame_cancel(__u64 cookie);

__u64 address(const void *pointer);
/* CLOCK_MONOTONIC in nanoseconds. */
__u64 now_ns(void);
void sleep_ms(unsigned int milliseconds);

/* ---- Other users --------------------------------------------------------- */

/*
 * Runs @function in a child of that user and group; the child keeps group 0,
 * which may open the device, and gets @extra. Gives what @function returned,
 * 0 to 99, or 100 and more when the child died.
 */
int as_user(uid_t uid, gid_t gid, gid_t extra, int (*function)(void *), void *argument);
/* As as_user(), without another user. */
int in_child(int (*function)(void *), void *argument);

#endif /* MCP_TEST_H */
