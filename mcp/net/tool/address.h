/* SPDX-License-Identifier: GPL-2.0 */
/* Concern: the address of an Ethernet device, as a word of a command line. */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * Six pairs of hexadecimal digits with colons between, and nothing else. Not zero
 * and not a group's: no frame comes from such a one.
 */
static inline bool address_read(const char *word, uint8_t address[6])
{
	unsigned int any = 0;

	for (int i = 0; i < 6; i++, word += 3) {
		if (!isxdigit((unsigned char)word[0]) || !isxdigit((unsigned char)word[1]) ||
		    word[2] != (i < 5 ? ':' : '\0'))
			return false;
		address[i] = (uint8_t)strtoul(word, NULL, 16);
		any |= address[i];
	}
	return any && !(address[0] & 1);
}

#endif /* ADDRESS_H */
