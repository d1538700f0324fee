/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The user-space interface of /dev/mcp: the Model Context Protocol as a
 * kernel transport.
 *
 * docs/uapi.md is its manual. All structures have the same layout for 32-bit
 * and 64-bit callers: members of fixed width, each aligned to its own size,
 * no padding, addresses as __u64.
 */
#ifndef _UAPI_LINUX_MCP_H
#define _UAPI_LINUX_MCP_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Moves only when something that worked before stops working. */
#define MCP_ABI_VERSION		1

/* ---- Limits -------------------------------------------------------------- */

#define MCP_NAME_MAX		48	/* characters of a name: [A-Za-z0-9_./-] */
#define MCP_NAME_SIZE		56	/* its field, filled with zeros */
#define MCP_LABEL_SIZE		32	/* a label may fill its field */
#define MCP_DIGEST_SIZE		32
#define MCP_MAX_BODY		0x100000	/* 1 MiB */
#define MCP_MAX_FDS		16
#define MCP_TOOL_ID_MAX		1023	/* the first id is 1 */
#define MCP_MAX_DEPTH		4	/* grants below an opened handle */
#define MCP_MAX_NESTING		4	/* requests inside requests */
#define MCP_MAX_INFLIGHT	256	/* unanswered requests of one handle */
#define MCP_ARENA_MIN		(64u << 10)
#define MCP_ARENA_MAX		(16u << 20)

/* ---- The envelope -------------------------------------------------------- */

#define MCP_MAGIC		0x3150434du	/* "MCP1" in a little-endian memory */
#define MCP_ENVELOPE_VERSION	1

/* enum mcp_kind - what an envelope is; @kind of struct mcp_envelope */
enum mcp_kind {
	MCP_REQUEST	= 1,	/* opens an exchange */
	MCP_RESPONSE	= 2,	/* ends it, exactly once */
	MCP_NOTIFY	= 3,	/* any number within it, either way */
	MCP_CANCEL	= 4,	/* the caller, or the kernel, wants no answer */
};

/* @flags of struct mcp_envelope: the kernel's; a sender leaves them zero. */
#define MCP_F_KERNEL		0x1 /* made by the kernel: see @status */
#define MCP_F_FDS_LOST		0x2 /* a descriptor could not be installed */

/**
 * struct mcp_envelope - what the kernel reads of a message; it reads no more
 * @magic: MCP_MAGIC.
 * @version: MCP_ENVELOPE_VERSION.
 * @kind: one of enum mcp_kind.
 * @flags: zero from a sender; MCP_F_* to a receiver.
 * @len: bytes of the body, up to MCP_MAX_BODY.
 * @tool: REQUEST: the tool's id, or 0 for a request that names no tool. The
 *	  kernel has checked that the sender may call it.
 * @method: a hint, enum mcp_method; the body says what is meant.
 * @proto: a hint, enum mcp_proto.
 * @nfds: descriptors that come with the message, up to MCP_MAX_FDS.
 * @credit: REQUEST: how many notifications the caller is ready to hold.
 * @reserved: zero.
 * @cookie: the exchange, given by the kernel to a REQUEST (zero from its
 *	    sender); RESPONSE and CANCEL name it.
 * @parent: NOTIFY: the exchange that it belongs to; REQUEST: zero, or the
 *	    exchange that it is nested in.
 * @sender: zero from a sender; to a receiver: the id of the handle or the
 *	    endpoint that sent it, stamped by the kernel.
 * @deadline: REQUEST: when the caller stops waiting, CLOCK_MONOTONIC in
 *	      nanoseconds, below 2^63; 0 for never.
 * @reserve: REQUEST: bytes of the answer's body that space is kept for.
 * @status: zero from a sender; with MCP_F_KERNEL: an errno that says why.
 */
struct mcp_envelope {
	__u32 magic;
	__u8 version;
	__u8 kind;
	__u16 flags;
	__u32 len;
	__u32 tool;
	__u16 method;
	__u16 proto;
	__u8 nfds;
	__u8 credit;
	__u16 reserved;
	__u64 cookie;
	__u64 parent;
	__u64 sender;
	__u64 deadline;
	__u32 reserve;
	__u32 status;
};

/* enum mcp_proto - revisions of the protocol, by the index of @proto */
enum mcp_proto {
	MCP_PROTO_OTHER		= 0,
	MCP_PROTO_2024_11_05	= 1,
	MCP_PROTO_2025_03_26	= 2,
	MCP_PROTO_2025_06_18	= 3,
	MCP_PROTO_2025_11_25	= 4,
	MCP_PROTO_2026_07_28	= 5,
};

