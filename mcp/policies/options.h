/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what mcp-policy writes into the maps of the policies that it
 * attaches, and how large. Included by both sides, so it includes nothing.
 */
#ifndef MCP_OPTIONS_H
#define MCP_OPTIONS_H

/* A name or a label with its NUL, in whole words. */
#define ENDPOINT_SIZE	52
#define TOOL_SIZE	52
#define LABEL_SIZE	36

/* @uid of a rule about a label: no user has this number. */
#define NO_UID		0xffffffffu

/* Every tool, and requests that name none; every endpoint. Nothing is called so. */
#define EVERY		"*"

#define RULES_MAX	4096
#define BUCKETS_MAX	4096

/*
 * One who may call one tool. It is the key of a map: all bytes count, names are
 * filled up with zeros. @tool may be EVERY, or empty: what names no tool;
 * @endpoint may be EVERY where @tool is.
 */
struct rule {
	unsigned int uid;
	char label[LABEL_SIZE];
	char endpoint[ENDPOINT_SIZE];
	char tool[TOOL_SIZE];
};

#endif /* MCP_OPTIONS_H */
