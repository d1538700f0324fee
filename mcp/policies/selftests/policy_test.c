// SPDX-License-Identifier: GPL-2.0
/*
 * Policies: what one is asked, what becomes of its answers, how it comes and
 * goes. It leaves REQUIRE set, which ends when mcp.ko is unloaded.
 *
 * Needs root, mcp_bpf.ko, and no policy attached.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mcp_side.h"
#include "refused_policy.skel.h"
#include "test_policy.h"
#include "test_policy.skel.h"

/* As in mcp_policy.h, which is not for programs. */
enum { GRANTED = 1, NESTED = 2, BACKWARD = 4, BOOT = 8, READ_ONLY = 16 };

#define ANSWER_BYTES 11

static struct test_policy *skeleton;

/* The policy's side changes while ours is not looking. */
#define ALLOWED		((volatile struct asked *)&skeleton->bss->allowed)
#define COMPLETED	((volatile struct asked *)&skeleton->bss->completed)
#define OPENED		((volatile struct asked *)&skeleton->bss->opened)

static void answer_with(struct answers answers)
{
	*(volatile struct answers *)&skeleton->bss->answers = answers;
}

static struct asked last(volatile struct asked *asked)
{
	return *asked;
}

static struct bpf_link *attach(struct bpf_map *map)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(map);

	if (!link)
		bail_out("a policy that cannot be attached");
	return link;
}

/* It is no longer attached when this returns. */
static void detach(struct bpf_link *link)
{
	if (bpf_link__detach(link))
		bail_out("a policy that cannot be detached");
	bpf_link__destroy(link);
}

/* ---- What cannot be attached --------------------------------------------- */

static int attach_errno(struct bpf_map *map)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(map);
	int error = errno;

	if (!link)
		return -error;
	detach(link);
	return 0;
}

static void test_malformed(void)
{
	check_errno(attach_errno(skeleton->maps.without_allow), EINVAL, "a policy without allow");
	check_errno(attach_errno(skeleton->maps.without_name), EINVAL, "a policy without a name");
	check_errno(attach_errno(skeleton->maps.bad_name), EINVAL, "a name with a space");
	check_errno(attach_errno(skeleton->maps.long_name), EINVAL, "a name without an end");
	check_errno(attach_errno(skeleton->maps.without_link), EOPNOTSUPP, "a policy without a link");
	check_errno(attach_errno(skeleton->maps.recorder), 0, "a good one");
}

/* Whether the verifier takes one program of refused_policy.bpf.c. */
static int load_one(const char *name)
{
	struct refused_policy *refused = refused_policy__open();
	struct bpf_map *map;
	bool found = false;
	int error;

	if (!refused)
		bail_out("the programs to be refused");
	bpf_object__for_each_map(map, refused->obj) {
		bool ours = !strcmp(bpf_map__name(map), name);

		/* A program is loaded if a policy is made of it. */
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, ours);
		found |= ours;
	}
	if (!found)
		bail_out("a program that is not there");
	error = refused_policy__load(refused);
	refused_policy__destroy(refused);
	return error;
}

static void test_verifier(void)
{
	check_errno(load_one("good_policy"), 0, "a program that keeps to the rules");
	check_errno(load_one("sleeps_policy"), EINVAL, "one that sleeps");
	check_errno(load_one("writes_policy"), EACCES, "one that writes to what it is asked about");
	check_errno(load_one("forges_policy"), EINVAL, "one that asks for the label of a call of its own");
	check_errno(load_one("overruns_policy"), EACCES, "one whose buffer is smaller than it says");
}

static void test_only_one(void)
{
	struct bpf_link *link = attach(skeleton->maps.first);
	int map = bpf_map__fd(skeleton->maps.second);

	check_errno(attach_errno(skeleton->maps.second), EEXIST, "a second policy");
	check_errno(syscall(SYS_delete_module, "mcp_bpf", O_NONBLOCK) ? -errno : 0, EWOULDBLOCK,
		    "mcp_bpf.ko is in use");
	check(!bpf_link_update(bpf_link__fd(link), map, NULL), "one that takes its place");
	check_errno(bpf_link_update(bpf_link__fd(link), bpf_map__fd(skeleton->maps.without_allow), NULL)
		    ? -errno : 0, EINVAL, "one without allow does not");
	detach(link);
	link = attach(skeleton->maps.first);
	check_errno(bpf_link__detach(link), 0, "a link that is detached");
	check_errno(bpf_link_update(bpf_link__fd(link), map, NULL) ? -errno : 0, ENOLINK,
		    "cannot be given another policy");
	bpf_link__destroy(link);
}

