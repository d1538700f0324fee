/* SPDX-License-Identifier: MIT */
/*
 * Deliberate faults for the gate's negative controls, from `protopi.test=WORD` on the kernel command line.
 * They exist only in a build with -DPROTOPI_TEST (`test: true` in an image file), never in a product image.
 */
#ifndef PROTOPI_TESTHOOKS_H
#define PROTOPI_TESTHOOKS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef PROTOPI_TEST
void testhooks_before_ready(void); /* delay:MS, panic */
void testhooks_line(char *line, size_t length); /* badcrc, noboot */
bool testhooks_hang(void); /* hang */
#else
static inline void testhooks_before_ready(void)
{
}
static inline void testhooks_line(char *line, size_t length)
{
	(void)line;
	(void)length;
}
static inline bool testhooks_hang(void)
{
	return false;
}
#endif

#endif
