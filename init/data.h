/* SPDX-License-Identifier: MIT */
/* The data partition: found beside the root, mounted in the background. */
#ifndef PROTOPI_DATA_H
#define PROTOPI_DATA_H

#include <stdbool.h>
#include <stddef.h>

/* From "... root=PARTUUID=XXXXXXXX-05 ..." to "XXXXXXXX-07" (needs 12 bytes). Pure. */
bool data_partuuid(char *partuuid, size_t size, const char *command_line);

/* Forks; the child finds, waits for and mounts /data, then grows it. Returns at once. */
void data_begin(void);

#endif