/* ---- A request on each path ---------------------------------------------- */

static bool answer(struct pair *pair, __u64 cookie)
{
	struct mcp_frame frame = frame_response(cookie, "hello world", ANSWER_BYTES);
	struct message response;

	return !side_send(&pair->server, &frame, NULL) &&
	       side_next(&pair->client, &response, SOON) &&
	       is_kind(&response, MCP_RESPONSE, cookie) && !side_release(&pair->client, &response);
}

static bool whole_call(struct pair *pair, const struct mcp_frame *frame)
{
	struct message request;

	return pair_request(pair, frame, &request) && answer(pair, request.envelope.cookie);
}

static struct mcp_frame request_frame(struct pair *pair, unsigned int tool)
{
	struct mcp_frame frame = frame_request(pair->handle, tool, "12345", 5);

	frame.envelope.method = MCP_METHOD_TOOLS_CALL;
	frame.envelope.proto = MCP_PROTO_2025_06_18;
	return frame;
}

static void test_asked(struct pair *pair)
{
	struct mcp_frame frame = request_frame(pair, TOOL_READ);
	__u64 asked = ALLOWED->times, told = COMPLETED->times;
	struct message request;
	struct asked at;

	frame.envelope.deadline = now_ns() + 60000000000ull;
	if (!check(pair_request(pair, &frame, &request), "%s: a request that is allowed", pair->path))
		return;
	at = last(ALLOWED);
	check(at.times == asked + 1 && COMPLETED->times == told, "%s: it was asked once", pair->path);
	check(at.sender == pair->handle_id && at.cookie == request.envelope.cookie && !at.parent &&
	      !at.depth, "%s: who sent it", pair->path);
	check(at.tool == TOOL_READ && at.flags == READ_ONLY && at.rights == ALL_RIGHTS &&
	      at.lengths[1] == (int)strlen(at.name) && at.lengths[1] > 0, "%s: the tool", pair->path);
	check(at.length == 5 && at.method == MCP_METHOD_TOOLS_CALL && !at.nfds &&
	      at.proto == MCP_PROTO_2025_06_18 && at.deadline == frame.envelope.deadline,
	      "%s: its envelope", pair->path);
	check(!strcmp(at.endpoint, (char *)pair->name) && at.lengths[0] == (int)strlen(at.endpoint),
	      "%s: the endpoint's name", pair->path);
	check(at.lengths[3] == -E2BIG && !memcmp(at.cut, at.endpoint, 3) && !at.cut[3],
	      "%s: and as much of it as there is room for", pair->path);
	check(!at.lengths[2] && !at.label[0], "%s: no label", pair->path);
	check(at.uid == geteuid() && at.gid == getegid() && at.pid == (unsigned int)getpid(),
	      "%s: the user and the process", pair->path);

	check(answer(pair, request.envelope.cookie), "%s: it is answered", pair->path);
	at = last(COMPLETED);
	check(at.times == told + 1 && at.cookie == request.envelope.cookie && !at.status &&
	      at.answer == ANSWER_BYTES && at.length == 5 && at.tool == TOOL_READ &&
	      at.flags == READ_ONLY && at.latency > 0 && at.latency < 60000000000ull &&
	      !strcmp(at.name, (char *)last(ALLOWED).name), "%s: and the policy told so, once",
	      pair->path);
}

