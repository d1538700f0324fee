/* SPDX-License-Identifier: MIT */
/*
 * The part of QEMU's TCG plug-in interface that protopi_count.c uses, declared in our own words.
 *
 * No Debian package ships QEMU's header. The interface is versioned: a plug-in exports `qemu_plugin_version`, and QEMU
 * refuses it at load unless that number lies between the oldest and the newest version that it knows. Version 4 is
 * what QEMU 9.2 and 10.0 speak. Nothing in this part needs glib.
 * The functions live in the QEMU executable and are resolved when it loads the plug-in.
 *
 * Context: the host (x86-64 or any other that QEMU runs on). Lifetime: changes only with PROTOPI_PLUGIN_ABI.
 */
#ifndef PROTOPI_QEMU_PLUGIN_ABI_H
#define PROTOPI_QEMU_PLUGIN_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOPI_PLUGIN_ABI 4
#define PROTOPI_PLUGIN_EXPORT __attribute__((visibility("default")))

/* Opaque to us. */
struct qemu_plugin_tb;
struct qemu_plugin_insn;

typedef uint64_t qemu_plugin_id_t;

/* What QEMU tells about itself at load. */
struct qemu_plugin_machine {
	const char *target_name; /* "aarch64" */
	struct {
		int oldest;
		int current;
	} version;
	bool system_emulation; /* false: user-mode emulation */
	struct {
		int smp_vcpus;
		int max_vcpus;
	} system; /* valid where system_emulation is true */
};

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS = 0 };

typedef void (*qemu_plugin_translate_fn)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_execute_fn)(unsigned int cpu, void *data);
typedef void (*qemu_plugin_exit_fn)(qemu_plugin_id_t id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_translate_fn fn);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, qemu_plugin_exit_fn fn, void *data);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
/* Copies up to `size` bytes of the instruction, in guest memory order; returns how many. */
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *buffer, size_t size);

void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, qemu_plugin_execute_fn fn,
					    enum qemu_plugin_cb_flags flags, void *data);

/* Writes to QEMU's log, where `-d plugin` is on. */
void qemu_plugin_outs(const char *text);

#endif
