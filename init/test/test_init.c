// SPDX-License-Identifier: MIT
/*
 * Unit tests of the pure parts of init/, in TAP. Built and run on the host by tests/test_init.py.
 *
 * Usage: test_init            all tests
 *        test_init boot       a @boot line with fixed numbers, for the reader of the host side
 *        test_init part TEXT  the frames of a report
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "boot_line.h"
#include "crc32.h"
#include "data.h"
#include "growdata_table.h"
#include "report_frame.h"

static int tests, failures;

static void check(bool good, const char *what)
{
	tests++;
	failures += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", tests, what);
}

static void test_crc32(void)
{
	check(crc32("", 0) == 0, "crc32 of nothing");
	check(crc32("123456789", 9) == 0xcbf43926, "crc32 of the catalogue's check string");
	check(crc32("\xff\x00\x80", 3) == 0xac616edf, "crc32 takes bytes above 127");
}

static void test_base64(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },	    { "f", "Zg==" },	 { "fo", "Zm8=" },	 { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" },
	};
	char out[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t length = base64_encode(out, cases[i].in, strlen(cases[i].in));

		check(strcmp(out, cases[i].out) == 0 && length == strlen(out) &&
			      length == BASE64_LENGTH(strlen(cases[i].in)),
		      "base64, RFC 4648 vector");
	}
}

/* A request with its checksum, which covers what follows "@get ". */
static const char *sealed(const char *text)
{
	static char line[256];

	snprintf(line, sizeof(line), "%s %08x", text, crc32(text + 5, strlen(text) - 5));
	return line;
}

static void test_request(void)
{
	static const char *const bad[] = {
		"@get 1 n kmsg",	       "@get x n kmsg 0 0 512",	   "@get 1 n! kmsg 0 0 512",
		"@get 1 n kmsg 0 0 512 more",  "@get 1 n km;sg 0 0 512",	   "@get -1 n kmsg 0 0 512",
		"@get 1234567890123456 n kmsg 0 0 512", "@gets 1 n kmsg 0 0 512", "@part 1 n kmsg 0 1 512",
		"@get 1 n kmsg 0 0 0",	       "@get 1 n kmsg 0 0 513",	   "@get 1 n kmsg -1 0 512",
		"@get 1 n kmsg 0 0 5x",	       "@get 1 n kmsg 1234567890 0 1",
	};
	static const char good[] = "@get 7 A9z kmsg 24 1024 512";
	struct request request, other;
	char line[256];
	bool passed = false;

	check(request_parse(&request, sealed(good)) && strcmp(request.seq, "7") == 0 &&
		      strcmp(request.nonce, "A9z") == 0 && strcmp(request.what, "kmsg") == 0 &&
		      request.offset == 24 && request.length == 1024 && request.part == 512,
	      "a request is taken apart");
	check(request_parse(&other, sealed("@get 7 A9z kmsg 0 0 16")) && request_same(&request, &other) &&
		      request_parse(&other, sealed("@get 7 A9y kmsg 0 0 16")) && !request_same(&request, &other) &&
		      request_parse(&other, sealed("@get 7 A9z boot 0 0 16")) && !request_same(&request, &other),
	      "the same reading has the same number, nonce and question");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		check(!request_parse(&request, sealed(bad[i])), bad[i]);
	check(!request_parse(&request, "") && !request_parse(&request, good) && !request_parse(&request, "@get 00000000"),
	      "a request without its checksum is none");
	for (size_t i = 0; i < strlen(sealed(good)); i++)
		for (int bit = 0; bit < 8; bit++) {
			snprintf(line, sizeof(line), "%s", sealed(good));
			line[i] = (char)(line[i] ^ 1 << bit);
			passed = passed || request_parse(&request, line);
		}
	check(!passed, "no request with a changed bit passes");
	for (size_t i = 0; i < strlen(sealed(good)); i++) {
		snprintf(line, sizeof(line), "%.*s%s", (int)i, sealed(good), sealed(good) + i + 1);
		passed = passed || request_parse(&request, line);
	}
	check(!passed, "no request with a lost character passes");
}

