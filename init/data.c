// SPDX-License-Identifier: MIT
/*
 * The data partition.
 *
 * Concern: from the root's PARTUUID to a mounted /data.
 * Context: a child of PID 1, after ready: the card may be slow and the journal long, and nothing waits for it.
 * Lifetime: the child ends with the mount, or becomes growdata. What it found is in /run/protopi/data: "mounted
 * DEVICE" or "failed REASON"; that file is renamed into place, so it is either absent or whole.
 */
#include "data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define DATA_PARTITION "07" /* in a PARTUUID */
#define DATA_NUMBER "7"	     /* in sysfs */
#define WAIT_MS 3000 /* the root is there, so its disk's table has been read; a margin for what comes late */

bool data_partuuid(char *partuuid, size_t size, const char *command_line)
{
	static const char key[] = "root=PARTUUID=", hex[] = "0123456789abcdefABCDEF";
	const char *at = command_line;
	size_t length;

	/* The first word of that name, as a word of its own. */
	while ((at = strstr(at, key)) && at != command_line && at[-1] != ' ')
		at += sizeof(key) - 1;
	if (!at)
		return false;
	at += sizeof(key) - 1;
	length = strcspn(at, "- \n");
	if (length != 8 || at[length] != '-' || strspn(at, hex) != length || size < 12)
		return false;
	/* Two digits and no more: anything longer is the identity of a GPT partition. */
	if (strspn(at + length + 1, hex) != 2 || !strchr(" \n", at[length + 3]))
		return false; /* strchr finds the terminating zero too */
	memcpy(partuuid, at, length);
	memcpy(partuuid + length, "-" DATA_PARTITION, sizeof("-" DATA_PARTITION));
	return true;
}

/* The identity of a disk in its MBR, as PARTUUID writes it: eight hexadecimal digits. */
static bool disk_has_identity(const char *disk, const char *partuuid)
{
	char path[80], text[9];
	uint8_t id[4];
	int fd AUTO_CLOSE = -1;

	snprintf(path, sizeof(path), "/dev/%.64s", disk);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, id, sizeof(id), 440) != sizeof(id))
		return false;
	snprintf(text, sizeof(text), "%02x%02x%02x%02x", id[3], id[2], id[1], id[0]);
	return strncasecmp(text, partuuid, 8) == 0;
}

/*
 * The kernel's name (mmcblk0p7) of the partition with this PARTUUID. Linux 6.12 does not tell PARTUUIDs in sysfs, so
 * each partition of that number is asked for its disk, and the disk for its identity.
 */
static bool find_device(const char *partuuid, char *name, size_t size)
{
	DIR *folder = opendir("/sys/class/block");
	const struct dirent *entry;
	bool found = false;

	while (folder && !found && (entry = readdir(folder))) {
		char path[320], link[320], number[8], *slash, *disk;
		ssize_t length;

		snprintf(path, sizeof(path), "/sys/class/block/%s/partition", entry->d_name);
		if (read_file(path, number, sizeof(number)) < 0 || strcmp(number, DATA_NUMBER "\n") != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/class/block/%s", entry->d_name);
		length = readlink(path, link, sizeof(link) - 1); /* .../block/mmcblk0/mmcblk0p7 */
		if (length < 0)
			continue;
		link[length] = '\0';
		slash = strrchr(link, '/');
		if (!slash)
			continue;
		*slash = '\0';
		disk = strrchr(link, '/');
		found = disk && disk_has_identity(disk + 1, partuuid) &&
			snprintf(name, size, "%s", entry->d_name) < (int)size;
	}
	if (folder)
		closedir(folder);
	return found;
}

/* Leaves the result for services and the report, and runs the hook where it failed. */
_Noreturn static void finish(const char *device, const char *reason)
{
	char text[160];
	int length = snprintf(text, sizeof(text), "%s %s\n", device ? "mounted" : "failed", device ? device : reason);

	if (length > 0 && write_file("/run/protopi/data.new", text, (size_t)length) == 0)
		rename("/run/protopi/data.new", "/run/protopi/data");
	if (!device) {
		klog(KLOG_ERROR, "/data is not available: %s", reason);
		execl("/usr/lib/protopi/data-failed", "data-failed", reason, (char *)NULL);
		_exit(1);
	}
	execl("/usr/lib/protopi/growdata", "growdata", "/data", (char *)NULL);
	_exit(0);
}

static void work(void)
{
	char command_line[4096], partuuid[16], name[64], device[72], reason[96];
	uint64_t start = now_ms();

	if (read_file("/proc/cmdline", command_line, sizeof(command_line)) < 0 ||
	    !data_partuuid(partuuid, sizeof(partuuid), command_line))
		finish(NULL, "no root=PARTUUID=XXXXXXXX-NN on the kernel command line");
	while (!find_device(partuuid, name, sizeof(name))) {
		if (now_ms() - start > WAIT_MS) {
			snprintf(reason, sizeof(reason), "no partition has PARTUUID %s", partuuid);
			finish(NULL, reason);
		}
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	snprintf(device, sizeof(device), "/dev/%s", name);
	/* errors=remount-ro is set in the superblock, and so are the journal's options. */
	if (mount(device, "/data", "ext4", MS_NOATIME | MS_NOSUID | MS_NODEV, NULL) < 0) {
		snprintf(reason, sizeof(reason), "cannot mount %s: %s", device, strerror(errno));
		finish(NULL, reason);
	}
	finish(device, NULL);
}

void data_begin(void)
{
	pid_t pid = fork();
	sigset_t none;

	if (pid < 0)
		klog(KLOG_ERROR, "cannot fork for /data: %s", strerror(errno));
	if (pid != 0)
		return;
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	work();
	_exit(0);
}
