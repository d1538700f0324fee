// SPDX-License-Identifier: MIT
/*
 * What the board is, by its own word.
 *
 * Concern: the facts that a measurement needs beside it: which board, which EEPROM, which card.
 * Context: the report service, as root. Read-only.
 *
 * Source: Raspberry Pi documentation, "Device trees, overlays, and parameters": the firmware adds /system/linux,revision
 * and /chosen/bootloader/build-timestamp (seconds since 1970), both 32-bit big-endian. QEMU adds neither.
 */
#include "report_board.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util.h"

static bool read_cell(const char *folder, const char *name, uint32_t *value)
{
	uint8_t cell[8]; /* room for more than a cell: a longer property is another thing */
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (read_file(path, (char *)cell, sizeof(cell)) != 4)
		return false;
	*value = (uint32_t)cell[0] << 24 | (uint32_t)cell[1] << 16 | (uint32_t)cell[2] << 8 | cell[3];
	return true;
}

/* One line of a file of sysfs, where there is one, without the blanks at its end. */
static void one_line(struct report *report, const char *key, const char *folder, const char *name)
{
	char path[160], text[64];
	size_t length;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (read_file(path, text, sizeof(text)) <= 0)
		return;
	length = strcspn(text, "\n");
	while (length > 0 && text[length - 1] == ' ')
		length--;
	if (length > 0)
		report_format(report, "%s=%.*s\n", key, (int)length, text);
}

void report_board_at(struct report *report, const char *tree, const char *card)
{
	uint32_t value;

	if (read_cell(tree, "system/linux,revision", &value))
		report_format(report, "revision=%06x\n", value);
	if (read_cell(tree, "chosen/bootloader/build-timestamp", &value))
		report_format(report, "eeprom=%u\n", value);
	one_line(report, "card_name", card, "name");
	one_line(report, "card_serial", card, "serial");
}

void report_board(struct report *report)
{
	struct stat root;
	char path[96];

	if (stat("/", &root) < 0)
		return;
	/* A partition's folder lies in its disk's, and the card is the disk's device. */
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(root.st_dev), minor(root.st_dev));
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s", major(root.st_dev), minor(root.st_dev),
		 access(path, F_OK) == 0 ? "/../device" : "/device");
	report_board_at(report, "/sys/firmware/devicetree/base", path);
}