static void test_parts(void)
{
	struct request request = { .seq = "7", .nonce = "abc", .what = "boot", .part = 512 };
	char line[REPORT_LINE], data[1100], expected[64], report[3 + REPORT_SEAL] = "foo";

	report_seal(report, 3);
	check(memcmp(report, "foo8c736521", sizeof(report)) == 0, "a report is sealed");
	check(request_end(&request, 3) == 3 && request_end(&(struct request){ .offset = 2, .length = 5 }, 9) == 7 &&
		      request_end(&(struct request){ .offset = 2, .length = 5 }, 6) == 6 &&
		      request_end(&(struct request){ .offset = 7 }, 6) == 7 &&
		      request_end(&(struct request){ .offset = 6, .length = 1 }, 6) == 6,
	      "what is wanted ends with the report");
	snprintf(expected, sizeof(expected), "@part 7 abc 0 3 Zm9v %08x\n", crc32("7 abc 0 3 Zm9v", 14));
	check(part_line(line, &request, 0, 3, "foo", 3) == strlen(expected) && strcmp(line, expected) == 0, "a part");
	snprintf(expected, sizeof(expected), "@part 7 abc 1 3 b28= %08x\n", crc32("7 abc 1 3 b28=", 14));
	check(part_line(line, &request, 1, 3, "foo", 3) == strlen(expected) && strcmp(line, expected) == 0,
	      "a part from the middle");
	memset(data, 'x', sizeof(data));
	check(part_line(line, &request, 1024, 1100, data, sizeof(data)) < 200 && strstr(line, "@part 7 abc 1024 1100 "),
	      "a last, short part");
	memset(request.nonce, 'n', sizeof(request.nonce) - 1);
	memset(request.seq, '9', sizeof(request.seq) - 1);
	check(part_line(line, &request, 0, sizeof(data), data, 4u << 20) == strlen(line) &&
		      line[strlen(line) - 1] == '\n',
	      "the longest part fits");
	snprintf(expected, sizeof(expected), "@err 1 n what %08x\n", crc32("1 n what", 8));
	error_line(line, &(struct request){ .seq = "1", .nonce = "n" }, "what");
	check(strcmp(line, expected) == 0, "an error");
}

static void test_partuuid(void)
{
	char id[16];

	check(data_partuuid(id, sizeof(id), "quiet root=PARTUUID=1a2b3c4d-05 ro\n") && !strcmp(id, "1a2b3c4d-07"),
	      "the data partition lies beside root A");
	check(data_partuuid(id, sizeof(id), "root=PARTUUID=1A2B3C4D-06") && !strcmp(id, "1A2B3C4D-07"), "and root B");
	check(!data_partuuid(id, sizeof(id), "root=/dev/mmcblk0p5"), "a root by name has none");
	check(!data_partuuid(id, sizeof(id), "xroot=PARTUUID=1a2b3c4d-05"), "only a word of that name counts");
	check(!data_partuuid(id, sizeof(id), "root=PARTUUID=0a1b2c3d-1111-2222-3333-444455556666"),
	      "a GPT's identity is not read past");
	check(!data_partuuid(id, sizeof(id), "root=PARTUUID=1a2b3c4d"), "an identity without a number has none");
	check(!data_partuuid(id, sizeof(id), ""), "an empty command line has none");
}

static void test_lines(void)
{
	char json[BOOT_LINE_SIZE], line[BOOT_LINE_SIZE];
	struct boot_facts facts = {
		.cntfrq = UINT64_MAX,
		.init = { UINT64_MAX, UINT64_MAX },
		.ready = { UINT64_MAX, UINT64_MAX },
		.root_sectors = UINT64_MAX,
		.abi = UINT32_MAX,
		.features = UINT64_MAX,
		.timer = { .known = true, .microseconds = UINT64_MAX, .cntvct = UINT64_MAX },
	};
	struct system_timer timer = { .known = true, .microseconds = 5000000, .cntvct = 54000000 * 4 };

	check(boot_json(json, &facts) > 0 && frame_line(line, "boot", json) > 0, "@boot fits with the largest numbers");
	check(fail_json(json, "load", ENOENT) > 0 && frame_line(line, "fail", json) > 0 &&
		      strncmp(line, "@fail {\"v\":1,\"stage\":\"load\",\"errno\":2} ", 38) == 0,
	      "@fail");
	check(system_timer_at(&timer, 54000000, 54000000) == 2000000, "the system timer is carried back to a mark");
}

