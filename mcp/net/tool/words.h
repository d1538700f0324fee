/* SPDX-License-Identifier: GPL-2.0 */
/* Concern: what the words of `mcp-net bind` ask for. */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/mcp.h>

#include "family.h"

#define TOOLS_MAX 64

struct wish {
	const char *device, *endpoint, *key_file;
	uint32_t rights;
	struct mcp_pin tools[TOOLS_MAX];
	uint32_t ntools;
	bool replace;
	struct family_bind bind;	/* all but ifindex, handle and key */
};

/* The words behind `bind`, up to a NULL. Gives NULL, or a word that is wrong or lacks something. */
const char *words_read(char **words, struct wish *wish);

#endif /* WORDS_H */
