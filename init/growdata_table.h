/* SPDX-License-Identifier: MIT */
/* The partition table side of growing the data partition: pure functions on sectors. */
#ifndef PROTOPI_GROWDATA_TABLE_H
#define PROTOPI_GROWDATA_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR 512

/* Reads sector `lba` into `sector`; returns 0 or -errno. */
typedef int (*read_sector_fn)(void *context, uint64_t lba, uint8_t sector[SECTOR]);

/* What has to be written, in this order: the EBR, then the MBR. Either may already be right. */
struct grow_plan {
	uint32_t start; /* of the data partition: absolute, in sectors */
	uint32_t size;	/* after growing, in sectors */
	bool write_ebr, write_mbr;
	uint32_t ebr_lba;
	uint8_t ebr[SECTOR], mbr[SECTOR];
};

/*
 * Plans to grow logical partition `number` (5 is the first) to the end of a disk of `disk_sectors` sectors.
 *
 * The partition must be the last of the chain and end last, and its extended partition must be the last of the
 * primaries. The new end is the last multiple of 4 MiB that both the disk and the 32-bit table can hold; a partition
 * that ends there or later stays as it is (nothing ever shrinks).
 * Returns NULL, or what is wrong with the table: then nothing may be written.
 */
const char *grow_plan_make(struct grow_plan *plan, read_sector_fn read, void *context, uint64_t disk_sectors,
			   unsigned int number);

#endif
