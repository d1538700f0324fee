// SPDX-License-Identifier: GPL-2.0
/*
 * Concern: valid sequences, from a small model of who has what; and mutations.
 * Context: user space; nothing here makes a call.
 * Locking: none.
 */
#include <string.h>

#include "mcp_test.h"
#include "sequence.h"

static const char *const names[OP_CODES] = {
	"port", "serve", "update", "open", "grant", "revoke", "request", "nested", "response",
	"notify", "cancel", "receive", "release", "reap", "info", "peer", "require", "arena",
	"map", "poll", "fdinfo", "strange", "close-port", "close-handle", "dup", "signal", "fork",
	"sleep", "ring", "ask", "dump", "bind", "unbind", "binding", "hello", "say", "frame",
};

const char *op_name(unsigned int code)
{
	return code < OP_CODES ? names[code] : "?";
}

/* ---- Valid sequences ----------------------------------------------------- */

/* Who has what, as far as a sequence of calls without errors tells. */
struct model {
	struct sequence *sequence;
	struct random *random;
	unsigned int ports, handles, queued, held;
};

static struct op *add(struct model *model, enum op_code code, unsigned int port)
{
	struct sequence *sequence = model->sequence;
	struct op *op;

	if (sequence->count == SEQUENCE_OPS)
		return NULL;
	op = sequence->ops + sequence->count++;
	*op = (struct op){ .code = code, .port = port, .ref = random_next(model->random),
			   .x = random_next(model->random), .y = random_next(model->random),
			   .way = random_below(model->random, WAYS) };
	return op;
}

/* Port 0 serves, the others call; sometimes 1 serves too. */
static void begin(struct model *model)
{
	unsigned int ports = random_once_in(model->random, 4) ? 3 : 2;

	add(model, OP_PORT, 0);
	add(model, OP_SERVE, 0);
	model->ports = 1;
	while (model->ports < ports) {
		add(model, OP_PORT, model->ports);
		if (random_once_in(model->random, 6))
			add(model, OP_SERVE, model->ports);
		model->ports++;
	}
	add(model, OP_OPEN, 1);
	model->handles = 1;
}

static unsigned int client(struct model *model)
{
	return 1 + random_below(model->random, model->ports - 1);
}

/* One step of an exchange: what may come next, as things are. */
static void talk(struct model *model)
{
	unsigned int dice = random_below(model->random, 10);

	if (!model->queued && !model->held) {
		add(model, OP_REQUEST, client(model));
		model->queued++;
	} else if (model->queued && dice < 6) {
		add(model, OP_RECEIVE, 0);
		model->queued--;
		model->held++;
	} else if (model->held && dice < 3) {
		add(model, OP_NOTIFY, random_below(model->random, model->ports));
	} else if (model->held && dice < 4) {
		add(model, OP_NESTED, random_below(model->random, model->ports));
	} else if (model->held && dice < 8) {
		add(model, OP_RESPONSE, 0);
		model->held--;
		if (random_below(model->random, 4))
			add(model, OP_RECEIVE, client(model));
	} else if (dice == 8) {
		add(model, OP_CANCEL, client(model));
	} else {
		add(model, OP_RELEASE, random_below(model->random, model->ports));
	}
}

/* Calls beside the exchange. */
static void aside(struct model *model)
{
	static const uint8_t codes[] = {
		OP_UPDATE, OP_OPEN, OP_OPEN, OP_GRANT, OP_GRANT, OP_GRANT, OP_REVOKE, OP_REVOKE,
		OP_REAP, OP_REAP, OP_INFO, OP_PEER, OP_PEER, OP_REQUIRE, OP_ARENA, OP_MAP, OP_POLL,
		OP_FDINFO, OP_STRANGE, OP_CLOSE_PORT, OP_CLOSE_HANDLE, OP_CLOSE_HANDLE, OP_DUP,
		OP_SIGNAL, OP_SIGNAL, OP_ASK, OP_DUMP, OP_RELEASE, OP_RELEASE,
	};
	static const uint8_t rare[] = { OP_FORK, OP_SLEEP, OP_SLEEP, OP_RING };
	enum op_code code = random_once_in(model->random, 24) ?
			    rare[random_below(model->random, sizeof(rare))] :
			    codes[random_below(model->random, sizeof(codes))];
	unsigned int port = random_below(model->random, model->ports);

	if (code == OP_UPDATE || code == OP_PEER)
		port = 0;
	if (code == OP_OPEN)
		port = client(model);
	add(model, code, port);
}