static void test_answers(struct pair *pair)
{
	static const struct {
		int answer;
		int wanted;
	} rows[] = {
		{ -EACCES, EACCES }, { -EPERM, EPERM }, { -EDQUOT, EDQUOT }, { -EBUSY, EBUSY },
		{ -EHWPOISON, EHWPOISON }, { -ENOMEM, ENOMEM },
		/* No errno, one that only the kernel knows, or "do it again". */
		{ 1, EACCES }, { INT_MAX, EACCES }, { INT_MIN, EACCES }, { -EHWPOISON - 1, EACCES },
		{ -512, EACCES }, { -529, EACCES }, { -4095, EACCES }, { -4096, EACCES },
		{ -EAGAIN, EACCES }, { -EINTR, EACCES },
	};
	struct mcp_frame frame = request_frame(pair, TOOL_WRITE);
	__u64 told = COMPLETED->times;
	struct message message;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answer_with((struct answers){ .allow = rows[i].answer });
		check_errno(side_send(&pair->client, &frame, NULL), rows[i].wanted,
			    "%s: the policy answers %d", pair->path, rows[i].answer);
	}
	answer_with((struct answers){ 0 });
	check(!side_next(&pair->server, &message, NEVER), "%s: the endpoint sees none of them",
	      pair->path);
	check(COMPLETED->times == told, "%s: nor does the policy hear of their end", pair->path);
	check(whole_call(pair, &frame) && !(ALLOWED->flags & READ_ONLY),
	      "%s: the same request, when it is allowed", pair->path);
}

static void test_nested(struct pair *pair)
{
	struct mcp_frame frame = request_frame(pair, TOOL_READ), back;
	struct message request, inner;
	__u64 outer, cookie;
	struct asked at;

	if (!check(pair_request(pair, &frame, &request), "%s: a request", pair->path))
		return;
	outer = request.envelope.cookie;
	back = frame_nested(outer, "back", 4);
	answer_with((struct answers){ .nested = -EPERM });
	check_errno(side_send(&pair->server, &back, NULL), EPERM,
		    "%s: the endpoint may not ask back within it", pair->path);
	at = last(ALLOWED);
	check(at.flags == (NESTED | BACKWARD) && at.parent == outer && at.depth == 1 && !at.tool &&
	      at.sender == pair->handle_id && at.length == 4, "%s: the policy was asked", pair->path);
	if (pair->client.path != BY_IOCTL) {
		check_errno(side_send(&pair->client, &back, NULL), EPERM,
			    "%s: nor the caller ask more", pair->path);
		at = last(ALLOWED);
		check(at.flags == NESTED && at.parent == outer && at.depth == 1,
		      "%s: the policy was asked", pair->path);
		back.envelope.tool = TOOL_WRITE;
		check_errno(side_send(&pair->client, &back, NULL), EPERM,
			    "%s: nor for a tool", pair->path);
		at = last(ALLOWED);
		check(at.flags == NESTED && at.tool == TOOL_WRITE && at.name[0],
		      "%s: which the policy knows", pair->path);
		back.envelope.tool = 0;
	}
	answer_with((struct answers){ 0 });
	check(!side_send(&pair->server, &back, &cookie) &&
	      side_next(&pair->client, &inner, SOON) && is_kind(&inner, MCP_REQUEST, cookie),
	      "%s: when it is allowed, it arrives", pair->path);
	check(answer(pair, outer), "%s: the answer of the outer one", pair->path);
	/* The nested one dies with its parent. */
	at = last(COMPLETED);
	check(at.cookie == cookie && at.status == ECANCELED && at.flags == (NESTED | BACKWARD) &&
	      at.parent == outer, "%s: the policy is told of both ends", pair->path);
	check(side_next(&pair->server, &inner, SOON), "%s: and so is who asked", pair->path);
	side_release(&pair->server, &inner);
}

static void check_end(struct pair *pair, __u64 told, __u64 cookie, unsigned int status,
		      const char *what)
{
	struct asked at;

	/* The deadline's timer lets the caller know first, and may run beside us. */
	for (int i = 0; i < 1000 && COMPLETED->times == told; i++)
		usleep(10000);
	at = last(COMPLETED);
	check(at.times == told + 1 && at.cookie == cookie && at.status == status && !at.answer,
	      "%s: the end of %s: status %u, told %llu times", pair->path, what, at.status,
	      at.times - told);
}

