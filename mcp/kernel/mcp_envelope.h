/* SPDX-License-Identifier: GPL-2.0 */
/* What a sender may write into an envelope, a name, a label. No I/O, no state. */
#ifndef _MCP_ENVELOPE_H
#define _MCP_ENVELOPE_H

#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>

#include <linux/mcp.h>

int mcp_envelope_check(const struct mcp_envelope *envelope);
int mcp_name_check(const u8 *name, size_t size, size_t max);

/* Is there nothing to send? Every byte but those of @cookie is zero then. */
static inline bool mcp_envelope_is_empty(const struct mcp_envelope *envelope)
{
	return !envelope->magic &&
	       !memchr_inv(envelope, 0, offsetof(struct mcp_envelope, cookie)) &&
	       !memchr_inv(&envelope->parent, 0,
			   sizeof(*envelope) - offsetof(struct mcp_envelope, parent));
}

#endif /* _MCP_ENVELOPE_H */
