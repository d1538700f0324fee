// SPDX-License-Identifier: MIT
/*
 * report: answers questions on the console.
 *
 * Concern: a line protocol by which a test host reads the kernel log and the state of the services through the serial
 *          port alone. It is no shell: there are six questions, none takes an argument, and none changes anything.
 *          In a development image alone (/etc/protopi/console-shell exists) it lends the console to one (console.c).
 * Context: a service under the supervisor, as root, on /dev/console. The console stays silent unless asked.
 * Lifetime: runs until stopped; ends with a status when the console goes away, and is then restarted.
 *
 *   host   @get SEQ NONCE kmsg|services|boot|disk|hostkey|board OFFSET LENGTH PART CRC
 *   board  @part SEQ NONCE OFFSET TOTAL BASE64 CRC     for each PART bytes of what is wanted
 *   board  @err SEQ NONCE what|overflow|offset CRC     an unknown question; a report that does not fit; or is shorter
 *   host   an empty line                               development images: a shell, until it ends
 *
 * A line loses and changes bytes. So a request with the SEQ, NONCE and WHAT of the one before is about the same reading:
 * the host asks again for what it lacks, in parts as small as the line needs. The last eight of TOTAL bytes are the
 * checksum of the others, which shows the host that all came from one reading (we may have been restarted).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "report_board.h"
#include "report_facts.h"
#include "report_frame.h"
#include "util.h"

#define REPORT_MAX (4u << 20) /* far above any kernel log; untouched pages cost nothing */

struct question {
	const char *what;
	void (*answer)(struct report *report);
};

static const struct question questions[] = {
	{ "kmsg", report_kmsg },
	{ "services", report_services },
	{ "boot", report_boot },
	{ "disk", report_disk },
	{ "hostkey", report_hostkey },
	{ "board", report_board },
};

/* The reading that answers go out of. */
struct reading {
	struct request request;
	struct report report;
	const char *error;
};

static void read_afresh(struct reading *reading, const struct request *request)
{
	static char data[REPORT_MAX];

	*reading = (struct reading){
		.request = *request,
		.report = { .data = data, .size = sizeof(data) - REPORT_SEAL },
		.error = "what",
	};
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
		if (strcmp(request->what, questions[i].what) == 0) {
			questions[i].answer(&reading->report);
			reading->error = reading->report.overflow ? "overflow" : NULL;
		}
	}
	report_seal(data, reading->report.used);
}

static bool answer(int console, const char *text)
{
	static struct reading reading;
	struct request request;
	char line[REPORT_LINE];
	const char *error;
	size_t total, end;

	if (*text == '\0' && console_has_shell())
		return console_lend(console);
	if (!request_parse(&request, text))
		return true;
	if (!request_same(&request, &reading.request))
		read_afresh(&reading, &request);
	total = reading.report.used + REPORT_SEAL;
	error = reading.error ? reading.error : request.offset >= total ? "offset" : NULL;
	if (error)
		return console_send(console, line, error_line(line, &request, error));
	end = request_end(&request, total);
	for (size_t at = request.offset; at < end; at += request.part)
		if (!console_send(console, line,
				  part_line(line, &request, at, end, reading.report.data, total)))
			return false;
	return true;
}

int main(void)
{
	int console AUTO_CLOSE = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char line[256], input[256];
	size_t used = 0;
	bool skip = false; /* the line is too long for any question: wait for its end */
	ssize_t got;

	if (console < 0 || !console_make_raw(console)) {
		klog(KLOG_ERROR, "report: cannot use the console: %s", strerror(errno));
		return 1;
	}
	while ((got = read(console, input, sizeof(input))) > 0 || (got < 0 && errno == EINTR)) {
		for (ssize_t i = 0; i < got; i++) {
			if (input[i] == '\n') {
				line[used] = '\0';
				if (!skip && !answer(console, line))
					return 1;
				used = 0;
				skip = false;
			} else if (used == sizeof(line) - 1) {
				skip = true;
			} else {
				line[used++] = input[i];
			}
		}
	}
	return 1;
}
