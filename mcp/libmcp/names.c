// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: names and numbers of the bus for what MCP calls by strings: tools,
 * methods, revisions, and the kernel's errors.
 * Context: any. Locking: none. Lifetime: nothing is kept.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "json.h"
#include "names.h"
#include "sha256.h"

#define KEPT	31	/* characters of a name that is shortened */

static bool bus_character(int unit)
{
	return unit > 0 && unit < 0x80 &&
	       strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-", unit);
}

int libmcp_bus_name(const char *name, size_t len, char out[MCP_NAME_SIZE])
{
	struct json_units units = json_plain_units(name, len);
	uint8_t digest[SHA256_SIZE];
	size_t count = 0, kept = 0;
	bool plain = true;
	int unit;

	memset(out, 0, MCP_NAME_SIZE);
	while ((unit = json_unit(&units)) >= 0) {
		if (unit == JSON_NO_UNIT)
			return -EINVAL;
		if (unit >= 0xdc00 && unit < 0xe000)
			continue;	/* with its first half, one character */
		plain = plain && bus_character(unit);
		if (kept < KEPT)
			out[kept++] = bus_character(unit) ? (char)unit : '_';
		count++;
	}
	if (!count)
		return -EINVAL;
	if (plain && count <= MCP_NAME_MAX) {
		memcpy(out, name, len);
		return 0;
	}
	sha256(name, len, digest);
	out[kept++] = '.';
	for (int i = 0; i < 8; i++)
		kept += (size_t)snprintf(out + kept, MCP_NAME_SIZE - kept, "%02x", digest[i]);
	return 0;
}

static const struct {
	const char *name;
	enum mcp_method method;
} methods[] = {
	{ "server/discover", MCP_METHOD_SERVER_DISCOVER },
	{ "initialize", MCP_METHOD_INITIALIZE },
	{ "ping", MCP_METHOD_PING },
	{ "tools/list", MCP_METHOD_TOOLS_LIST },
	{ "tools/call", MCP_METHOD_TOOLS_CALL },
	{ "resources/list", MCP_METHOD_RESOURCES_LIST },
	{ "resources/templates/list", MCP_METHOD_RESOURCES_TEMPLATES_LIST },
	{ "resources/read", MCP_METHOD_RESOURCES_READ },
	{ "resources/subscribe", MCP_METHOD_RESOURCES_SUBSCRIBE },
	{ "resources/unsubscribe", MCP_METHOD_RESOURCES_UNSUBSCRIBE },
	{ "prompts/list", MCP_METHOD_PROMPTS_LIST },
	{ "prompts/get", MCP_METHOD_PROMPTS_GET },
	{ "completion/complete", MCP_METHOD_COMPLETION_COMPLETE },
	{ "logging/setLevel", MCP_METHOD_LOGGING_SET_LEVEL },
	{ "subscriptions/listen", MCP_METHOD_SUBSCRIPTIONS_LISTEN },
	{ "sampling/createMessage", MCP_METHOD_SAMPLING_CREATE_MESSAGE },
	{ "elicitation/create", MCP_METHOD_ELICITATION_CREATE },
	{ "roots/list", MCP_METHOD_ROOTS_LIST },
	{ "tasks/get", MCP_METHOD_TASKS_GET },
	{ "tasks/update", MCP_METHOD_TASKS_UPDATE },
	{ "tasks/cancel", MCP_METHOD_TASKS_CANCEL },
	{ "tasks/list", MCP_METHOD_TASKS_LIST },
	{ "tasks/result", MCP_METHOD_TASKS_RESULT },
};

unsigned int method_number(struct libmcp_text method)
{
	static const char prefix[] = "notifications/";
	struct json_units units;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (json_is(method, methods[i].name))
			return methods[i].method;
	}
	if (!method.len)
		return MCP_METHOD_OTHER;
	units = json_units(method);
	for (const char *at = prefix; *at; at++) {
		if (json_unit(&units) != *at)
			return MCP_METHOD_OTHER;
	}
	return MCP_METHOD_NOTIFICATION;
}

unsigned int proto_number(struct libmcp_text revision)
{
	static const char *const revisions[] = {
		[MCP_PROTO_2024_11_05] = "2024-11-05", [MCP_PROTO_2025_03_26] = "2025-03-26",
		[MCP_PROTO_2025_06_18] = "2025-06-18", [MCP_PROTO_2025_11_25] = "2025-11-25",
		[MCP_PROTO_2026_07_28] = "2026-07-28",
	};

	for (unsigned int i = 1; i < ARRAY_SIZE(revisions); i++) {
		if (json_is(revision, revisions[i]))
			return i;
	}
	return MCP_PROTO_OTHER;
}

/* ---- Errors of the transport, in JSON-RPC ------------------------------------- */

#define NAMED(error)	{ error, #error }

static const struct {
	int number;
	const char *name;
} errors[] = {
	NAMED(EACCES), NAMED(EPERM), NAMED(ESTALE), NAMED(EKEYREVOKED), NAMED(EKEYEXPIRED),
	NAMED(EPIPE), NAMED(ETIMEDOUT), NAMED(ECANCELED), NAMED(EDQUOT), NAMED(ENOBUFS),
	NAMED(EAGAIN), NAMED(EMSGSIZE), NAMED(ENOENT), NAMED(ELOOP), NAMED(EINVAL),
	NAMED(EBADF), NAMED(EFAULT), NAMED(EALREADY), NAMED(ENOMEM), NAMED(EPROTO), NAMED(EBADMSG),
};

const char *libmcp_error_name(int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (errors[i].number == -error)
			return errors[i].name;
	}
	return "EIO";
}

int libmcp_transport_error(int error, struct libmcp_text id, char **body, size_t *len)
{
	struct buffer out = { 0 };

	if (error >= 0)
		return -EINVAL;
	buffer_text(&out, "{\"jsonrpc\":\"2.0\"");
	if (id.len) {
		buffer_text(&out, ",\"id\":");
		buffer_add(&out, id.text, id.len);
	}
	buffer_text(&out, ",\"error\":{\"code\":");
	buffer_number(&out, LIBMCP_TRANSPORT_CODE(error));
	buffer_text(&out, ",\"message\":\"transport: ");
	buffer_text(&out, libmcp_error_name(error));
	buffer_text(&out, "\",\"data\":{\"origin\":\"transport\",\"errno\":\"");
	buffer_text(&out, libmcp_error_name(error));
	buffer_text(&out, "\"}}}");
	if (out.error)
		return out.error;
	*body = out.data;
	*len = out.len;
	return 0;
}
