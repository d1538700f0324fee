// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: mcp_net_replay.c against a list of all counters that were taken.
 *
 * An input is steps: the next counter relative to the largest one, or any, and
 * how many in a row. After each the window is asked for all counters that it tells of.
 */
#include "fuzz.h"

#include "mcp_net_replay.c"

/* As docs/network.md promises: a word less than the bits. */
#define WITHIN 960
#define MOST_TAKEN 4096
/* More than the window has. */
#define RECENT 2048
#define RUN 32

struct model {
	u64 taken[MOST_TAKEN];
	u32 count;
	u64 largest;
	bool recent[RECENT]; /* of the last RECENT counters, by their remainder */
};

static bool should_be_new(const struct model *model, u64 counter)
{
	if (counter > model->largest)
		return true;
	return model->largest - counter < WITHIN && !model->recent[counter % RECENT];
}

static void model_take(struct model *model, u64 counter)
{
	u64 ahead = counter > model->largest ? counter - model->largest : 0;

	for (u64 i = 0; i < ahead && i < RECENT; i++)
		model->recent[(counter - i) % RECENT] = false;
	model->recent[counter % RECENT] = true;
	model->largest += ahead;
	model->taken[model->count++] = counter;
}

/* What the window says of each counter that it can tell of. */
static void compare_recent(const struct mcp_net_window *window, const struct model *model)
{
	for (u64 i = 0; i < RECENT && i <= model->largest; i++)
		CHECK(mcp_net_window_new(window, model->largest - i) ==
		      should_be_new(model, model->largest - i));
}

static void step(struct mcp_net_window *window, struct model *model, u64 counter)
{
	bool is_new = should_be_new(model, counter);

	CHECK(mcp_net_window_new(window, counter) == is_new);
	CHECK(mcp_net_window_take(window, counter) == is_new);
	if (is_new)
		model_take(model, counter);
	CHECK(window->largest == model->largest);
}

/* What was taken is never new again, however far away it is. */
static void compare_all(const struct mcp_net_window *window, const struct model *model)
{
	for (u32 i = 0; i < model->count; i++)
		CHECK(!mcp_net_window_new(window, model->taken[i]));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, size };
	struct mcp_net_window window = {};
	struct model model = {};

	while (input.left && model.count < MOST_TAKEN - RUN) {
		u8 how = take_number(&input, 1);
		u64 counter = model.largest, run = 1;

		switch (how & 7) {
		case 0:
			counter = take_number(&input, 8);
			break;
		case 1:
			counter -= take_number(&input, 2);
			break;
		case 2:
			counter += take_number(&input, 2);
			break;
		case 3: /* whole words */
			counter += 64 * take_number(&input, 1);
			break;
		case 4:
			counter -= take_number(&input, 1);
			break;
		case 5:
			counter += 1;
			run += how >> 3 & (RUN - 1);
			break;
		default: /* about the window's end */
			counter -= WITHIN - 16 + (how >> 3);
		}
		for (; run; run--, counter++)
			step(&window, &model, counter);
		compare_recent(&window, &model);
	}
	compare_all(&window, &model);
	return 0;
}
