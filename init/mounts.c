// SPDX-License-Identifier: MIT
/*
 * Mounts.
 *
 * Concern: which pseudo and volatile file systems exist, with which limits, and how they go away.
 * Context: PID 1; early ones on the critical path, the rest after ready. Lifetime: to shutdown.
 */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "util.h"

struct mount_entry {
	const char *type;
	const char *target;
	unsigned long flags;
	const char *options;
	bool make; /* the target lies on a volatile file system and must be made */
};

#define STRICT (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const struct mount_entry early[] = {
	{ "proc", "/proc", STRICT, NULL, false },
	{ "sysfs", "/sys", STRICT, NULL, false },
	{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755,size=32m,nr_inodes=16k", false },
};

/* Sizes are caps, not reservations. Nothing in /var is to be executed or trusted with a device. */
static const struct mount_entry late[] = {
	{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777,size=25%,nr_inodes=64k", false },
	{ "tmpfs", "/var", STRICT, "mode=755,size=64m,nr_inodes=16k", false },
	{ "cgroup2", "/sys/fs/cgroup", STRICT, "nsdelegate,memory_recursiveprot", false },
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=620,gid=5,ptmxmode=666", true },
	{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777,size=25%", true },
};

/* Folders that programs expect in an empty /var. */
static const char *const var_folders[] = {
	"/var/cache", "/var/empty", "/var/lib", "/var/log", "/var/spool", "/var/tmp",
};

static void mount_one(const struct mount_entry *entry)
{
	if (entry->make)
		mkdir(entry->target, 0755);
	if (mount(entry->type, entry->target, entry->type, entry->flags, entry->options) < 0 && errno != EBUSY)
		klog(KLOG_ERROR, "cannot mount %s on %s: %s", entry->type, entry->target, strerror(errno));
}

void mounts_early(void)
{
	/* CONFIG_DEVTMPFS_MOUNT has done this, except where an initramfs is the root. */
	if (access("/dev/null", F_OK) < 0)
		mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=755");
	for (size_t i = 0; i < sizeof(early) / sizeof(*early); i++)
		mount_one(&early[i]);
}

void mounts_late(void)
{
	for (size_t i = 0; i < sizeof(late) / sizeof(*late); i++)
		mount_one(&late[i]);
	for (size_t i = 0; i < sizeof(var_folders) / sizeof(*var_folders); i++)
		mkdir(var_folders[i], 0755);
	chmod("/var/tmp", 01777);
	if (symlink("/run", "/var/run") < 0 && errno != EEXIST)
		klog(KLOG_WARNING, "cannot make /var/run: %s", strerror(errno));
	if (symlink("/run/lock", "/var/lock") < 0 && errno != EEXIST)
		klog(KLOG_WARNING, "cannot make /var/lock: %s", strerror(errno));
	mkdir("/run/lock", 01777);
	chmod("/run/lock", 01777);
}

/* Undoes the octal escapes (\040 for a space) of /proc/self/mountinfo, in place. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++, out++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*out = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*out = *text;
		}
	}
	*out = '\0';
}

/* The kernel's own: nothing in them is lost, and /proc is read while we work. */
static bool stays(const char *target)
{
	static const char *const kept[] = { "/", "/proc", "/sys", "/dev", "/run" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (strcmp(target, kept[i]) == 0)
			return true;
	return false;
}

void mounts_undo(void)
{
	static char info[32768]; /* static: PID 1 allocates nothing, and this is too much for a stack */
	static char *targets[256];
	size_t count = 0;

	if (read_file("/proc/self/mountinfo", info, sizeof(info)) < 0)
		return;
	for (char *line = strtok(info, "\n"); line && count < sizeof(targets) / sizeof(*targets);
	     line = strtok(NULL, "\n")) {
		char *field = line;

		for (int i = 0; i < 4 && field; i++) /* the mount point is the fifth field */
			field = (field = strchr(field, ' ')) ? field + 1 : NULL;
		if (!field)
			continue;
		field[strcspn(field, " ")] = '\0';
		unescape(field);
		targets[count++] = field;
	}
	while (count--) { /* the list is in the order of mounting */
		const char *target = targets[count];

		if (stays(target) || umount2(target, 0) == 0)
			continue;
		if (errno == EBUSY && mount(NULL, target, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0)
			klog(KLOG_WARNING, "%s is busy: read-only now", target);
		else
			klog(KLOG_ERROR, "%s: cannot be unmounted: %s", target, strerror(errno));
	}
	/* A writable root (development images) becomes read-only; a read-only one says so by an error or nothing. */
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}