static void test_ends(enum path path)
{
	struct message request, message;
	struct mcp_frame frame;
	struct pair pair;
	__u64 told;

	pair_need(&pair, path, path);
	frame = request_frame(&pair, TOOL_READ);
	/* Long enough for a slow machine to receive it first. */
	frame.envelope.deadline = now_ns() + 2000000000ull;
	told = COMPLETED->times;
	if (check(pair_request(&pair, &frame, &request), "%s: with a deadline", pair.path)) {
		check(side_next(&pair.client, &message, SOON), "%s: which passes", pair.path);
		side_release(&pair.client, &message);
		check_end(&pair, told, request.envelope.cookie, ETIMEDOUT, "one whose time is over");
		/* The CANCEL, and the slot with it. */
		side_next(&pair.server, &message, SOON);
		side_release(&pair.server, &request);
	}

	/* Allowed, and then refused for want of room: it is told, or it would be counted for good. */
	frame = request_frame(&pair, TOOL_READ);
	frame.envelope.reserve = 300u << 10;
	told = COMPLETED->times;
	check_errno(side_send(&pair.client, &frame, NULL), ENOBUFS, "%s: no room for an answer",
		    pair.path);
	check_end(&pair, told, ALLOWED->cookie, ENOBUFS, "one that was not sent");

	frame = request_frame(&pair, TOOL_READ);
	told = COMPLETED->times;
	if (check(pair_request(&pair, &frame, &request), "%s: a request", pair.path)) {
		side_close(&pair.server);
		check(side_next(&pair.client, &message, SOON), "%s: whose endpoint dies", pair.path);
		check_end(&pair, told, request.envelope.cookie, EPIPE, "one without a server");
	}
	pair_close(&pair);
}

static void test_path(enum path path)
{
	struct pair pair;

	pair_need(&pair, path, path);
	test_asked(&pair);
	test_answers(&pair);
	test_nested(&pair);
	pair_close(&pair);
	test_ends(path);
}

/* ---- OPEN and GRANT ------------------------------------------------------ */

static void test_open(void)
{
	struct mcp_frame frame;
	struct mcp_grant args;
	struct asked at;
	struct pair pair;
	__u64 asked;
	int handle;

	pair_need(&pair, BY_RW, BY_RW);
	asked = OPENED->times;
	answer_with((struct answers){ .open = -ENOKEY });
	check_errno(open_handle(&pair.client.port, pair.name, MCP_RIGHT_READ, NULL), ENOKEY,
		    "OPEN that the policy refuses");
	at = last(OPENED);
	check(at.times == asked + 1 && !at.flags && at.rights == MCP_RIGHT_READ && !at.sender &&
	      !at.cookie && at.uid == geteuid() && at.pid == (unsigned int)getpid() &&
	      !strcmp(at.endpoint, (char *)pair.name) && !at.label[0], "what it was asked");
	answer_with((struct answers){ .open = 1 });
	check_errno(open_handle(&pair.client.port, pair.name, MCP_RIGHT_READ, NULL), EACCES,
		    "OPEN with an answer that is none");

	args = grant_args(pair.handle, MCP_RIGHT_READ | MCP_RIGHT_QUERY);
	memset(args.label, 'L', sizeof(args.label));
	args.expiry = now_ns() + 60000000000ull;
	answer_with((struct answers){ .grant = -EPERM });
	check_errno(grant(&pair.client.port, &args), EPERM, "GRANT that the policy refuses");
	at = last(OPENED);
	check(at.flags == GRANTED && at.sender == pair.handle_id && at.depth == 1 &&
	      at.rights == (MCP_RIGHT_READ | MCP_RIGHT_QUERY) && at.deadline == args.expiry,
	      "what it was asked");
	check(at.lengths[2] == MCP_LABEL_SIZE && !memcmp(at.label, args.label, MCP_LABEL_SIZE) &&
	      !at.label[MCP_LABEL_SIZE], "a label that fills its field");
	answer_with((struct answers){ 0 });
	handle = grant(&pair.client.port, &args);
	check_errno(handle, 0, "GRANT that it allows");
	close(pair.handle);
	pair.handle = handle;
	pair.handle_id = args.sender;
	frame = frame_request(handle, TOOL_READ, "x", 1);
	check(whole_call(&pair, &frame) &&
	      ALLOWED->sender == args.sender && ALLOWED->lengths[2] == MCP_LABEL_SIZE,
	      "a request on it is known by its label");
	pair_close(&pair);
}

/* ---- Replacing ----------------------------------------------------------- */

struct traffic {
	struct pair *pair;
	atomic_bool stop;
	atomic_ulong first, second, other;
};

