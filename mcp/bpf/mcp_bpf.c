// SPDX-License-Identifier: GPL-2.0
/*
 * mcp_bpf: policies of mcp.ko as programs of eBPF (struct_ops mcp_policy).
 *
 * Concern: what a program may read and call, what makes a policy of three
 *          programs, and its way into mcp.ko. What is asked when is mcp.ko's.
 * Context: attaching: process context. The programs and the functions that
 *          they call: under rcu_read_lock(); nothing sleeps.
 * Locking: none of its own; mcp.ko serialises changes.
 * Lifetime: BPF holds this module as long as there is a map of this type,
 *           attached or not, and waits for a grace period before it frees one.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/module.h>
#include <linux/string.h>

#include "mcp_policy.h"

/* ---- Functions for programs ---- */

/* Filled up with zeros: what is a key of a map has no bytes that mean nothing. */
static int copy_name(const char *name, char *buffer, u32 size)
{
	return strscpy_pad(buffer, name ?: "", size);
}

__bpf_kfunc_start_defs();

/**
 * bpf_mcp_endpoint_name() - the endpoint that it is about
 * @call: what the policy is asked about
 * @name: gets the name, and zeros up to its end
 * @name__sz: bytes at @name; MCP_NAME_SIZE is enough for any
 *
 * Return: characters; -E2BIG if it was cut short.
 */
__bpf_kfunc int bpf_mcp_endpoint_name(const struct mcp_policy_call *call, char *name, u32 name__sz)
{
	return copy_name(call->endpoint, name, name__sz);
}

/**
 * bpf_mcp_tool_name() - the tool of a request, as its endpoint calls it now
 * @call: what the policy is asked about
 * @name: as for bpf_mcp_endpoint_name()
 * @name__sz: likewise
 *
 * Return: characters, 0 if it is about no tool; -E2BIG if it was cut short.
 */
__bpf_kfunc int bpf_mcp_tool_name(const struct mcp_policy_call *call, char *name, u32 name__sz)
{
	return copy_name(call->name, name, name__sz);
}

/**
 * bpf_mcp_label() - what a handle was labelled when it was granted
 * @call: what the policy is asked about; of a grant: the label asked for
 * @label: as @name of bpf_mcp_endpoint_name()
 * @label__sz: likewise; MCP_LABEL_SIZE and 1 are enough for any
 *
 * Return: characters, 0 without a label; -E2BIG if it was cut short.
 */
__bpf_kfunc int bpf_mcp_label(const struct mcp_policy_call *call, char *label, u32 label__sz)
{
	return copy_name(call->label, label, label__sz);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(mcp_kfuncs)
BTF_ID_FLAGS(func, bpf_mcp_endpoint_name, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_mcp_tool_name, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_mcp_label, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(mcp_kfuncs)

static const struct btf_kfunc_id_set mcp_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &mcp_kfuncs,
};

/* ---- Programs ---- */

static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *info)
{
	return bpf_tracing_btf_ctx_access(off, size, type, prog, info);
}

/* Memory is read by its type; there is no btf_struct_access, so none is written. */
static const struct bpf_verifier_ops verifier_ops = {
	.get_func_proto = bpf_base_func_proto,
	.is_valid_access = is_valid_access,
};

static int init(struct btf *btf)
{
	/* Programs know the flags by their names. */
	BTF_TYPE_EMIT_ENUM(MCP_POLICY_GRANT);
	return 0;
}

/* A policy is asked under rcu_read_lock(). */
static int check_member(const struct btf_type *t, const struct btf_member *member,
			const struct bpf_prog *prog)
{
	return prog->sleepable ? -EINVAL : 0;
}

/* ---- Policies ---- */

static int init_member(const struct btf_type *t, const struct btf_member *member, void *kdata,
		       const void *udata)
{
	const struct mcp_policy *from = udata;
	struct mcp_policy *policy = kdata;

	if (__btf_member_bit_offset(t, member) / 8 != offsetof(struct mcp_policy, name))
		return 0;
	memcpy(policy->name, from->name, sizeof(policy->name));
	return 1;
}

static int validate(void *kdata)
{
	return mcp_policy_check(kdata);
}

static int reg(void *kdata, struct bpf_link *link)
{
	/* Without a link it could be neither pinned nor replaced. */
	return link ? mcp_policy_attach(kdata) : -EOPNOTSUPP;
}

static void unreg(void *kdata, struct bpf_link *link)
{
	mcp_policy_detach(kdata);
}

static int update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	return mcp_policy_replace(old_kdata, kdata);
}

/* Never called: their types say which members may be programs. */
static int stub_open(const struct mcp_policy_call *call)
{
	return -EACCES;
}

static int stub_allow(const struct mcp_policy_call *call)
{
	return -EACCES;
}

static void stub_complete(const struct mcp_policy_call *call)
{
}

static struct mcp_policy stubs = {
	.open = stub_open,
	.allow = stub_allow,
	.complete = stub_complete,
};

static struct bpf_struct_ops mcp_struct_ops = {
	.verifier_ops = &verifier_ops,
	.init = init,
	.check_member = check_member,
	.init_member = init_member,
	.validate = validate,
	.reg = reg,
	.unreg = unreg,
	.update = update,
	.cfi_stubs = &stubs,
	.name = "mcp_policy",
	.owner = THIS_MODULE,
};

static int __init mcp_bpf_init(void)
{
	int error = register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &mcp_kfunc_set);

	/* Both belong to this module's BTF, and go with it. */
	return error ?: register_bpf_struct_ops(&mcp_struct_ops, mcp_policy);
}

/* Without it the module could not be unloaded. */
static void __exit mcp_bpf_exit(void)
{
}
module_init(mcp_bpf_init);
module_exit(mcp_bpf_exit);

MODULE_DESCRIPTION("Model Context Protocol transport: policies in eBPF");
MODULE_AUTHOR("The Protopi authors");
MODULE_LICENSE("GPL");
