// SPDX-License-Identifier: GPL-2.0
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "load.h"

#define INSTRUCTIONS_MAX 1024
#define R_BPF_64_64 1

/* An object, and where things are in it. */
struct object {
	const unsigned char *bytes;
	size_t size;
	const Elf64_Shdr *sections;
	unsigned int count;
	const char *names;
};

long sys_bpf(int command, void *attr, size_t bytes)
{
	long got = syscall(SYS_bpf, command, attr, bytes);

	return got < 0 ? -errno : got;
}

static int within(const struct object *object, unsigned long long offset, unsigned long long bytes)
{
	return offset <= object->size && bytes <= object->size - offset;
}

static const void *contents(const struct object *object, const Elf64_Shdr *section)
{
	return object->bytes + section->sh_offset;
}

static int open_object(struct object *object, const void *bytes, size_t size)
{
	const Elf64_Ehdr *head = bytes;

	*object = (struct object){ .bytes = bytes, .size = size };
	if (size < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) ||
	    head->e_machine != EM_BPF || head->e_shentsize != sizeof(Elf64_Shdr) ||
	    !within(object, head->e_shoff, head->e_shnum * sizeof(Elf64_Shdr)) ||
	    head->e_shstrndx >= head->e_shnum)
		return -EINVAL;
	object->sections = (const void *)(object->bytes + head->e_shoff);
	object->count = head->e_shnum;
	for (unsigned int i = 0; i < object->count; i++)
		if (object->sections[i].sh_type != SHT_NOBITS &&
		    !within(object, object->sections[i].sh_offset, object->sections[i].sh_size))
			return -EINVAL;
	object->names = contents(object, object->sections + head->e_shstrndx);
	return 0;
}

static const Elf64_Shdr *find_section(const struct object *object, const char *name)
{
	for (unsigned int i = 1; i < object->count; i++)
		if (!strcmp(object->names + object->sections[i].sh_name, name))
			return object->sections + i;
	return NULL;
}

/* Puts a map's descriptor where the program refers to it by name. */
static int resolve(const struct object *object, const Elf64_Shdr *relocations,
		   struct bpf_insn *program, unsigned int length, const struct load_map *maps,
		   unsigned int count)
{
	const Elf64_Shdr *table = object->sections + relocations->sh_link;
	const Elf64_Sym *symbols = contents(object, table);
	const char *names = contents(object, object->sections + table->sh_link);
	const Elf64_Rel *row = contents(object, relocations);
	size_t rows = relocations->sh_size / sizeof(*row);

	for (; rows; rows--, row++) {
		const char *name = names + symbols[ELF64_R_SYM(row->r_info)].st_name;
		size_t at = row->r_offset / sizeof(*program);
		unsigned int i = 0;

		if (ELF64_R_TYPE(row->r_info) != R_BPF_64_64 || at + 1 >= length)
			return -EINVAL;
		while (i < count && strcmp(maps[i].name, name))
			i++;
		if (i == count)
			return -ENOENT;
		program[at].src_reg = BPF_PSEUDO_MAP_FD;
		program[at].imm = maps[i].fd;
	}
	return 0;
}

static int submit(const struct bpf_insn *program, unsigned int length)
{
	static char reasons[16384];
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (unsigned long)program,
		.insn_cnt = length,
		.license = (unsigned long)"GPL",
		.prog_name = "mcp_xdp",
		.expected_attach_type = BPF_XDP,
	};
	int fd = sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd >= 0)
		return fd;
	attr.log_level = 1;
	attr.log_buf = (unsigned long)reasons;
	attr.log_size = sizeof(reasons);
	fd = sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		fputs(reasons, stderr);
	return fd;
}

int load_program(const void *bytes, size_t size, const char *section, const struct load_map *maps,
		 unsigned int count)
{
	static struct bpf_insn program[INSTRUCTIONS_MAX];
	const Elf64_Shdr *text, *relocations;
	struct object object;
	char name[64];
	int error;

	error = open_object(&object, bytes, size);
	if (error)
		return error;
	snprintf(name, sizeof(name), ".rel%s", section);
	text = find_section(&object, section);
	relocations = find_section(&object, name);
	if (!text || text->sh_size > sizeof(program))
		return -EINVAL;
	memcpy(program, contents(&object, text), text->sh_size);
	if (relocations)
		error = resolve(&object, relocations, program, text->sh_size / sizeof(*program),
				maps, count);
	return error ? error : submit(program, text->sh_size / sizeof(*program));
}