/* Every request is refused by one policy or by the other. */
static void *run_traffic(void *argument)
{
	struct traffic *traffic = argument;
	struct pair *pair = traffic->pair;
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);

	while (!traffic->stop && !traffic->other) {
		int error = write(pair->client.port.fd, &frame, sizeof(frame)) < 0 ? errno : 0;

		if (error == FIRST_ERRNO)
			traffic->first++;
		else if (error == SECOND_ERRNO)
			traffic->second++;
		else
			traffic->other++;
	}
	return NULL;
}

static void start_traffic(struct traffic *traffic, struct pair *pair, pthread_t *thread)
{
	memset(traffic, 0, sizeof(*traffic));
	traffic->pair = pair;
	if (pthread_create(thread, NULL, run_traffic, traffic))
		bail_out("a thread");
}

static void stop_traffic(struct traffic *traffic, pthread_t thread)
{
	traffic->stop = true;
	pthread_join(thread, NULL);
}

#define REPLACED 100

static void test_replace(void)
{
	struct bpf_map *maps[] = { skeleton->maps.second, skeleton->maps.first };
	struct bpf_link *link = attach(skeleton->maps.first);
	struct traffic traffic;
	unsigned int good = 0;
	pthread_t thread;
	struct pair pair;
	__u64 end;

	pair_need(&pair, BY_RW, BY_RW);
	start_traffic(&traffic, &pair, &thread);
	for (unsigned int i = 0; i < REPLACED; i++) {
		atomic_ulong *count = i % 2 ? &traffic.first : &traffic.second;
		unsigned long before = *count;

		good += !bpf_link_update(bpf_link__fd(link), bpf_map__fd(maps[i % 2]), NULL);
		/* The new one has been asked before the next one comes. */
		for (end = now_ns() + SOON * 1000000ull; *count == before && !traffic.other;)
			if (now_ns() > end)
				bail_out("no traffic");
	}
	stop_traffic(&traffic, thread);
	check(good == REPLACED, "a policy is replaced %d times", REPLACED);
	check(traffic.first && traffic.second && !traffic.other,
	      "every request met one or the other: %lu, %lu, neither %lu", traffic.first,
	      traffic.second, traffic.other);

	/* Negative control: taken away and put back, it is missed. */
	start_traffic(&traffic, &pair, &thread);
	for (end = now_ns() + 10 * SOON * 1000000ull; !traffic.other && now_ns() < end;) {
		detach(link);
		link = attach(skeleton->maps.first);
	}
	stop_traffic(&traffic, thread);
	check(traffic.other == 1, "a policy that is detached and attached is missed by one");
	detach(link);
	pair_close(&pair);
}

/* ---- REQUIRE; it stays --------------------------------------------------- */

static int try_call(struct pair *pair)
{
	struct mcp_frame frame = frame_request(pair->handle, TOOL_READ, "x", 1);
	struct message request;
	__u64 cookie;
	int error = side_send(&pair->client, &frame, &cookie);

	if (error)
		return error;
	if (!side_next(&pair->server, &request, SOON) || !is_kind(&request, MCP_REQUEST, cookie))
		return -ETIME;
	return answer(pair, cookie) ? 0 : -EPROTO;
}

static int require(const __u8 *name)
{
	struct mcp_require args = { .size = sizeof(args) };
	struct port port;
	int error;

	if (name)
		memcpy(args.name, name, sizeof(args.name));
	port_need(&port, 0);
	error = call(port.fd, MCP_IOC_REQUIRE, &args);
	port_close(&port);
	return error;
}

/* A server with flags, and a handle to it if there can be one. */
static int open_flagged(struct pair *pair, unsigned int flags, const char *suffix)
{
	struct mcp_tool tool = tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 1, "read");
	struct mcp_serve args;

	memset(pair, 0, sizeof(*pair));
	test_name(pair->name, suffix);
	pair->path = suffix;
	args = serve_args(pair->name);
	args.flags = flags;
	args.ntools = 1;
	args.tools = address(&tool);
	args.tool_size = sizeof(tool);
	side_need(&pair->server, BY_RW, PAIR_ARENA);
	side_need(&pair->client, BY_RW, PAIR_ARENA);
	pair->server.serves = true;
	if (call(pair->server.port.fd, MCP_IOC_SERVE, &args))
		bail_out("an endpoint with flags");
	pair->handle = open_handle(&pair->client.port, pair->name, ALL_RIGHTS, &pair->handle_id);
	return pair->handle;
}

