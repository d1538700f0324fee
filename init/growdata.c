// SPDX-License-Identifier: MIT
/*
 * growdata MOUNTPOINT: grows the data partition and its mounted ext4 to the end of the disk.
 *
 * Concern: a card is larger than the image that was written to it; the space behind the image becomes data.
 * Context: run once a boot after /data is mounted, in the background, as root. Each stage looks at what is there and
 *          does only what is missing, so that the program may be cut off anywhere and finishes on the next boot; on a
 *          card that is already grown it reads four sectors and ends.
 * Lifetime: seconds on the first boot, milliseconds later. Messages go to the kernel log.
 *
 * Stages: the table on the card (growdata_table.c says why each state in between is sound), the kernel's idea of the
 * partition (BLKPG), the file system (EXT4_IOC_RESIZE_FS, which is e2fsprogs' online resize without e2fsprogs).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "growdata_table.h"
#include "util.h"

/* <linux/fs.h> and the C library's <sys/mount.h> disagree about each other, so these two stand here. */
#define BLOCK_DEVICE_SECTOR_SIZE _IO(0x12, 104)	  /* BLKSSZGET */
#define EXT4_RESIZE _IOW('f', 16, uint64_t)	  /* EXT4_IOC_RESIZE_FS: the new size in blocks */

/* Where the partition is, as sysfs tells it. All in 512-byte sectors. */
struct place {
	char disk[64];	    /* /dev/mmcblk0 */
	char partition[64]; /* /dev/mmcblk0p7 */
	unsigned int number;
	uint64_t start, size, disk_sectors;
};

static int sysfs_number(dev_t device, const char *name, uint64_t *value)
{
	char path[96], text[32];
	ssize_t size;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	size = read_file(path, text, sizeof(text));
	return size < 0 ? (int)size : parse_u64(text, value);
}

static int find_place(struct place *place, dev_t device)
{
	char path[96], target[256], *disk, *slash;
	uint64_t number;
	ssize_t size;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(device), minor(device));
	size = readlink(path, target, sizeof(target) - 1);
	if (size < 0)
		return -errno;
	target[size] = '\0';
	slash = strrchr(target, '/'); /* .../block/mmcblk0/mmcblk0p7 */
	if (!slash)
		return -ENODEV;
	*slash = '\0';
	disk = strrchr(target, '/');
	if (!disk || snprintf(place->disk, sizeof(place->disk), "/dev/%s", disk + 1) >= (int)sizeof(place->disk) ||
	    snprintf(place->partition, sizeof(place->partition), "/dev/%s", slash + 1) >=
		    (int)sizeof(place->partition))
		return -ENODEV;
	if (sysfs_number(device, "partition", &number) < 0 || sysfs_number(device, "start", &place->start) < 0 ||
	    sysfs_number(device, "size", &place->size) < 0 ||
	    sysfs_number(device, "../size", &place->disk_sectors) < 0)
		return -ENODEV;
	place->number = (unsigned int)number;
	return 0;
}

/* Past the page cache, in both directions: what is read back is what the card has. */
static _Alignas(4096) uint8_t direct[SECTOR];

static int read_sector(void *context, uint64_t lba, uint8_t sector[SECTOR])
{
	const int *disk = context;

	if (pread(*disk, direct, SECTOR, (off_t)(lba * SECTOR)) != SECTOR)
		return errno ? -errno : -EIO;
	memcpy(sector, direct, SECTOR);
	return 0;
}

static int write_sector(int disk, uint64_t lba, const uint8_t sector[SECTOR])
{
	uint8_t back[SECTOR];

	memcpy(direct, sector, SECTOR);
	if (pwrite(disk, direct, SECTOR, (off_t)(lba * SECTOR)) != SECTOR)
		return errno ? -errno : -EIO;
	if (fsync(disk) < 0) /* O_SYNC flushed already; this asks the card's own cache again */
		return -errno;
	if (read_sector(&disk, lba, back) < 0 || memcmp(back, sector, SECTOR) != 0)
		return -EIO;
	return 0;
}

