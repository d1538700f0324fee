// SPDX-License-Identifier: GPL-2.0
/*
 * Decisions about authority, as records of the kernel's audit.
 *
 * Concern: one record, AUDIT_KERNEL_OTHER, for each serve, open, grant,
 *          revocation and change of policy, whether it was allowed or not; for
 *          each message that is denied; on demand for each call.
 * Context: process. Decisions may sleep, and most come under the registry's
 *          lock; records of calls never wait, and are lost instead.
 * Locking: none of its own. The switch is a static key.
 *
 * Names and labels are [A-Za-z0-9_./-] only, so a record cannot be forged.
 */
#include <linux/atomic.h>
#include <linux/audit.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>

#include "mcp_internal.h"

/* So many records of calls, and no more, may one sender cause in a second. */
#define CALLS_A_SECOND 64

DEFINE_STATIC_KEY_FALSE(mcp_audit_calls);
static DEFINE_MUTEX(switch_lock);
static atomic64_t lost;

/* A record to be filled; NULL if audit is off, or if it is lost. */
static struct audit_buffer *begin(gfp_t gfp, const char *what)
{
	struct audit_buffer *buffer;

	if (!audit_enabled)
		return NULL;
	buffer = audit_log_start(audit_context(), gfp, AUDIT_KERNEL_OTHER);
	if (buffer)
		audit_log_format(buffer, "mcp op=%s", what);
	else
		atomic64_inc(&lost);
	return buffer;
}

static void put_handle(struct audit_buffer *buffer, const struct mcp_handle *handle)
{
	audit_log_format(buffer, " sender=%llu label=%s depth=%u", handle->sender,
			 handle->label[0] ? handle->label : "-", handle->depth);
}

/* Who, and how it ended. What a work of the kernel's sends has nobody's session. */
static void finish_for(struct audit_buffer *buffer, const struct mcp_stamp *who, int error)
{
	audit_log_format(buffer, " pid=%d uid=%u auid=%u ses=%u res=%d errno=%d",
			 who->pid, from_kuid(&init_user_ns, who->uid),
			 from_kuid(&init_user_ns, audit_get_loginuid(current)),
			 audit_get_sessionid(current), !error, -error);
	audit_log_end(buffer);
}

static void finish(struct audit_buffer *buffer, int error)
{
	struct mcp_stamp who = mcp_stamp_of_current();

	finish_for(buffer, &who, error);
}

/* Was there no need for a record, or is it written? */
static int outcome(const struct audit_buffer *buffer)
{
	return buffer || !audit_enabled ? 0 : -ENOSPC;
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
	struct audit_buffer *buffer = begin(GFP_KERNEL, what);

	if (!buffer)
		return outcome(buffer);
	audit_log_format(buffer, " endpoint=%s rights=0x%x", endpoint->name, rights);
	if (handle)
		put_handle(buffer, handle);
	finish(buffer, error);
	return 0;
}

/**
 * mcp_audit_name() - write down a decision about a name, served or not
 * @what: the call
 * @name: checked
 * @error: 0 if it was allowed, else why not
 *
 * Return: as mcp_audit_decision().
 */
int mcp_audit_name(const char *what, const char *name, int error)
{
	struct audit_buffer *buffer = begin(GFP_KERNEL, what);

	if (!buffer)
		return outcome(buffer);
	audit_log_format(buffer, " endpoint=%s", name[0] ? name : "*");
	finish(buffer, error);
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
	struct audit_buffer *buffer = begin(GFP_KERNEL, what);

	if (!buffer)
		return outcome(buffer);
	audit_log_format(buffer, " policy=%s", policy->name);
	finish(buffer, 0);
	return 0;
}

/* ---- Calls ---- */

void mcp_audit_handle_init(struct mcp_handle *handle)
{
	ratelimit_state_init(&handle->audit_rate, HZ, CALLS_A_SECOND);
	/* What is more is counted here, not told to the kernel's log. */
	ratelimit_set_flags(&handle->audit_rate, RATELIMIT_MSG_ON_RELEASE);
}

/**
 * __mcp_audit_call() - write down a message
 * @handle: on which it is sent
 * @envelope: of the message
 * @cookie: of its exchange, 0 if it has none
 * @sender: who sends it
 * @error: 0 if it was admitted, else why not
 *
 * Does not wait: a record that cannot be made now is lost and counted, and so
 * is one beyond what the handle may cause.
 */
void __mcp_audit_call(struct mcp_handle *handle, const struct mcp_envelope *envelope, u64 cookie,
		      const struct mcp_stamp *sender, int error)
{
	struct audit_buffer *buffer;

	if (!audit_enabled)
		return;
	if (!__ratelimit(&handle->audit_rate)) {
		atomic64_inc(&lost);
		return;
	}
	buffer = begin(GFP_ATOMIC, "call");
	if (!buffer)
		return;
	audit_log_format(buffer, " endpoint=%s", handle->endpoint->name);
	put_handle(buffer, handle);
	audit_log_format(buffer, " kind=%u tool=%u method=%u len=%u cookie=%llu parent=%llu",
			 envelope->kind, envelope->tool, envelope->method, envelope->len, cookie,
			 envelope->parent);
	finish_for(buffer, sender, error);
}

/**
 * mcp_audit_denial() - write down a message that may not be sent
 * @sender: who would have sent it
 * @exchange: that it was to begin, or to be part of; without a handle it is none
 * @envelope: of the message
 * @error: why not
 *
 * Recorded whether calls are or not.
 */
void __cold mcp_audit_denial(const struct mcp_port *sender, const struct mcp_exchange *exchange,
			     const struct mcp_envelope *envelope, int error)
{
	struct mcp_stamp who = mcp_stamp_of(sender);

	if (exchange->handle)
		__mcp_audit_call(exchange->handle, envelope, envelope->cookie, &who, error);
}

/**
 * mcp_audit_calls_set() - from now on each call is a record, or is none
 * @on: which
 *
 * Return: 0; -ENOSPC if audit is on and this cannot be recorded: then nothing
 * has changed.
 */
int mcp_audit_calls_set(bool on)
{
	struct audit_buffer *buffer = begin(GFP_KERNEL, "audit-calls");

	if (!buffer && outcome(buffer))
		return -ENOSPC;
	if (buffer) {
		audit_log_format(buffer, " on=%d", on);
		finish(buffer, 0);
	}
	mutex_lock(&switch_lock);
	if (on)
		static_branch_enable(&mcp_audit_calls);
	else
		static_branch_disable(&mcp_audit_calls);
	mutex_unlock(&switch_lock);
	return 0;
}

bool mcp_audit_calls_on(void)
{
	return static_key_enabled(&mcp_audit_calls);
}

/* How many records there are not, since the module was loaded. */
u64 mcp_audit_lost_count(void)
{
	return atomic64_read(&lost);
}
