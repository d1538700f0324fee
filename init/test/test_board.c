// SPDX-License-Identifier: MIT
/* test_board TREE CARD: prints what report_board says of these folders. */
#include <stdio.h>

#include "report_board.h"

int main(int argc, char **argv)
{
	static char data[4096];
	struct report report = { .data = data, .size = sizeof(data) };

	if (argc != 3)
		return 2;
	report_board_at(&report, argv[1], argv[2]);
	printf("%.*s", (int)report.used, data);
	return report.overflow;
}
