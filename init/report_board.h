/* SPDX-License-Identifier: MIT */
/* The console report "board". */
#ifndef PROTOPI_REPORT_BOARD_H
#define PROTOPI_REPORT_BOARD_H

#include "report_facts.h"

/*
 * Lines KEY=VALUE, each only where it is known: revision (the code in /proc/cpuinfo, hexadecimal), eeprom (when the
 * boot loader in the EEPROM was built, seconds since 1970), card_name and card_serial (of the disk that holds the root).
 */
void report_board(struct report *report);

/* The same from a device tree's folder and a card's device folder. */
void report_board_at(struct report *report, const char *tree, const char *card);

#endif
