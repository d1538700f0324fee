// SPDX-License-Identifier: MIT
/*
 * Growing the last logical partition, as a calculation.
 *
 * Concern: read the MBR and its chain of extended boot records, check all of it, and say which two sectors change.
 * Context: anywhere; pure but for the callback. Tested on the host.
 *
 * Why the EBR is written first and the MBR second, and why power may fail anywhere:
 *   nothing written    the old table: the old partition, the old file system.
 *   EBR written        the logical partition reaches beyond its extended partition. Linux takes a logical's extent
 *                      from the EBR and does not clip it, so the data partition already has its new size, and the file
 *                      system in it its old one, which is sound. The next boot finds this state and writes the MBR.
 *   both written       the new table; the file system has the old size until the online resize, which ext4 journals.
 * Neither write moves the start of anything, or touches the link to another partition, so the roots stay where they
 * are in each state. A single sector is the unit that a card promises to write whole.
 */
#include "growdata_table.h"

#include <stddef.h>
#include <string.h>

#define ENTRIES 446	/* offset of the four entries in an MBR or EBR */
#define ENTRY 16
#define FIRST_LOGICAL 5
#define MOST_LOGICALS 60
#define ALIGNMENT 8192u /* sectors: 4 MiB, the erase unit of common cards */

struct entry {
	uint8_t type;
	uint32_t start, size;
};

static uint32_t get32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static struct entry entry_get(const uint8_t *sector, unsigned int index)
{
	const uint8_t *at = sector + ENTRIES + ENTRY * index;

	return (struct entry){ .type = at[4], .start = get32(at + 8), .size = get32(at + 12) };
}

/* Sets the size, and the cylinder-head-sector end to the mark for "see the sector numbers". */
static void entry_set_size(uint8_t *sector, unsigned int index, uint32_t size)
{
	uint8_t *at = sector + ENTRIES + ENTRY * index;
	static const uint8_t end[] = { 0xfe, 0xff, 0xff };

	memcpy(at + 5, end, sizeof(end));
	for (int i = 0; i < 4; i++)
		at[12 + i] = (uint8_t)(size >> (8 * i));
}

static bool is_signed(const uint8_t *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static uint64_t end_of(struct entry entry)
{
	return (uint64_t)entry.start + entry.size;
}

/* The one extended entry of the MBR, behind all others. Returns what is wrong, or NULL. */
static const char *find_extended(const uint8_t *mbr, unsigned int *index, struct entry *extended)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < 4; i++) {
		if (!is_extended(entry_get(mbr, i).type))
			continue;
		*index = i;
		*extended = entry_get(mbr, i);
		found++;
	}
	if (found != 1)
		return "the MBR has not exactly one extended partition";
	if (extended->start == 0 || extended->size == 0 || end_of(*extended) > UINT32_MAX)
		return "the extended partition has an impossible extent";
	for (unsigned int i = 0; i < 4; i++) {
		struct entry other = entry_get(mbr, i);

		if (i != *index && other.type != 0 && end_of(other) > extended->start)
			return "a primary partition lies behind or in the extended one";
	}
	return NULL;
}

/* Checks one EBR, gives its logical partition with an absolute start and the absolute place of the next EBR or 0. */
static const char *check_ebr(const uint8_t *ebr, uint64_t lba, struct entry extended, struct entry *logical,
			     uint64_t *next)
{
	struct entry link = entry_get(ebr, 1);
	uint64_t start;

	if (!is_signed(ebr))
		return "an extended boot record has no signature";
	if (entry_get(ebr, 2).type != 0 || entry_get(ebr, 3).type != 0)
		return "an extended boot record has more than two entries";
	*logical = entry_get(ebr, 0);
	start = lba + logical->start;
	if (logical->type == 0 || is_extended(logical->type) || logical->start == 0 || logical->size == 0 ||
	    start > UINT32_MAX)
		return "a logical partition has an impossible entry";
	logical->start = (uint32_t)start;
	*next = 0;
	if (link.type == 0)
		return NULL;
	*next = (uint64_t)extended.start + link.start;
	/* Only ever forward, behind this partition and inside: no loop, no overlap. */
	if (!is_extended(link.type) || *next < end_of(*logical) || *next >= end_of(extended))
		return "the chain of extended boot records is broken";
	return NULL;
}

const char *grow_plan_make(struct grow_plan *plan, read_sector_fn read, void *context, uint64_t disk_sectors,
			   unsigned int number)
{
	struct entry extended = { 0 }, logical = { 0 };
	uint64_t lba, next, limit, end;
	unsigned int index = 0, at = FIRST_LOGICAL;
	const char *wrong;

	*plan = (struct grow_plan){ 0 };
	if (read(context, 0, plan->mbr) < 0)
		return "the MBR cannot be read";
	if (!is_signed(plan->mbr))
		return "the MBR has no signature";
	wrong = find_extended(plan->mbr, &index, &extended);
	if (wrong)
		return wrong;

	for (lba = extended.start;; lba = next, at++) {
		if (at == FIRST_LOGICAL + MOST_LOGICALS)
			return "there are too many logical partitions";
		if (lba >= disk_sectors || read(context, lba, plan->ebr) < 0)
			return "an extended boot record cannot be read";
		wrong = check_ebr(plan->ebr, lba, extended, &logical, &next);
		if (wrong)
			return wrong;
		if (next == 0)
			break;
	}
	if (at != number)
		return "the partition is not the last logical one";

	limit = disk_sectors < UINT32_MAX ? disk_sectors : UINT32_MAX;
	/* The last logical may end behind the extended partition (see the top), but never behind the disk. */
	if (end_of(logical) > limit || end_of(extended) > limit)
		return "a partition ends behind the end of the disk";
	limit -= limit % ALIGNMENT;
	end = end_of(logical) > limit ? end_of(logical) : limit;

	plan->ebr_lba = (uint32_t)lba;
	plan->start = logical.start;
	plan->size = (uint32_t)(end - logical.start);
	plan->write_ebr = plan->size != logical.size;
	plan->write_mbr = end > end_of(extended);
	if (plan->write_ebr)
		entry_set_size(plan->ebr, 0, plan->size);
	if (plan->write_mbr)
		entry_set_size(plan->mbr, index, (uint32_t)(end - extended.start));
	return NULL;
}
