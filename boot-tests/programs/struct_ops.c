// SPDX-License-Identifier: MIT
/*
 * Loads, registers and unregisters struct_ops of the kernel with bpf(2) alone: a scheduler for sched_ext, and a TCP
 * congestion control. No compiler for BPF and no libbpf: the programs are two instructions, and the types are looked
 * up in /sys/kernel/btf/vmlinux.
 *
 * Usage: struct_ops          as root; TAP on standard output, exit status 0 when all passed.
 *
 * The first thing that it does is several uses at once, because on a kernel with our patch (docs/decisions) the first
 * use is where the kernel describes its struct_ops.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RACERS = 8, WORKERS = 64 };

/* A struct of the kernel: its id, its bytes, and where its members are described. */
struct type {
	uint32_t id, size, members;
	const struct btf_member *member;
};

/* What is registered: a struct of function pointers, the members that get a program, whether a link holds it. */
struct subject {
	const char *structure, *name;
	const char *members[4];
	bool linked;
};

static const struct subject scheduler = { "sched_ext_ops", "protopi", { "set_weight" }, true };
static const struct subject congestion = {
	"tcp_congestion_ops", "protopi", { "ssthresh", "cong_avoid", "undo_cwnd" }, false
};

static char *btf;
static const char *btf_strings;
static int tests, failures;

static void check(bool good, const char *what)
{
	int error = errno;

	tests++;
	failures += !good;
	printf("%sok %d %s\n", good ? "" : "not ", tests, what);
	if (!good)
		printf("# errno %d: %s\n", error, strerror(error));
	fflush(stdout);
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static void read_types(void)
{
	size_t size = 0, room = 1 << 24;
	int file = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	ssize_t got;

	btf = malloc(room);
	while (btf && (got = read(file, btf + size, room - size)) > 0)
		size += (size_t)got;
	if (size < sizeof(struct btf_header)) {
		printf("1..0 # SKIP no /sys/kernel/btf/vmlinux\n");
		exit(4);
	}
	const struct btf_header *header = (const void *)btf;
	btf_strings = btf + header->hdr_len + header->str_off;
}

/* Bytes that follow a struct btf_type of this kind. */
static size_t more(unsigned int kind, unsigned int count)
{
	switch (kind) {
	case BTF_KIND_INT: case BTF_KIND_VAR: case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT: case BTF_KIND_UNION: case BTF_KIND_DATASEC: case BTF_KIND_ENUM64:
		return count * sizeof(struct btf_member);
	case BTF_KIND_ENUM: case BTF_KIND_FUNC_PROTO:
		return count * sizeof(struct btf_param);
	default:
		return 0;
	}
}

static struct type find(const char *name)
{
	const struct btf_header *header = (const void *)btf;
	const char *at = btf + header->hdr_len + header->type_off, *end = at + header->type_len;

	for (uint32_t id = 1; at < end; id++) {
		const struct btf_type *type = (const void *)at;
		unsigned int kind = BTF_INFO_KIND(type->info), count = BTF_INFO_VLEN(type->info);

		at += sizeof(*type);
		if (kind == BTF_KIND_STRUCT && !strcmp(btf_strings + type->name_off, name))
			return (struct type){ id, type->size, count, (const void *)at };
		at += more(kind, count);
	}
	printf("Bail out! the kernel has no struct %s\n", name);
	exit(1);
}

static uint32_t member(const struct type *type, const char *name)
{
	for (uint32_t i = 0; i < type->members; i++)
		if (!strcmp(btf_strings + type->member[i].name_off, name))
			return i;
	printf("Bail out! no member %s\n", name);
	exit(1);
}

static uint32_t offset(const struct type *type, const char *name)
{
	return BTF_MEMBER_BIT_OFFSET(type->member[member(type, name)].offset) / 8;
}

/* The kernel wants BTF of whoever makes the map, and never looks into it: an int will do. */
static int own_types(void)
{
	struct {
		struct btf_header header;
		struct btf_type type;
		uint32_t encoding;
		char strings[5];
	} own = {
		{ BTF_MAGIC, BTF_VERSION, 0, sizeof(own.header), 0, 16, 16, sizeof(own.strings) },
		{ .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		BTF_INT_SIGNED << 24 | 32, "\0int",
	};
	union bpf_attr attr = { .btf = (uintptr_t)&own,
				.btf_size = offsetof(typeof(own), strings) + sizeof(own.strings) };

	return bpf(BPF_BTF_LOAD, &attr);
}

static int create_map(const struct subject *subject)
{
	char name[128];

	snprintf(name, sizeof(name), "bpf_struct_ops_%s", subject->structure);
	struct type value = find(name);
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_STRUCT_OPS, .key_size = 4, .value_size = value.size, .max_entries = 1,
		.map_flags = subject->linked ? BPF_F_LINK : 0, .btf_fd = (uint32_t)own_types(),
		.btf_vmlinux_value_type_id = value.id, .map_name = "protopi",
	};
	return bpf(BPF_MAP_CREATE, &attr);
}

/* A program for one member: return 0. */
static int load_program(const struct subject *subject, const char *name)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct type type = find(subject->structure);
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_STRUCT_OPS, .insn_cnt = 2, .insns = (uintptr_t)code,
		.license = (uintptr_t)"GPL", .attach_btf_id = type.id,
		.expected_attach_type = member(&type, name),
	};
	return bpf(BPF_PROG_LOAD, &attr);
}

