// SPDX-License-Identifier: GPL-2.0
/*
 * Decisions about authority, as records of the kernel's audit.
 *
 * Concern: one record, AUDIT_KERNEL_OTHER, for each serve, open, grant and
 *          revocation, whether it was allowed or not, and for each change of
 *          the policy.
 * Context: process; the registry's lock is held, or that of a policy's change.
 *          May sleep.
 * Locking: none of its own.
 *
 * Names and labels are [A-Za-z0-9_./-] only, so a record cannot be forged.
 */
#include <linux/audit.h>
#include <linux/sched.h>

#include "mcp_internal.h"

/* What every record ends with. */
static void log_task(struct audit_buffer *buffer, int error)
{
	audit_log_format(buffer, " pid=%d uid=%u auid=%u ses=%u res=%d errno=%d",
			 task_tgid_nr(current), from_kuid(&init_user_ns, current_euid()),
			 from_kuid(&init_user_ns, audit_get_loginuid(current)),
			 audit_get_sessionid(current), !error, -error);
	audit_log_end(buffer);
}

/**
 * mcp_audit_decision() - write down who got what, or did not
 * @what: the call
 * @endpoint: where to
 * @handle: the handle that was made, or that it was about; NULL for none
 * @rights: that were asked for
 * @error: 0 if it was allowed, else why not
 *
 * Return: 0; -ENOSPC if audit is on and the record could not be made: then
 * nothing must be given.
 */
int mcp_audit_decision(const char *what, const struct mcp_endpoint *endpoint,
		       const struct mcp_handle *handle, u32 rights, int error)
{
	struct audit_buffer *buffer;

	if (!audit_enabled)
		return 0;
	buffer = audit_log_start(audit_context(), GFP_KERNEL, AUDIT_KERNEL_OTHER);
	if (!buffer)
		return -ENOSPC;
	audit_log_format(buffer, "mcp op=%s endpoint=%s rights=0x%x", what, endpoint->name, rights);
	if (handle)
		audit_log_format(buffer, " sender=%llu label=%s depth=%u", handle->sender,
				 handle->label[0] ? handle->label : "-", handle->depth);
	log_task(buffer, error);
	return 0;
}

/**
 * mcp_audit_policy() - write down that the policy changes
 * @what: how
 * @policy: the one that comes, or goes
 *
 * Return: as mcp_audit_decision().
 */
int mcp_audit_policy(const char *what, const struct mcp_policy *policy)
{
	struct audit_buffer *buffer;

	if (!audit_enabled)
		return 0;
	buffer = audit_log_start(audit_context(), GFP_KERNEL, AUDIT_KERNEL_OTHER);
	if (!buffer)
		return -ENOSPC;
	audit_log_format(buffer, "mcp op=%s policy=%s", what, policy->name);
	log_task(buffer, 0);
	return 0;
}