/* enum mcp_method - methods of the protocol, for logs and for policies */
enum mcp_method {
	MCP_METHOD_OTHER			= 0,
	MCP_METHOD_SERVER_DISCOVER		= 1,
	MCP_METHOD_INITIALIZE			= 2,
	MCP_METHOD_PING				= 3,
	MCP_METHOD_TOOLS_LIST			= 4,
	MCP_METHOD_TOOLS_CALL			= 5,
	MCP_METHOD_RESOURCES_LIST		= 6,
	MCP_METHOD_RESOURCES_TEMPLATES_LIST	= 7,
	MCP_METHOD_RESOURCES_READ		= 8,
	MCP_METHOD_RESOURCES_SUBSCRIBE		= 9,
	MCP_METHOD_RESOURCES_UNSUBSCRIBE	= 10,
	MCP_METHOD_PROMPTS_LIST			= 11,
	MCP_METHOD_PROMPTS_GET			= 12,
	MCP_METHOD_COMPLETION_COMPLETE		= 13,
	MCP_METHOD_LOGGING_SET_LEVEL		= 14,
	MCP_METHOD_SUBSCRIPTIONS_LISTEN		= 15,
	MCP_METHOD_SAMPLING_CREATE_MESSAGE	= 16,
	MCP_METHOD_ELICITATION_CREATE		= 17,
	MCP_METHOD_ROOTS_LIST			= 18,
	MCP_METHOD_TASKS_GET			= 19,
	MCP_METHOD_TASKS_UPDATE			= 20,
	MCP_METHOD_TASKS_CANCEL			= 21,
	MCP_METHOD_NOTIFICATION			= 22, /* any notifications/ */
	MCP_METHOD_TASKS_LIST			= 23,
	MCP_METHOD_TASKS_RESULT			= 24,
};

/*
 * A message as it lies in the receiver's arena, which the receiver maps for
 * reading. @slot of a completion is the offset of the envelope, never zero.
 *
 *	slot			the envelope
 *	slot + 64		room for the CANCEL of a REQUEST: a completion
 *				that says slot + 64 means this envelope
 *	slot + MCP_BODY_OFFSET	the body, @len bytes
 *	after it, at the next multiple of 4: @nfds times __s32, the numbers of
 *	the descriptors in the receiver's table (-errno where one is lost)
 */
#define MCP_CANCEL_OFFSET	64
#define MCP_BODY_OFFSET		128
#define MCP_NO_SLOT		0

/**
 * struct mcp_frame - one message on its way in, the same on every path
 * @envelope: what is sent; read() returns it here.
 * @body: address of @envelope.len bytes.
 * @fds: address of @envelope.nfds descriptors, __s32 each.
 * @result: address of a __u64 that gets the cookie of a REQUEST, or 0.
 * @handle: descriptor of the handle that a REQUEST without a parent is sent
 *	    on; -1 for all others.
 * @slot: in: a slot of one's own arena to release first, or MCP_NO_SLOT;
 *	  out, of the calls that wait: the slot of what was received.
 *
 * MCP_IOC_CALL and MCP_IOC_REPLY_WAIT take a frame whose @envelope is all
 * zero but for @cookie: nothing is sent, and CALL waits in that exchange. When
 * one of them has sent and then fails, it leaves such a frame behind, so that
 * the same call may be made again.
 */
struct mcp_frame {
	struct mcp_envelope envelope;
	__u64 body;
	__u64 fds;
	__u64 result;
	__s32 handle;
	__u32 slot;
};

/* ---- What this kernel can do --------------------------------------------- */

/* Size of the first published struct mcp_info: no kernel takes less. */
#define MCP_INFO_SIZE_VER0	64

/* @features of struct mcp_info */
#define MCP_FEATURE_URING	0x1ull /* io_uring commands, MCP_CMD_* */
#define MCP_FEATURE_POLICY	0x2ull /* filters in eBPF */
#define MCP_FEATURE_NETLINK	0x4ull /* the generic netlink family mcp */
#define MCP_FEATURE_AUDIT	0x8ull /* decisions are audit records */

