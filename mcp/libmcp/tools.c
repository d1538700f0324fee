// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Concern: a server's table of tools, made of their definitions; SERVE, UPDATE
 * and tools/list, which so cannot disagree.
 * Context: the connection's thread. Locking: none.
 * Lifetime: a table until another one takes its place, or the connection's end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"
#include "json.h"

void tools_free(struct tool_table *table)
{
	for (unsigned int i = 0; i < table->count; i++)
		free(table->rows[i].definition);
	free(table->rows);
	*table = (struct tool_table){ 0 };
}

const struct tool_row *tool_find(const struct tool_table *table, unsigned int id)
{
	for (unsigned int i = 0; i < table->count; i++) {
		if (table->rows[i].id == id)
			return &table->rows[i];
	}
	return NULL;
}

static int fill_row(struct tool_row *row, const struct libmcp_tool *tool)
{
	struct libmcp_text definition, annotations, read_only;
	char *name;
	size_t written;
	int error;

	if (!tool->definition || !tool->call)
		return -EINVAL;
	*row = (struct tool_row){ .id = tool->id, .call = tool->call, .context = tool->context };
	/* The canonical form is kept: it is checked, and says the same. */
	error = libmcp_canonical(tool->definition, strlen(tool->definition), &row->definition, &written);
	if (error)
		return error;
	row->definition_len = written;
	definition = (struct libmcp_text){ row->definition, written };
	error = libmcp_digest(row->definition, written, row->digest);
	if (!error)
		error = libmcp_member(definition, "name", &row->name);
	if (error)
		return error == -ENOENT ? -EINVAL : error;
	if (!libmcp_member(definition, "annotations", &annotations) &&
	    !libmcp_member(annotations, "readOnlyHint", &read_only) && *read_only.text == 't')
		row->flags = MCP_TOOL_READ_ONLY;
	/* Decoded it is never longer. */
	name = malloc(row->name.len + 1);
	if (!name)
		return -ENOMEM;
	error = libmcp_string(row->name, name, row->name.len + 1);
	if (error >= 0)
		error = libmcp_bus_name(name, (size_t)error, row->bus_name);
	free(name);
	return error;
}

static int check_names(const struct tool_table *table)
{
	for (unsigned int i = 0; i < table->count; i++) {
		for (unsigned int j = 0; j < i; j++) {
			if (table->rows[i].id == table->rows[j].id)
				return -EINVAL;
			if (!strcmp(table->rows[i].bus_name, table->rows[j].bus_name))
				return -EEXIST;
		}
	}
	return 0;
}

static int make_table(struct tool_table *table, const struct libmcp_tool *tools, unsigned int ntools)
{
	int error = 0;

	*table = (struct tool_table){ 0 };
	if (ntools > MCP_TOOL_ID_MAX)
		return -EINVAL;
	table->rows = calloc(ntools + 1, sizeof(*table->rows));
	if (!table->rows)
		return -ENOMEM;
	while (!error && table->count < ntools) {
		error = fill_row(&table->rows[table->count], &tools[table->count]);
		table->count++;
	}
	if (!error)
		error = check_names(table);
	if (error)
		tools_free(table);
	return error;
}

/* What the kernel takes of it; for free(). */
static struct mcp_tool *kernel_rows(const struct tool_table *table)
{
	struct mcp_tool *rows = calloc(table->count + 1, sizeof(*rows));

	for (unsigned int i = 0; rows && i < table->count; i++) {
		rows[i].id = table->rows[i].id;
		rows[i].flags = table->rows[i].flags;
		memcpy(rows[i].digest, table->rows[i].digest, sizeof(rows[i].digest));
		memcpy(rows[i].name, table->rows[i].bus_name, sizeof(rows[i].name));
	}
	return rows;
}

static int tell_serve(struct libmcp *mcp, const struct libmcp_service *service, const struct mcp_tool *rows,
		      unsigned int count)
{
	struct mcp_serve serve = {
		.size = sizeof(serve), .flags = service->flags, .uid = service->owner ? service->owner->uid : ~0u,
		.gid = service->owner ? service->owner->gid : ~0u,
		.mode = service->mode ? service->mode : 0700, .ntools = count,
		.tools = count ? (uintptr_t)rows : 0, .tool_size = sizeof(*rows),
		.max_inflight = service->max_inflight,
	};
	size_t len = service->name ? strlen(service->name) : 0;

	if (!len || len > MCP_NAME_MAX)
		return -EINVAL;
	memcpy(serve.name, service->name, len);
	return ioctl(mcp->fd, MCP_IOC_SERVE, &serve) ? -errno : 0;
}

static int tell_update(struct libmcp *mcp, const struct mcp_tool *rows, unsigned int count)
{
	struct mcp_update update = {
		.size = sizeof(update), .ntools = count, .tools = count ? (uintptr_t)rows : 0,
		.tool_size = sizeof(*rows),
	};

	return ioctl(mcp->fd, MCP_IOC_UPDATE, &update) ? -errno : 0;
}

/* @service NULL: of what is served already. */
static int set_tools(struct libmcp *mcp, const struct libmcp_service *service,
		     const struct libmcp_tool *tools, unsigned int ntools)
{
	struct tool_table table;
	struct mcp_tool *rows;
	int error = make_table(&table, tools, ntools);

	if (error)
		return error;
	rows = kernel_rows(&table);
	if (!rows)
		error = -ENOMEM;
	else if (service)
		error = tell_serve(mcp, service, rows, table.count);
	else
		error = tell_update(mcp, rows, table.count);
	free(rows);
	if (error) {
		tools_free(&table);
		return error;
	}
	tools_free(&mcp->tools);
	mcp->tools = table;
	return 0;
}

int libmcp_serve(struct libmcp *mcp, const struct libmcp_service *service)
{
	int error = set_tools(mcp, service, service->tools, service->ntools);

	if (error)
		return error;
	mcp->service = *service;
	mcp->service.name = NULL;
	mcp->service.tools = NULL;
	return 0;
}

int libmcp_update(struct libmcp *mcp, const struct libmcp_tool *tools, unsigned int ntools)
{
	return set_tools(mcp, NULL, tools, ntools);
}

int answer_tools_list(struct libmcp_call *call)
{
	const struct tool_table *table = &call->mcp->tools;
	struct buffer out = { 0 };
	int error;

	buffer_text(&out, "{\"tools\":[");
	for (unsigned int i = 0; i < table->count; i++) {
		if (i)
			buffer_text(&out, ",");
		buffer_add(&out, table->rows[i].definition, table->rows[i].definition_len);
	}
	buffer_text(&out, "]");
	if (call->message.revision.len)
		buffer_text(&out, ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"");
	buffer_text(&out, "}");
	error = out.error ? out.error : libmcp_result(call, out.data, out.len);
	buffer_free(&out);
	return error;
}
