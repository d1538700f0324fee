// SPDX-License-Identifier: GPL-2.0
/*
 * One pinned link.
 *
 * Concern: what is attached stays attached when mcp-policy has ended, and is
 *          replaced without a moment in which there is none.
 * Locking: a link is updated as a whole, by the kernel. LOCK, until the program
 *          ends, for what is more than one step: a link and its pin. Who only
 *          looks takes none.
 */
#include "attach.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE_TYPES	"/sys/kernel/btf/mcp_bpf"
#define BPF_FOLDER	"/sys/fs/bpf"

extern char **environ;

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define AUTO_CLOSE __attribute__((cleanup(close_fd)))

/* Or `detach` might remove the pin of what was attached since it looked. */
static int lock_changes(void)
{
	/* Whoever may open it may hold everybody up. It is closed when the program ends. */
	int fd = open(LOCK, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* modprobe knows where modules lie and what they need. */
static int load_module(void)
{
	char *const words[] = { "modprobe", "mcp_bpf", NULL };
	int error, status;
	pid_t pid;

	if (!access(MODULE_TYPES, F_OK))
		return 0;
	error = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);
	if (error)
		return -error;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return access(MODULE_TYPES, F_OK) ? -ENOPKG : 0;
}

static int mount_pins(void)
{
	struct statfs about;

	if (statfs(BPF_FOLDER, &about))
		return -errno;
	if (about.f_type != BPF_FS_MAGIC && mount("bpf", BPF_FOLDER, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return -errno;
	return mkdir(PIN_FOLDER, 0700) && errno != EEXIST ? -errno : 0;
}

int prepare(void)
{
	int error = lock_changes();

	if (!error)
		error = load_module();
	return error ? error : mount_pins();
}

/* It was attached just now, so a pin that is there is of one that no longer is. */
static int pin(struct bpf_link *link)
{
	int error = bpf_link__pin(link, PIN);

	if (error == -EEXIST && !unlink(PIN))
		error = bpf_link__pin(link, PIN);
	return error;
}

int attach_or_replace(const struct bpf_map *policy, bool *replaced)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(policy);
	int pinned AUTO_CLOSE = -1, error = -errno;

	*replaced = !link;
	if (link) {
		error = pin(link);
		/* Without a pin this is the last reference: it is detached again. */
		bpf_link__destroy(link);
		return error;
	}
	if (error != -EEXIST)
		return error;
	/* The attempt has made the map ready to be linked, which an update needs. */
	pinned = bpf_obj_get(PIN);
	if (pinned < 0)
		return errno == ENOENT ? -EEXIST : -errno;
	if (!bpf_link_update(pinned, bpf_map__fd(policy), NULL))
		return 0;
	/* What is pinned is no longer attached, and yet something is. */
	return errno == ENOLINK ? -EEXIST : -errno;
}

/* The id of the policy's map. -ENOENT when the link was detached, by whoever had it open. */
static int linked_map(int link, __u32 *id)
{
	struct bpf_link_info about = { 0 };
	__u32 length = sizeof(about);

	if (bpf_link_get_info_by_fd(link, &about, &length))
		return -errno;
	if (about.type != BPF_LINK_TYPE_STRUCT_OPS)
		return -EINVAL;
	*id = about.struct_ops.map_id;
	return *id ? 0 : -ENOENT;
}

int show_pinned(char *name, size_t size, unsigned int *id)
{
	int link AUTO_CLOSE = bpf_obj_get(PIN), map AUTO_CLOSE = -1, error;
	struct bpf_map_info policy = { 0 };
	__u32 length = sizeof(policy);

	if (link < 0)
		return -errno;
	error = linked_map(link, id);
	if (error)
		return error;
	map = bpf_map_get_fd_by_id(*id);
	if (map < 0 || bpf_map_get_info_by_fd(map, &policy, &length))
		return -errno;
	snprintf(name, size, "%s", policy.name);
	return 0;
}

int detach_pinned(void)
{
	int link AUTO_CLOSE = -1, error = lock_changes(), found;
	__u32 id;

	if (error)
		return error;
	link = bpf_obj_get(PIN);
	if (link < 0)
		return -errno;
	found = linked_map(link, &id);
	if (found && found != -ENOENT)
		return found;
	/* Unlinking alone would leave it attached until the kernel finds the time. */
	if (bpf_link_detach(link) || unlink(PIN))
		return -errno;
	return found;
}