/* A binding, its session, and messages that become calls. */
static void network(struct model *model)
{
	unsigned int left = 2 + random_below(model->random, 8);

	add(model, OP_BIND, 1);
	if (random_below(model->random, 8))
		add(model, OP_HELLO, 1);
	while (left--) {
		unsigned int dice = random_below(model->random, 20);

		add(model, dice < 9 ? OP_SAY : dice < 11 ? OP_RECEIVE : dice < 13 ? OP_RESPONSE :
		    dice < 14 ? OP_NOTIFY : dice < 15 ? OP_NESTED : dice < 16 ? OP_HELLO :
		    dice < 17 ? OP_BINDING : OP_FRAME, 0);
	}
	switch (random_below(model->random, 4)) {
	case 0:
		add(model, OP_UNBIND, 0);
		break;
	case 1:
		add(model, OP_REVOKE, 0);
		break;
	}
}

void sequence_make(struct sequence *sequence, struct random *random)
{
	struct model model = { .sequence = sequence, .random = random };
	unsigned int length = SEQUENCE_LEAST + 1 +
			      random_below(random, SEQUENCE_OPS - SEQUENCE_LEAST);

	sequence->count = 0;
	begin(&model);
	if (random_once_in(random, 12))
		network(&model);
	while (sequence->count < length)
		if (random_below(random, 4))
			talk(&model);
		else
			aside(&model);
}

/* ---- Changes ------------------------------------------------------------- */

static void swap(struct op *a, struct op *b)
{
	struct op kept = *a;

	*a = *b;
	*b = kept;
}

static void change_one(struct sequence *sequence, struct random *random)
{
	struct op *op = sequence->ops + random_below(random, sequence->count);

	switch (random_below(random, 8)) {
	case 0:
		op->x = random_next(random);
		break;
	case 1:
		op->y = random_next(random);
		break;
	case 2:
		op->way = random_next(random);
		break;
	case 3:
		op->ref = random_next(random);
		break;
	case 4:
		op->port = random_next(random);
		break;
	case 5:
		op->code = random_below(random, OP_CODES);
		break;
	default:
		op->change = random_next(random);
	}
}

static void drop(struct sequence *sequence, unsigned int at)
{
	if (sequence->count <= SEQUENCE_LEAST)
		return;
	sequence->count--;
	memmove(sequence->ops + at, sequence->ops + at + 1,
		(sequence->count - at) * sizeof(struct op));
}

/* The beginning of one, the rest of the other. */
static void splice(struct sequence *sequence, const struct sequence *other, struct random *random)
{
	unsigned int from = random_below(random, other->count);
	unsigned int at = 1 + random_below(random, sequence->count);

	while (from < other->count && at < SEQUENCE_OPS)
		sequence->ops[at++] = other->ops[from++];
	sequence->count = at;
	while (sequence->count < SEQUENCE_LEAST)
		sequence->ops[sequence->count++] = other->ops[random_below(random, other->count)];
}

void sequence_mutate(struct sequence *sequence, const struct sequence *of,
		     const struct sequence *other, struct random *random)
{
	unsigned int left = 1 + random_below(random, 3);

	*sequence = *of;
	while (left--) {
		unsigned int at = random_below(random, sequence->count);

		switch (random_below(random, 10)) {
		case 0:
			swap(sequence->ops + at,
			     sequence->ops + random_below(random, sequence->count));
			break;
		case 1:
			if (sequence->count < SEQUENCE_OPS)
				sequence->ops[sequence->count++] = sequence->ops[at];
			break;
		case 2:
			drop(sequence, at);
			break;
		case 3:
			splice(sequence, other, random);
			break;
		default:
			change_one(sequence, random);
		}
	}
}

/* Numbers at which something may change. */
static const uint64_t edges[] = {
	0, 1, 2, 4, 0x7f, 0x80, 0xff, 0x100, 0x3ff, 0x400, 0xfff, 0x1000, 0xffff, 0x10000,
	0x100000, 0x100001, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff,
	0x8000000000000000, 0xffffffffffffffff,
};

void change_bytes(void *data, unsigned int bytes, uint32_t change)
{
	unsigned int width = 1u << (change & 3), at = (change >> 12) % (bytes ?: 1);
	unsigned char *place = (unsigned char *)data + at / width * width;
	uint64_t value = edges[(change >> 4 & 0xff) % ARRAY_SIZE(edges)];

	if (!change || at / width * width + width > bytes)
		return;
	if (change & 4)
		*place ^= 1 << (change >> 4 & 7);
	else if (change & 8)
		*place += (change >> 4 & 1) ? 1 : -1;
	else
		memcpy(place, &value, width);
}