/**
 * struct mcp_info - what this kernel's MCP can do
 * @size: in: bytes of the caller's structure, at least MCP_INFO_SIZE_VER0.
 *	  Out: bytes that the kernel knows; what the
 *	  caller has beyond them is left untouched.
 * @flags: in: must be zero; there are none yet.
 * @abi_version: out: MCP_ABI_VERSION of the kernel.
 * @max_name: out: longest name of an endpoint, in bytes.
 * @features: out: MCP_FEATURE_* bits.
 * @max_body: out: largest message body, in bytes.
 * @max_fds: out: most file descriptors that one message may carry.
 * @max_depth: out: most levels of grants below the handle that was opened.
 * @max_inflight: out: most unanswered requests of one handle.
 * @reserved0: must be zero.
 * @reserved1: must be zero.
 *
 * A limit is zero as long as this kernel does not have what it limits.
 */
struct mcp_info {
	__u32 size;
	__u32 flags;
	__u32 abi_version;
	__u32 max_name;
	__u64 features;
	__u64 max_body;
	__u32 max_fds;
	__u32 max_depth;
	__u32 max_inflight;
	__u32 reserved0;
	__u64 reserved1[2];
};

/* ---- The arena ----------------------------------------------------------- */

#define MCP_ARENA_TAKES_FDS	0x1 /* senders may send descriptors here */

/**
 * struct mcp_arena - give an open file its memory for what it receives
 * @size: in: bytes of this structure.
 * @flags: in: MCP_ARENA_*.
 * @bytes: in: MCP_ARENA_MIN to MCP_ARENA_MAX, whole pages. One sender may
 *	   hold a quarter of them.
 */
struct mcp_arena {
	__u32 size;
	__u32 flags;
	__u64 bytes;
};

/* ---- Endpoints ----------------------------------------------------------- */

#define MCP_TOOL_READ_ONLY	0x1 /* changes nothing: MCP_RIGHT_READ will do */

/**
 * struct mcp_tool - one row of an endpoint's table of tools
 * @id: 1 to MCP_TOOL_ID_MAX; the server's choice, stable while it serves.
 * @flags: MCP_TOOL_*.
 * @digest: of its definition, whichever function the server takes; SHA-256 of
 *	    the canonical JSON by libmcp. Another digest is another tool.
 * @name: for people and for logs, [A-Za-z0-9_./-], filled with zeros.
 */
struct mcp_tool {
	__u32 id;
	__u32 flags;
	__u8 digest[MCP_DIGEST_SIZE];
	__u8 name[MCP_NAME_SIZE];
};

#define MCP_SERVE_BOOT		 0x1 /* works without the policy that is required */
#define MCP_SERVE_REQUIRE_POLICY 0x2 /* works with a policy attached only */

/**
 * struct mcp_serve - make the open file an endpoint
 * @size: in: bytes of this structure.
 * @flags: in: MCP_SERVE_*; both need CAP_SYS_ADMIN.
 * @uid: in: owner, ~0 for the opener's; another one needs CAP_CHOWN.
 * @gid: in: group, ~0 for the opener's; one that the opener is in, or CAP_CHOWN.
 * @mode: in: nine bits as of a file: r for MCP_RIGHT_QUERY and MCP_RIGHT_READ,
 *	  w for MCP_RIGHT_WRITE and MCP_RIGHT_FDS, x for MCP_RIGHT_GRANT.
 * @ntools: in: rows at @tools.
 * @tools: in: address of struct mcp_tool rows.
 * @max_inflight: in: requests that may wait for an answer here, 0 for the
 *		  most that the kernel allows.
 * @tool_size: in: bytes of a row, sizeof(struct mcp_tool).
 * @generation: out: of the table.
 * @sender: out: the id that this endpoint's own messages are stamped with.
 * @name: in: [A-Za-z0-9_./-]{1,48}, filled with zeros; sys.* needs
 *	  CAP_SYS_ADMIN.
 */
struct mcp_serve {
	__u32 size;
	__u32 flags;
	__u32 uid;
	__u32 gid;
	__u32 mode;
	__u32 ntools;
	__u64 tools;
	__u32 max_inflight;
	__u32 tool_size;
	__u64 generation;
	__u64 sender;
	__u8 name[MCP_NAME_SIZE];
};

/**
 * struct mcp_update - replace the table of tools of the endpoint
 * @size: in: bytes of this structure.
 * @flags: in: zero.
 * @ntools: in: rows at @tools.
 * @tool_size: in: bytes of a row, sizeof(struct mcp_tool).
 * @tools: in: address of struct mcp_tool rows.
 * @generation: out: the new generation; the old one if nothing is different.
 */
