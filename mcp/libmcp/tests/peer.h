/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The server that the tests talk to: a process of its own, with tools that do what a scene needs. */
#ifndef PEER_H
#define PEER_H

#include <sys/types.h>

#include "libmcp.h"

/* Its tools: the names are those in lower case. */
enum {
	ECHO = 1,	/* READ_ONLY: arguments.text */
	COUNT,		/* "calls of tools, cancelled calls, errno of the last one" */
	NOTE,		/* notifies five times: "sent N" */
	ASK,		/* asks the caller: its answer, or the errno */
	SLOW,		/* notifies once, and never answers */
	LATER,		/* answered by the next call of WAKE */
	WAKE,
	DIE,
	FDS,		/* the text in a descriptor; the same comes back in one */
	RAW,		/* arguments.text is the whole answer */
	CHANGE,		/* makes ECHO another tool */
	SILENT,		/* returns without an answer */
};

struct peer {
	pid_t pid;
	char name[MCP_NAME_SIZE];
};

extern const char echo_definition[];

void peer_start(struct peer *peer, enum libmcp_path path);
/* Kills it. */
void peer_stop(struct peer *peer);

#endif
