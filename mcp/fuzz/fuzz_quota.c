// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_quota.h against two counters that are kept apart.
 *
 * An input is the limits, then steps: a charge, or the taking back of one that
 * was made; each with atomic instructions or as under the account's lock.
 */
#include "fuzz.h"

#include "mcp_quota.h"

#define MOST 64

struct charge {
	u32 requests;
	u32 units;
};

struct model {
	u64 requests, units;
	struct charge made[MOST];
	u32 count;
};

static void compare(const struct mcp_quota *quota, const struct model *model)
{
	CHECK(mcp_quota_requests(quota) == model->requests);
	CHECK(mcp_quota_units(quota) == model->units);
}

static void charge(struct mcp_quota *quota, struct model *model, struct input *input, bool locked)
{
	struct charge wanted;
	u32 ceiling;
	bool fits;

	wanted.requests = take_number(input, 2);
	wanted.units = take_number(input, 4);
	ceiling = take_number(input, 4);
	if (model->count == MOST)
		return;
	fits = model->requests + wanted.requests <= quota->max_requests &&
	       model->units + wanted.units <= quota->max_units &&
	       model->units + wanted.units <= ceiling;
	if (locked)
		CHECK(mcp_quota_charge_locked(quota, wanted.requests, wanted.units, ceiling) == fits);
	else
		CHECK(mcp_quota_charge(quota, wanted.requests, wanted.units, ceiling) == fits);
	if (!fits)
		return;
	model->requests += wanted.requests;
	model->units += wanted.units;
	model->made[model->count++] = wanted;
}

static void uncharge(struct mcp_quota *quota, struct model *model, u32 which, bool locked)
{
	struct charge *made;

	if (!model->count)
		return;
	made = &model->made[which % model->count];
	if (locked)
		mcp_quota_uncharge_locked(quota, made->requests, made->units);
	else
		mcp_quota_uncharge(quota, made->requests, made->units);
	model->requests -= made->requests;
	model->units -= made->units;
	*made = model->made[--model->count];
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, size };
	struct model model = {};
	struct mcp_quota quota;
	u32 requests = take_number(&input, 2), units = take_number(&input, 4);

	mcp_quota_init(&quota, requests, units);
	while (input.left) {
		u8 step = take_number(&input, 1);

		if (step & 1)
			charge(&quota, &model, &input, step & 2);
		else
			uncharge(&quota, &model, step >> 2, step & 2);
		compare(&quota, &model);
	}
	while (model.count)
		uncharge(&quota, &model, 0, false);
	compare(&quota, &model);
	CHECK(!model.requests && !model.units);
	return 0;
}