struct mcp_update {
	__u32 size;
	__u32 flags;
	__u32 ntools;
	__u32 tool_size;
	__u64 tools;
	__u64 generation;
};

/* ---- Handles ------------------------------------------------------------- */

#define MCP_RIGHT_QUERY		0x1 /* requests that name no tool */
#define MCP_RIGHT_READ		0x2 /* call tools that are READ_ONLY */
#define MCP_RIGHT_WRITE		0x4 /* call the others */
#define MCP_RIGHT_FDS		0x8 /* send descriptors */
#define MCP_RIGHT_GRANT		0x10 /* derive narrower handles, and revoke them */

#define MCP_PIN_DIGEST		0x1 /* the tool must have this digest */

/**
 * struct mcp_pin - a tool that a handle shall lead to
 * @tool: its id.
 * @flags: MCP_PIN_*.
 * @digest: the definition that was read and agreed to.
 */
struct mcp_pin {
	__u32 tool;
	__u32 flags;
	__u8 digest[MCP_DIGEST_SIZE];
};

/**
 * struct mcp_open - get a handle to an endpoint
 * @size: in: bytes of this structure.
 * @flags: in: zero.
 * @rights: in: MCP_RIGHT_*; all of them are given, or none.
 * @npins: in: rows at @pins; 0 for every tool that there is now.
 * @pins: in: address of struct mcp_pin rows.
 * @generation: in: the table that the caller has read, or 0 for any.
 * @name: in: the endpoint's name.
 * @sender: out: the handle's id, which stamps what is sent on it.
 * @fd: out: the handle, a descriptor with close-on-exec.
 * @pin_size: in: bytes of a row, sizeof(struct mcp_pin).
 */
struct mcp_open {
	__u32 size;
	__u32 flags;
	__u32 rights;
	__u32 npins;
	__u64 pins;
	__u64 generation;
	__u8 name[MCP_NAME_SIZE];
	__u64 sender;
	__s32 fd;
	__u32 pin_size;
};

/**
 * struct mcp_grant - derive a narrower handle
 * @size: in: bytes of this structure.
 * @flags: in: zero.
 * @handle: in: a handle with MCP_RIGHT_GRANT.
 * @rights: in: a subset of its rights.
 * @npins: in: rows at @pins; 0 for every tool of @handle.
 * @max_inflight: in: unanswered requests, 0 for as many as @handle.
 * @pins: in: address of struct mcp_pin rows.
 * @max_bytes: in: bytes in flight, 0 for as many as @handle.
 * @expiry: in: CLOCK_MONOTONIC in nanoseconds, 0 for @handle's.
 * @sender: out: the new handle's id.
 * @fd: out: the new handle, a descriptor with close-on-exec.
 * @pin_size: in: bytes of a row, sizeof(struct mcp_pin).
 * @label: in: up to 32 of [A-Za-z0-9_./-], for logs; never changes.
 */
struct mcp_grant {
	__u32 size;
	__u32 flags;
	__s32 handle;
	__u32 rights;
	__u32 npins;
	__u32 max_inflight;
	__u64 pins;
	__u64 max_bytes;
	__u64 expiry;
	__u64 sender;
	__s32 fd;
	__u32 pin_size;
	__u8 label[MCP_LABEL_SIZE];
};

/**
 * struct mcp_revoke - take a handle, and all that were derived from it
 * @size: in: bytes of this structure.
 * @flags: in: zero.
 * @handle: in: a handle with MCP_RIGHT_GRANT, or -1 for the endpoint that this
 *	    file serves.
 * @reserved: in: zero.
 * @sender: in: the id of @handle, of one derived from it, or of one that leads
 *	    to the endpoint.
 */
struct mcp_revoke {
	__u32 size;
	__u32 flags;
	__s32 handle;
	__u32 reserved;
	__u64 sender;
};

/**
 * struct mcp_peer - who sent a request, for the log and never for authority
 * @size: in: bytes of this structure.
 * @flags: in: zero.
 * @cookie: in: an exchange that this file received and has not answered.
 * @sender: out: the id of the handle.
 * @uid: out: effective user of the task that sent it.
 * @gid: out: its effective group.
 * @pid: out: its process (thread group).
 * @rights: out: of the handle.
 * @start_time: out: when that process started, CLOCK_BOOTTIME in nanoseconds;
 *		with @pid it names one process for good.
 * @label: out: of the handle.
 */