/* A disk in memory: the sectors that hold a table, all others zero. */
struct disk {
	struct {
		uint64_t lba;
		uint8_t bytes[SECTOR];
	} sectors[8];
	unsigned int used;
};

static uint8_t *sector_at(struct disk *disk, uint64_t lba)
{
	for (unsigned int i = 0; i < disk->used; i++)
		if (disk->sectors[i].lba == lba)
			return disk->sectors[i].bytes;
	disk->sectors[disk->used].lba = lba;
	memset(disk->sectors[disk->used].bytes, 0, SECTOR);
	return disk->sectors[disk->used++].bytes;
}

static int disk_read(void *context, uint64_t lba, uint8_t sector[SECTOR])
{
	memcpy(sector, sector_at(context, lba), SECTOR);
	return 0;
}

static void put(struct disk *disk, uint64_t lba, unsigned int index, uint8_t type, uint32_t start, uint32_t size)
{
	uint8_t *sector = sector_at(disk, lba), *at = sector + 446 + 16 * index;

	sector[510] = 0x55;
	sector[511] = 0xaa;
	at[4] = type;
	for (int i = 0; i < 4; i++) {
		at[8 + i] = (uint8_t)(start >> 8 * i);
		at[12 + i] = (uint8_t)(size >> 8 * i);
	}
}

#define MIB 2048u
#define EXT (100 * MIB)
#define DATA_EBR (EXT + 64 * MIB)

/* The layout of an SD image: three primaries, an extended one with root A, root B and data, 256 MiB in all. */
static struct disk layout(void)
{
	struct disk disk = { 0 };

	put(&disk, 0, 0, 0x0c, 4 * MIB, 4 * MIB);
	put(&disk, 0, 1, 0x0c, 8 * MIB, 40 * MIB);
	put(&disk, 0, 2, 0x0c, 48 * MIB, 40 * MIB);
	put(&disk, 0, 3, 0x0f, EXT, 156 * MIB);
	put(&disk, EXT, 0, 0x83, 4 * MIB, 28 * MIB);
	put(&disk, EXT, 1, 0x05, 32 * MIB, 32 * MIB);
	put(&disk, EXT + 32 * MIB, 0, 0x83, 4 * MIB, 28 * MIB);
	put(&disk, EXT + 32 * MIB, 1, 0x05, 64 * MIB, 92 * MIB);
	put(&disk, DATA_EBR, 0, 0x83, 4 * MIB, 88 * MIB);
	return disk;
}

static const char *plan_of(struct grow_plan *plan, struct disk *disk, uint64_t sectors)
{
	return grow_plan_make(plan, disk_read, disk, sectors, 7);
}