static void test_require(void)
{
	struct pair pairs[PATHS], flagged, boot;
	struct mcp_grant args;
	struct bpf_link *link;

	check_errno(open_flagged(&flagged, MCP_SERVE_REQUIRE_POLICY, "flagged"), EACCES,
		    "OPEN of an endpoint with REQUIRE_POLICY");
	pair_close(&flagged);
	for (enum path path = 0; path < PATHS; path++)
		pair_need(&pairs[path], path, path);
	check_errno(require(pairs[0].name), 0, "REQUIRE of a name");
	check_errno(try_call(&pairs[0]), EACCES, "a request there");
	check_errno(try_call(&pairs[1]), 0, "and elsewhere");

	check_errno(require(NULL), 0, "REQUIRE of all");
	args = grant_args(pairs[1].handle, MCP_RIGHT_READ);
	check_errno(grant(&pairs[1].client.port, &args), EACCES, "GRANT");
	check_errno(open_handle(&pairs[1].client.port, pairs[1].name, MCP_RIGHT_READ, NULL), EACCES,
		    "OPEN");
	for (enum path path = 0; path < PATHS; path++)
		check_errno(try_call(&pairs[path]), EACCES, "%s: a request", pairs[path].path);
	check_errno(open_flagged(&boot, MCP_SERVE_BOOT, "boot"), 0, "OPEN of one with BOOT");
	check_errno(try_call(&boot), 0, "a request there");

	answer_with((struct answers){ 0 });
	link = attach(skeleton->maps.recorder);
	for (enum path path = 0; path < PATHS; path++)
		check_errno(try_call(&pairs[path]), 0, "%s: a request with a policy", pairs[path].path);
	check_errno(try_call(&boot), 0, "one to BOOT");
	check(ALLOWED->flags == (BOOT | READ_ONLY), "which the policy sees as such");
	answer_with((struct answers){ .allow = -EPERM });
	check_errno(try_call(&boot), EPERM, "and may refuse");
	detach(link);
	for (enum path path = 0; path < PATHS; path++) {
		check_errno(try_call(&pairs[path]), EACCES, "%s: a request without one again",
			    pairs[path].path);
		pair_close(&pairs[path]);
	}
	check_errno(try_call(&boot), 0, "one to BOOT goes on");
	pair_close(&boot);
}

/* -------------------------------------------------------------------------- */

static int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	/* What is refused is what we test. */
	return getenv("VERBOSE") ? vfprintf(stderr, format, arguments) : 0;
}

/* Without a policy all goes through; with one, nothing but what it allows. */
static void test_control(void)
{
	struct bpf_link *link;
	struct pair pair;
	__u64 asked = ALLOWED->times;

	pair_need(&pair, BY_RW, BY_RW);
	check_errno(try_call(&pair), 0, "a request without a policy");
	check(ALLOWED->times == asked, "nobody is asked");
	link = attach(skeleton->maps.first);
	check_errno(try_call(&pair), FIRST_ERRNO, "the same with a policy that refuses");
	detach(link);
	check_errno(try_call(&pair), 0, "and when it has gone");
	pair_close(&pair);
}

static bool is_required(void)
{
	struct pair pair;
	int handle = open_flagged(&pair, 0, "probe");

	pair_close(&pair);
	return handle < 0;
}

int main(void)
{
	struct bpf_link *link;

	test_begin();
	if (access("/sys/kernel/btf/mcp_bpf", F_OK))
		skip_all("mcp_bpf.ko is not loaded");
	if (is_required())
		skip_all("REQUIRE is set, or a policy attached: load mcp.ko anew");
	libbpf_set_print(print);
	skeleton = test_policy__open_and_load();
	if (!skeleton)
		bail_out("the policies");
	test_malformed();
	test_verifier();
	test_only_one();
	test_control();
	link = attach(skeleton->maps.recorder);
	for (enum path path = 0; path < PATHS; path++)
		test_path(path);
	test_open();
	detach(link);
	test_replace();
	test_require();
	test_policy__destroy(skeleton);
	return test_end();
}
