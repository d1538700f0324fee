/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's names for what reboot_command.c uses, on a machine without the kernel's headers. */
#ifndef SHIM_LINUX_TYPES_H
#define SHIM_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned int u32;

#endif
