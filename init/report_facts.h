/* SPDX-License-Identifier: MIT */
/* What the console report can tell. Each function appends text to a buffer. */
#ifndef PROTOPI_REPORT_FACTS_H
#define PROTOPI_REPORT_FACTS_H

#include <stdbool.h>
#include <stddef.h>

/* A fixed buffer that remembers whether something did not fit: a cut report must never look like a whole one. */
struct report {
	char *data;
	size_t size, used;
	bool overflow;
};

void report_append(struct report *report, const void *data, size_t size);
void report_format(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The whole kernel log: raw records of /dev/kmsg, "LEVEL,SEQ,USEC,FLAGS;TEXT\n KEY=VALUE\n". */
void report_kmsg(struct report *report);

/*
 * One line a service, fields separated by one space:
 *   NAME WANTED STATE PID EXIT RESTARTS VERDICT
 * WANTED and STATE are up or down; PID is 0 when it is down; EXIT is the exit code of its last end, sigN where a
 * signal ended it, - where it has never ended; RESTARTS counts the ends that s6 remembers (at most 100). A logger has
 * a line of its own, NAME/log. A service that s6 does not supervise has "- -" for WANTED and STATE. VERDICT is failed
 * where /run/protopi/failed/NAME exists (its finish script says so) or s6 does not supervise it, else ok.
 */
void report_services(struct report *report);

/* The @boot (or @fail) line as PID 1 wrote it. */
void report_boot(struct report *report);

/*
 * Lines KEY=VALUE: root (kernel name of the root's disk), disk_sectors, sectors_read, sectors_written (512 bytes each,
 * since boot), data ("mounted DEVICE", "failed REASON" or "pending"), data_bytes, data_free_bytes.
 */
void report_disk(struct report *report);

/*
 * The fingerprint of the SSH host key, "SHA256:..." as OpenSSH writes it; nothing where there is no key (yet). It is no
 * secret, and whoever reads it off this line knows that it is this board's.
 */
void report_hostkey(struct report *report);

#endif
