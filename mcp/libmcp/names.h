/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Strings of MCP as numbers of the bus; OTHER for what has none. @text is a string with quotes. */
#ifndef LIBMCP_NAMES_H
#define LIBMCP_NAMES_H

#include "libmcp.h"

unsigned int method_number(struct libmcp_text method);
unsigned int proto_number(struct libmcp_text revision);

#endif