struct mcp_peer {
	__u32 size;
	__u32 flags;
	__u64 cookie;
	__u64 sender;
	__u32 uid;
	__u32 gid;
	__u32 pid;
	__u32 rights;
	__u64 start_time;
	__u8 label[MCP_LABEL_SIZE];
};

/**
 * struct mcp_require - refuse what no policy has seen, until the module goes
 * @size: in: bytes of this structure.
 * @flags: in: zero.
 * @name: in: an endpoint, or all zero for every one. Needs CAP_SYS_ADMIN.
 */
struct mcp_require {
	__u32 size;
	__u32 flags;
	__u8 name[MCP_NAME_SIZE];
};

/* ---- Calls --------------------------------------------------------------- */

#define MCP_IOC_MAGIC		0xfa

/* Sizes of the first published structures: no kernel takes less. */
#define MCP_ARENA_SIZE_VER0	16
#define MCP_SERVE_SIZE_VER0	112
#define MCP_UPDATE_SIZE_VER0	32
#define MCP_OPEN_SIZE_VER0	104
#define MCP_GRANT_SIZE_VER0	96
#define MCP_REVOKE_SIZE_VER0	24
#define MCP_PEER_SIZE_VER0	80
#define MCP_REQUIRE_SIZE_VER0	64

/*
 * The size in a number stays that of the first version: it never changes. A
 * frame has 96 bytes for good.
 */
#define MCP_IOC_IN(number, size) \
	_IOC(_IOC_WRITE, MCP_IOC_MAGIC, number, size)
#define MCP_IOC_INOUT(number, size) \
	_IOC(_IOC_READ | _IOC_WRITE, MCP_IOC_MAGIC, number, size)

#define MCP_IOC_INFO		MCP_IOC_INOUT(0x00, MCP_INFO_SIZE_VER0)
#define MCP_IOC_ARENA		MCP_IOC_IN(0x01, MCP_ARENA_SIZE_VER0)
#define MCP_IOC_SERVE		MCP_IOC_INOUT(0x02, MCP_SERVE_SIZE_VER0)
#define MCP_IOC_UPDATE		MCP_IOC_INOUT(0x03, MCP_UPDATE_SIZE_VER0)
#define MCP_IOC_OPEN		MCP_IOC_INOUT(0x04, MCP_OPEN_SIZE_VER0)
#define MCP_IOC_GRANT		MCP_IOC_INOUT(0x05, MCP_GRANT_SIZE_VER0)
#define MCP_IOC_REVOKE		MCP_IOC_IN(0x06, MCP_REVOKE_SIZE_VER0)
#define MCP_IOC_CALL		_IOWR(MCP_IOC_MAGIC, 0x07, struct mcp_frame)
#define MCP_IOC_REPLY_WAIT	_IOWR(MCP_IOC_MAGIC, 0x08, struct mcp_frame)
#define MCP_IOC_RELEASE		_IO(MCP_IOC_MAGIC, 0x09) /* the slot, by value */
#define MCP_IOC_PEER		MCP_IOC_INOUT(0x0a, MCP_PEER_SIZE_VER0)
#define MCP_IOC_REQUIRE		MCP_IOC_IN(0x0b, MCP_REQUIRE_SIZE_VER0)

/*
 * io_uring commands (IORING_OP_URING_CMD on the file): @cmd_op is one of
 * these, @addr the address of a struct mcp_frame and @len its size, and the
 * 16 bytes of @cmd are zero. RECV_PARK has no frame: @addr and @len are zero.
 * RELEASE has the slot in @addr and no @len. A result that is not negative is
 * a slot for CALL, RECV_PARK and REPLY_AND_PARK, and zero for the others.
 */
#define MCP_CMD_SEND		_IOW(MCP_IOC_MAGIC, 0x80, struct mcp_frame)
#define MCP_CMD_CALL		_IOW(MCP_IOC_MAGIC, 0x81, struct mcp_frame)
#define MCP_CMD_RECV_PARK	_IO(MCP_IOC_MAGIC, 0x82)
#define MCP_CMD_REPLY_AND_PARK	_IOW(MCP_IOC_MAGIC, 0x83, struct mcp_frame)
#define MCP_CMD_NOTIFY		_IOW(MCP_IOC_MAGIC, 0x84, struct mcp_frame)
#define MCP_CMD_RELEASE		_IO(MCP_IOC_MAGIC, 0x85)

#endif /* _UAPI_LINUX_MCP_H */
