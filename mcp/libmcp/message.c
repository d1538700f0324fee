// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: what of a JSON-RPC message the transport has to know.
 * Context: any. Locking: none. Lifetime: texts point into the body.
 *
 * A member that is looked for may occur once: which of two another reader would
 * take is not defined (RFC 8259, section 4), and what is compared has to be what
 * is acted on.
 */
#include <errno.h>
#include <string.h>

#include "json.h"

struct wanted {
	const char *name;
	struct libmcp_text *text;
};

/* Finds members of one object. @object was checked, or its end is checked here. */
static int find(struct json *in, const struct wanted *wanted, size_t count)
{
	struct libmcp_text key, value;
	bool first = true;
	int result;

	if (!json_enter(in, '{'))
		return -EINVAL;
	while ((result = json_member(in, &first, &key, &value)) > 0) {
		for (size_t i = 0; i < count; i++) {
			if (!json_is(key, wanted[i].name))
				continue;
			if (wanted[i].text->len)
				return -EINVAL;
			*wanted[i].text = value;
		}
	}
	return result;
}

static bool is_string(struct libmcp_text text)
{
	return text.len && *text.text == '"';
}

static bool is_object(struct libmcp_text text)
{
	return text.len && *text.text == '{';
}

static bool is_id(struct libmcp_text text)
{
	if (!text.len || text.len > LIBMCP_ID_MAX)
		return false;
	return *text.text == '"' || *text.text == '-' || (*text.text >= '0' && *text.text <= '9');
}

static int read_params(struct libmcp_message *message)
{
	struct libmcp_text meta = { 0 };
	const struct wanted params[] = {
		{ "name", &message->name },
		{ "arguments", &message->arguments },
		{ "_meta", &meta },
	};
	const struct wanted version[] = {
		{ "io.modelcontextprotocol/protocolVersion", &message->revision },
	};
	struct json in = json_in(message->params);
	int error = find(&in, params, ARRAY_SIZE(params));

	if (error || !is_object(meta))
		return error;
	in = json_in(meta);
	return find(&in, version, 1);
}

int libmcp_read(const void *body, size_t len, struct libmcp_message *message)
{
	struct libmcp_text text = { body, len }, version = { 0 };
	const struct wanted members[] = {
		{ "jsonrpc", &version },
		{ "id", &message->id },
		{ "method", &message->method },
		{ "params", &message->params },
		{ "result", &message->result },
		{ "error", &message->error },
	};
	struct json in = json_in(text);
	int error;

	*message = (struct libmcp_message){ 0 };
	error = json_value(&in, &text);
	if (error || !json_ended(&in))
		return -EBADMSG;
	in = json_in(text);
	error = find(&in, members, ARRAY_SIZE(members));
	if (error)
		return error;
	if (!json_is(version, "2.0"))
		return -EINVAL;
	if (message->id.len && !is_id(message->id)) {
		/* An error about what could not be read has "id": null. */
		if (!message->error.len || *message->id.text != 'n')
			return -EINVAL;
		message->id = (struct libmcp_text){ 0 };
	}
	if (message->method.len) {
		if (message->result.len || message->error.len || !is_string(message->method))
			return -EINVAL;
		if (message->params.len && !is_object(message->params))
			return -EINVAL;
		message->kind = message->id.len ? LIBMCP_REQUEST : LIBMCP_NOTIFICATION;
		return message->params.len ? read_params(message) : 0;
	}
	if (message->params.len || !message->result.len == !message->error.len)
		return -EINVAL;
	message->kind = message->result.len ? LIBMCP_RESULT : LIBMCP_ERROR;
	if (message->kind == LIBMCP_RESULT)
		return message->id.len && is_object(message->result) ? 0 : -EINVAL;
	return is_object(message->error) ? 0 : -EINVAL;
}

bool libmcp_text_is(struct libmcp_text string, const char *text)
{
	return json_is(string, text);
}

int libmcp_member(struct libmcp_text object, const char *name, struct libmcp_text *value)
{
	const struct wanted wanted = { name, value };
	struct json in = json_in(object);
	int error;

	*value = (struct libmcp_text){ 0 };
	error = find(&in, &wanted, 1);
	if (error)
		return error;
	return value->len && json_ended(&in) ? 0 : value->len ? -EBADMSG : -ENOENT;
}

int libmcp_string(struct libmcp_text string, char *out, size_t size)
{
	struct json in = json_in(string);
	struct libmcp_text checked;
	struct json_units units;
	size_t used = 0;
	long point;

	if (!is_string(string) || json_value(&in, &checked) || !json_ended(&in))
		return -EINVAL;
	units = json_units(checked);
	while ((point = json_point(&units)) >= 0) {
		char utf8[4];
		size_t len = json_utf8(point, utf8);

		if (!point)
			return -EINVAL;	/* would end what is returned */
		if (size - used <= len)
			return -ENOSPC;
		memcpy(out + used, utf8, len);
		used += len;
	}
	if (used == size)
		return -ENOSPC;
	out[used] = 0;
	return (int)used;
}
