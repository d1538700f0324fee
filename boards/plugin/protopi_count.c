// SPDX-License-Identifier: MIT
/*
 * protopi-count: a QEMU TCG plug-in that counts the guest instructions which all CPUs have begun to execute.
 *
 * Concern:  the number "instructions executed" of the boot gate. PID 1 marks the phases by executing hints that no
 *           architecture extension has given a meaning; a hint in that space is a no-op on hardware.
 * Context:  loaded into QEMU by `-plugin protopi-count.so -d plugin`; single-threaded under `-icount`. Each CPU has a
 *           counter of its own, so that without icount the sum is right too (but the marks race with other CPUs).
 * Lifetime: from QEMU's start to its exit.
 *
 * Output, through QEMU's log, one line each:
 *   protopi-count: init N     a CPU executes `hint #0x6d`; N includes that hint
 *   protopi-count: ready N    a CPU executes `hint #0x6e`
 *   protopi-count: exit N     QEMU ends
 *
 * An instruction that faults (a page fault) and is started again counts twice here, and once in QEMU's icount.
 *
 * Why a call for each instruction, and not QEMU's inline addition to a scoreboard: with that, QEMU 10.0.13 crashes as
 * soon as a second CPU runs (a segmentation fault, or "arm_mmu_idx_el: code should not be reached"). The call costs
 * about as much as the emulation of the instruction itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "qemu_plugin_abi.h"

/* A64: HINT #imm7 is 0xd503201f with imm7 in bits 11..5. */
#define HINT(imm7) (UINT32_C(0xd503201f) | (UINT32_C(imm7) << 5))

PROTOPI_PLUGIN_EXPORT int qemu_plugin_version = PROTOPI_PLUGIN_ABI;
PROTOPI_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_machine *machine,
					      int argc, char **argv);

#define MAX_CPUS 64
static uint64_t executed[MAX_CPUS];

static void say(const char *mark)
{
	char line[64];
	uint64_t sum = 0;

	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		sum += executed[cpu];
	snprintf(line, sizeof(line), "protopi-count: %s %" PRIu64 "\n", mark, sum);
	qemu_plugin_outs(line);
}

static void on_instruction(unsigned int cpu, void *data)
{
	(void)data;
	executed[cpu]++;
}

static void on_mark(unsigned int cpu, void *data)
{
	(void)cpu;
	say(data);
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *data)
{
	(void)id;
	(void)data;
	say("exit");
}

/* Guest memory order is little-endian for A64 instructions, whatever the data endianness or the host's. */
static uint32_t opcode(const struct qemu_plugin_insn *insn)
{
	uint8_t bytes[4] = { 0 };

	if (qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) != sizeof(bytes))
		return 0;
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	static char init[] = "init", ready[] = "ready";
	size_t count = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint32_t code = opcode(insn);

		/* Each instruction by itself, not the length of a block: a block can be left in its middle. */
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_instruction, QEMU_PLUGIN_CB_NO_REGS, NULL);
		if (code == HINT(0x6d) || code == HINT(0x6e))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS,
							       code == HINT(0x6d) ? init : ready);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_machine *machine, int argc, char **argv)
{
	(void)argv;
	if (argc != 0 || !machine->system_emulation || strcmp(machine->target_name, "aarch64") != 0 ||
	    machine->system.max_vcpus > MAX_CPUS) {
		fprintf(stderr, "protopi-count: no arguments, and a whole aarch64 machine of at most %d CPUs\n", MAX_CPUS);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
	return 0;
}