static int tell_kernel(int disk, const struct place *place, const struct grow_plan *plan)
{
	struct blkpg_partition partition = {
		.start = (long long)plan->start * SECTOR,
		.length = (long long)plan->size * SECTOR,
		.pno = (int)place->number,
	};
	struct blkpg_ioctl_arg argument = {
		.op = BLKPG_RESIZE_PARTITION,
		.datalen = sizeof(partition),
		.data = &partition,
	};

	return ioctl(disk, BLKPG, &argument) < 0 ? -errno : 0;
}

static int grow_partition(const struct place *place, struct grow_plan *plan)
{
	int disk AUTO_CLOSE = open(place->disk, O_RDWR | O_SYNC | O_DIRECT | O_CLOEXEC);
	int logical_sector = 0, error = 0;
	const char *wrong;

	if (disk < 0)
		return -errno;
	if (ioctl(disk, BLOCK_DEVICE_SECTOR_SIZE, &logical_sector) < 0 || logical_sector != SECTOR)
		return -EMEDIUMTYPE;
	wrong = grow_plan_make(plan, read_sector, &disk, place->disk_sectors, place->number);
	if (!wrong && plan->start != place->start)
		wrong = "the kernel knows another partition than the table";
	if (wrong) {
		klog(KLOG_ERROR, "growdata: %s: %s", place->disk, wrong);
		return -EINVAL;
	}
	if (plan->write_ebr)
		error = write_sector(disk, plan->ebr_lba, plan->ebr);
	if (!error && plan->write_mbr)
		error = write_sector(disk, 0, plan->mbr);
	if (!error && plan->size > place->size)
		error = tell_kernel(disk, place, plan);
	return error;
}

static uint32_t get32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* What ext4 says of itself: statfs leaves its own tables out, so it cannot tell how large the file system is. */
struct ext4_facts {
	uint64_t blocks;
	uint32_t block_size, blocks_per_group;
};

static int read_ext4(const char *partition, struct ext4_facts *facts)
{
	int fd AUTO_CLOSE = open(partition, O_RDONLY | O_CLOEXEC);
	uint8_t super[1024];

	if (fd < 0)
		return -errno;
	if (pread(fd, super, sizeof(super), 1024) != sizeof(super))
		return -EIO;
	if (super[0x38] != 0x53 || super[0x39] != 0xef || get32(super + 0x18) > 6)
		return -EMEDIUMTYPE;
	facts->block_size = 1024u << get32(super + 0x18);
	facts->blocks_per_group = get32(super + 0x20);
	facts->blocks = get32(super + 4);
	if (get32(super + 0x60) & 0x80) /* INCOMPAT_64BIT */
		facts->blocks |= (uint64_t)get32(super + 0x150) << 32;
	return 0;
}

/* Returns 1 when it grew, 0 when there was nothing to do, or -errno. */
static int grow_file_system(const char *mountpoint, const char *partition, uint64_t sectors)
{
	int folder AUTO_CLOSE = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ext4_facts now = { .block_size = 1024 };
	uint64_t blocks;
	int error;

	if (folder < 0)
		return -errno;
	error = read_ext4(partition, &now);
	if (error)
		return error;
	blocks = sectors * SECTOR / now.block_size;
	/* ext4 leaves out a last group that is too small for its own tables: do not ask for it on every boot. */
	if (blocks < now.blocks + now.blocks_per_group / 8)
		return 0;
	if (ioctl(folder, EXT4_RESIZE, &blocks) < 0)
		return -errno;
	return syncfs(folder) < 0 ? -errno : 1;
}

int main(int argc, char **argv)
{
	struct grow_plan plan;
	struct place place;
	struct stat mounted;
	int error;

	if (argc != 2 || stat(argv[1], &mounted) < 0) {
		klog(KLOG_ERROR, "growdata: needs the folder where the data partition is mounted");
		return 1;
	}
	error = find_place(&place, mounted.st_dev);
	if (!error)
		error = grow_partition(&place, &plan);
	if (!error) {
		error = grow_file_system(argv[1], place.partition, plan.size);
		if (error > 0)
			klog(KLOG_NOTICE, "growdata: %s has %llu MiB now", argv[1],
			     (unsigned long long)plan.size / 2048);
	}
	if (error < 0)
		klog(KLOG_ERROR, "growdata: %s: %s", argv[1], strerror(-error));
	return error < 0;
}