static uint32_t size_in(const uint8_t *sector, unsigned int index)
{
	const uint8_t *at = sector + 446 + 16 * index + 12;

	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void test_grow(void)
{
	struct disk disk = layout(), before = layout();
	struct grow_plan plan;

	check(!plan_of(&plan, &disk, 256 * MIB) && !plan.write_ebr && !plan.write_mbr, "a full card is left alone");
	check(!plan_of(&plan, &disk, 256 * MIB + 5000) && !plan.write_ebr && !plan.write_mbr,
	      "less than 4 MiB is left alone");
	check(!plan_of(&plan, &disk, 512 * MIB + 77) && plan.write_ebr && plan.write_mbr, "a larger card grows");
	check(plan.start == DATA_EBR + 4 * MIB && plan.size == 512 * MIB - plan.start && plan.ebr_lba == DATA_EBR,
	      "to the last 4 MiB");
	check(size_in(plan.ebr, 0) == plan.size && size_in(plan.mbr, 3) == 512 * MIB - EXT, "in both sectors");
	check(memcmp(plan.mbr, before.sectors[0].bytes, 446 + 48) == 0 && !memcmp(plan.ebr, (uint8_t[446]){ 0 }, 446),
	      "and nothing else changes");

	memcpy(sector_at(&disk, plan.ebr_lba), plan.ebr, SECTOR);
	check(!plan_of(&plan, &disk, 512 * MIB + 77) && !plan.write_ebr && plan.write_mbr,
	      "power lost after the EBR: the MBR is still to do");
	memcpy(sector_at(&disk, 0), plan.mbr, SECTOR);
	check(!plan_of(&plan, &disk, 512 * MIB + 77) && !plan.write_ebr && !plan.write_mbr, "then it is done");
	check(plan.size == 512 * MIB - plan.start, "and the plan tells the size all the same");

	disk = layout();
	check(!plan_of(&plan, &disk, UINT64_C(1) << 40) &&
		      (uint64_t)plan.start + plan.size == (UINT32_MAX - UINT32_MAX % 8192),
	      "a disk beyond 2 TiB is used as far as the table goes");
	check(grow_plan_make(&plan, disk_read, &disk, 512 * MIB, 6) != NULL, "a partition that is not last is refused");
	check(grow_plan_make(&plan, disk_read, &disk, 512 * MIB, 8) != NULL, "a partition that does not exist is refused");
	check(plan_of(&plan, &disk, 255 * MIB) != NULL, "a table that is larger than the disk is refused");
}

static void test_grow_refuses(void)
{
	static const struct {
		const char *what;
		uint64_t lba;
		unsigned int index;
		uint8_t type;
		uint32_t start, size;
	} cases[] = {
		{ "no extended partition", 0, 3, 0x83, EXT, 156 * MIB },
		{ "two extended partitions", 0, 2, 0x05, 48 * MIB, 40 * MIB },
		{ "a primary behind the extended one", 0, 2, 0x0c, 256 * MIB, 10 * MIB },
		{ "an extended partition without a size", 0, 3, 0x0f, EXT, 0 },
		{ "an extended partition beyond 32 bits", 0, 3, 0x0f, EXT, UINT32_MAX },
		{ "a chain that points back", EXT + 32 * MIB, 1, 0x05, 32 * MIB, 32 * MIB },
		{ "a chain that loops to its start", EXT + 32 * MIB, 1, 0x05, 0, 32 * MIB },
		{ "a chain that leaves", EXT + 32 * MIB, 1, 0x05, 400 * MIB, 32 * MIB },
		{ "a link that is a partition", EXT, 1, 0x83, 32 * MIB, 32 * MIB },
		{ "a third entry", DATA_EBR, 2, 0x83, 4 * MIB, 1 * MIB },
		{ "a logical partition without a type", DATA_EBR, 0, 0, 4 * MIB, 88 * MIB },
		{ "a logical partition on its own EBR", DATA_EBR, 0, 0x83, 0, 88 * MIB },
		{ "a logical partition behind the disk", DATA_EBR, 0, 0x83, 4 * MIB, 900 * MIB },
	};
	struct grow_plan plan;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct disk disk = layout();

		put(&disk, cases[i].lba, cases[i].index, cases[i].type, cases[i].start, cases[i].size);
		check(plan_of(&plan, &disk, 512 * MIB) != NULL, cases[i].what);
	}
	for (uint64_t i = 0; i < 2; i++) {
		struct disk disk = layout();

		sector_at(&disk, i ? DATA_EBR : 0)[511] = 0;
		check(plan_of(&plan, &disk, 512 * MIB) != NULL, "a sector without its signature");
	}
}

static int print_boot(void)
{
	struct boot_facts facts = {
		.cntfrq = 62500000,
		.init = { 8000000, 105000000 },
		.ready = { 9000000, 121000000 },
		.root_sectors = 4242,
		.abi = 1,
	};
	char json[BOOT_LINE_SIZE], line[BOOT_LINE_SIZE];

	boot_json(json, &facts);
	return fwrite(line, 1, frame_line(line, "boot", json), stdout) == 0;
}

static int print_parts(const char *text)
{
	struct request request = { .seq = "1", .nonce = "n0nce", .part = REPORT_PART };
	size_t size = strlen(text), total = size + REPORT_SEAL;
	char line[REPORT_LINE], report[4096];

	if (total > sizeof(report))
		return 1;
	memcpy(report, text, size);
	report_seal(report, size);
	for (size_t at = 0; at < total; at += request.part)
		fwrite(line, 1, part_line(line, &request, at, total, report, total), stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "boot") == 0)
		return print_boot();
	if (argc == 3 && strcmp(argv[1], "part") == 0)
		return print_parts(argv[2]);
	test_crc32();
	test_base64();
	test_request();
	test_parts();
	test_partuuid();
	test_lines();
	test_grow();
	test_grow_refuses();
	printf("1..%d\n", tests);
	return failures != 0;
}