/* Fill the map: this registers a subject that is not linked. */
static int fill(const struct subject *subject, int map)
{
	char name[128];
	uint32_t key = 0;

	snprintf(name, sizeof(name), "bpf_struct_ops_%s", subject->structure);
	struct type type = find(subject->structure), value = find(name);
	char *bytes = calloc(1, value.size), *data = bytes + offset(&value, "data");

	strcpy(data + offset(&type, "name"), subject->name);
	for (int i = 0; subject->members[i]; i++) {
		int64_t program = load_program(subject, subject->members[i]);

		if (program < 0)
			return -1;
		memcpy(data + offset(&type, subject->members[i]), &program, sizeof(program));
	}
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)bytes };
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static bool file_has(const char *path, const char *word)
{
	char text[512] = "";
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = read(file, text, sizeof(text) - 1);

	close(file);
	return got > 0 && strstr(text, word);
}

/* Several processes make the kernel's first use of struct_ops at once, by both ways in. */
static void test_first_use(void)
{
	int gate[2], good = 0, status;
	char byte;

	if (pipe(gate) < 0)
		exit(1);
	for (int i = 0; i < RACERS; i++)
		if (fork() == 0) {
			const struct subject *subject = i & 2 ? &scheduler : &congestion;

			close(gate[1]);
			(void)!read(gate[0], &byte, 1);
			_exit((i & 1 ? create_map(subject) : load_program(subject, subject->members[0])) < 0);
		}
	close(gate[0]);
	close(gate[1]);
	while (wait(&status) > 0)
		good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	check(good == RACERS, "several first uses at once all succeed");
}

static void test_congestion(void)
{
	const char *list = "/proc/sys/net/ipv4/tcp_available_congestion_control";
	uint32_t key = 0;
	int map = create_map(&congestion);

	check(map >= 0, "a map for a congestion control");
	check(!file_has(list, "protopi"), "it is not there yet");
	check(fill(&congestion, map) == 0, "it registers");
	check(file_has(list, "protopi"), "TCP has it");
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)&key };
	check(bpf(BPF_MAP_DELETE_ELEM, &attr) == 0, "it unregisters");
	check(!file_has(list, "protopi"), "it is gone");
	close(map);
}

static void test_scheduler(void)
{
	const char *state = "/sys/kernel/sched_ext/state";
	int map = create_map(&scheduler), link, good = 0, status;

	check(map >= 0, "a map for a scheduler");
	check(fill(&scheduler, map) == 0, "it is filled");
	check(file_has(state, "disabled"), "sched_ext is disabled");
	union bpf_attr attr = { .link_create = { .map_fd = (uint32_t)map, .attach_type = BPF_STRUCT_OPS } };
	link = bpf(BPF_LINK_CREATE, &attr);
	check(link >= 0, "a link registers it");
	check(file_has(state, "enabled"), "sched_ext is enabled");
	check(file_has("/sys/kernel/sched_ext/root/ops", "protopi"), "it is this scheduler");
	for (int i = 0; i < WORKERS; i++)
		if (fork() == 0) {
			for (volatile int n = 0; n < 100000; n++)
				;
			_exit(0);
		}
	while (wait(&status) > 0)
		good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	check(good == WORKERS, "tasks run under it");
	check(file_has(state, "enabled"), "and it was not thrown out");
	close(link);
	close(map);
	for (int i = 0; i < 100 && !file_has(state, "disabled"); i++)
		usleep(50000);
	check(file_has(state, "disabled"), "without its link it is unregistered");
}

/* Negative control: the checks below the registration are real. */
static void test_refusals(void)
{
	struct subject wrong = congestion;
	int map = create_map(&congestion);

	wrong.members[0] = "get_info";
	check(load_program(&wrong, "get_info") < 0, "a member that BPF may not have is refused");
	wrong = congestion;
	wrong.members[0] = NULL;
	check(fill(&wrong, map) < 0 && errno == EINVAL, "a congestion control without functions is refused");
	close(map);
}

int main(void)
{
	printf("TAP version 13\n");
	read_types();
	test_first_use();
	test_congestion();
	test_scheduler();
	test_refusals();
	printf("1..%d\n", tests);
	return failures != 0;
}
