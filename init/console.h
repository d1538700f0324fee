/* SPDX-License-Identifier: MIT */
/* The console as the report service uses it. Each function returns false when the console is lost. */
#ifndef PROTOPI_CONSOLE_H
#define PROTOPI_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

bool console_make_raw(int console);
bool console_send(int console, const char *line, size_t length);

/* True in development images, by a file of the (read-only) root file system. */
bool console_has_shell(void);

/* Runs a shell on the console and takes the console back when it ends. */
bool console_lend(int console);

#endif
