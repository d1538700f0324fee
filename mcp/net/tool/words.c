// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "words.h"

/* A decimal number from @least to @most and nothing else, up to @end. */
static bool number(const char *word, char end, uint32_t least, uint32_t most, uint32_t *value,
		   const char **rest)
{
	unsigned long read;
	char *stop;

	if (*word < '0' || *word > '9')
		return false;
	read = strtoul(word, &stop, 10);
	if ((*stop && *stop != end) || read < least || read > most)
		return false;
	*value = (uint32_t)read;
	*rest = *stop ? stop + 1 : stop;
	return *stop != end || !end || **rest;
}

/* What a peer may be given: descriptors do not travel in frames, and nobody there could grant. */
static bool rights(const char *list, struct wish *wish)
{
	static const struct {
		const char *name;
		uint32_t right;
	} known[] = {
		{ "query", MCP_RIGHT_QUERY }, { "read", MCP_RIGHT_READ }, { "write", MCP_RIGHT_WRITE },
	};

	wish->rights = 0;
	for (;;) {
		size_t length = strcspn(list, ","), i = 0;

		while (i < 3 && (strlen(known[i].name) != length ||
				 strncmp(known[i].name, list, length)))
			i++;
		if (i == 3)
			return false;
		wish->rights |= known[i].right;
		if (!list[length])
			return true;
		list += length + 1;
	}
}

static bool tools(const char *list, struct wish *wish)
{
	do {
		struct mcp_pin *pin = wish->tools + wish->ntools;

		if (wish->ntools++ == TOOLS_MAX ||
		    !number(list, ',', 1, MCP_TOOL_ID_MAX, &pin->tool, &list))
			return false;
	} while (*list);
	return true;
}

static bool word_good(const char *word, struct wish *wish)
{
	const char *value = strchr(word, '='), *rest;
	size_t length;

	if (!strcmp(word, "replace")) {
		wish->replace = true;
		return true;
	}
	if (!value)
		return false;
	length = (size_t)(++value - word);
	if (!strncmp(word, "rights=", length))
		return rights(value, wish);
	if (!strncmp(word, "tools=", length))
		return tools(value, wish);
	if (!strncmp(word, "peer=", length))
		return wish->bind.has_peer = address_read(value, wish->bind.peer);
	if (!strncmp(word, "frames=", length))
		return number(value, 0, 16, MCP_NET_MAX_FRAMES, &wish->bind.frames, &rest);
	if (!strncmp(word, "seconds=", length))
		return number(value, 0, 1, MCP_NET_MAX_SECONDS, &wish->bind.seconds, &rest);
	return false;
}

const char *words_read(char **words, struct wish *wish)
{
	*wish = (struct wish){ .rights = MCP_RIGHT_READ };
	for (int i = 0; i < 3; i++)
		if (!words[i])
			return "DEVICE ENDPOINT KEYFILE";
	wish->device = words[0];
	wish->endpoint = words[1];
	wish->key_file = words[2];
	if (!*wish->endpoint || strlen(wish->endpoint) > MCP_NAME_MAX)
		return wish->endpoint;
	for (words += 3; *words; words++)
		if (!word_good(*words, wish))
			return *words;
	return NULL;
}
