// SPDX-License-Identifier: GPL-2.0
/*
 * Stress: threads and processes open, serve, update, grant, revoke, send,
 * answer, notify, cancel, close on all paths at the same time, by chance, and
 * the processes are killed. No call may give an errno that docs/uapi.md does
 * not have for it, everything must end, and nothing may be left charged.
 *
 * Usage: stress_test [OPERATIONS of a thread [SEED]]
 *                              on a machine where mcp.ko is loaded, as root.
 *                              $TEST_SECONDS ends a hang, default 300
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mcp_accounts.h"
#include "mcp_module.h"
#include "mcp_ring.h"
#include "mcp_test.h"

#define THREADS		4
#define CHILDREN	3	/* at a time */
#define NAMES		4
#define PORTS		10
#define HANDLES		24
#define COOKIES		64
#define BODY		3000
#define ARENA		(128u << 10)
#define FRAMES		64	/* of one ring */
#define RING_LIFE	400	/* operations */

/* ---- What all threads of a process share --------------------------------- */

/* Any thread may close a port while others use it: @fd is taken by who closes. */
struct entry {
	atomic_int fd;
	pthread_mutex_t lock;	/* of the mapping only */
	const unsigned char *arena;
};

static struct entry ports[PORTS];
static atomic_int handles[HANDLES];
static _Atomic __u64 handle_ids[HANDLES];
static _Atomic __u64 cookies[COOKIES];
static __u8 names[NAMES][MCP_NAME_SIZE];
static unsigned char body[BODY];
static int memory_fd = -1;

static atomic_ulong done_count, good_count;
static atomic_int strange;

struct worker {
	pthread_t thread;
	unsigned long operations;
	__u64 random;
	bool alone;		/* a process with one thread: what it reads is its own */
	struct ring ring;
	struct mcp_frame frames[FRAMES];
	unsigned int frame;
	unsigned int in_ring;
};

static unsigned int dice(struct worker *worker, unsigned int sides)
{
	__u64 x = worker->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	worker->random = x;
	return (x * 0x2545f4914f6cdd1dull >> 33) % sides;
}

/* ---- Every errno is a documented one ------------------------------------- */

/*
 * EBADF, ENOTTY, EINVAL: a number that another thread closed meanwhile may be
 * anything of ours by now.
 */
static const int of_open[] = { EMFILE, 0 };
static const int of_serve[] = { EBADF, ENOTTY, EINVAL, EBUSY, EEXIST, 0 };
static const int of_update[] = { EBADF, ENOTTY, EINVAL, ENOTCONN, 0 };
static const int of_handle[] = { EBADF, ENOTTY, EINVAL, ENOENT, EACCES, ESTALE, EDQUOT, EMFILE,
				0 };
static const int of_grant[] = { EBADF, ENOTTY, EINVAL, EKEYREVOKED, EKEYEXPIRED, EPIPE, EACCES,
				ELOOP, ESTALE, EDQUOT, EMFILE, 0 };
static const int of_revoke[] = { EBADF, ENOTTY, EINVAL, EACCES, ENOENT, ENOTCONN, 0 };
static const int of_request[] = { EBADF, ENOTTY, EINVAL, EMSGSIZE, EPERM, ENOBUFS, EDQUOT,
				EACCES, EKEYREVOKED, EKEYEXPIRED, EPIPE, ESTALE, ENOENT, ELOOP,
				ECANCELED, ETIMEDOUT, 0 };
static const int of_respond[] = { EBADF, ENOTTY, EINVAL, EMSGSIZE, EPERM, ENOBUFS, EDQUOT,
				EACCES, ENOENT, ECANCELED, EALREADY, 0 };
static const int of_notify[] = { EBADF, ENOTTY, EINVAL, EMSGSIZE, EPERM, ENOBUFS, EDQUOT,
				EACCES, ENOENT, ECANCELED, EAGAIN, 0 };
static const int of_cancel[] = { EBADF, ENOTTY, EINVAL, EACCES, ENOENT, 0 };
static const int of_receive[] = { EBADF, ENOTTY, EINVAL, EAGAIN, 0 };
static const int of_release[] = { EBADF, ENOTTY, EINVAL, 0 };
/* A ring's completion may be any of these. */
static const int of_ring[] = { EBADF, ENOTTY, EINVAL, EMSGSIZE, EPERM, ENOBUFS, EDQUOT, EACCES,
				EKEYREVOKED, EKEYEXPIRED, EPIPE, ESTALE, ENOENT, ELOOP,
				ECANCELED, ETIMEDOUT, EALREADY, EAGAIN, EOPNOTSUPP, 0 };

static void expect(const char *what, long result, const int *allowed)
{
	done_count++;
	if (result >= 0) {
		good_count++;
		return;
	}
	for (; *allowed; allowed++)
		if (result == -*allowed)
			return;
	if (strange++ < 20)
		printf("# %s: %s\n", what, strerror(-result));
}

/* ---- Ports and handles --------------------------------------------------- */

/* Mostly one that is there. */
static struct entry *any_port(struct worker *worker)
{
	struct entry *entry = &ports[dice(worker, PORTS)];

	for (int i = 0; i < 3 && entry->fd < 0; i++)
		entry = &ports[dice(worker, PORTS)];
	return entry;
}

static int any_handle(struct worker *worker)
{
	int fd = handles[dice(worker, HANDLES)];

	for (int i = 0; i < 3 && fd < 0; i++)
		fd = handles[dice(worker, HANDLES)];
	return fd;
}

static void close_port(struct entry *entry)
{
	int fd = atomic_exchange(&entry->fd, -1);

	if (fd < 0)
		return;
	/* Whoever uses the number now races with this. */
	close(fd);
	pthread_mutex_lock(&entry->lock);
	if (entry->arena)
		munmap((void *)entry->arena, ARENA);
	entry->arena = NULL;
	pthread_mutex_unlock(&entry->lock);
}

static void open_port(struct worker *worker)
{
	struct entry *entry = any_port(worker);
	struct mcp_arena arena = { .size = sizeof(arena), .bytes = ARENA };
	int fd = open(MCP_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK), none = -1;
	void *memory;

	expect("open", fd < 0 ? -errno : fd, of_open);
	if (fd < 0)
		return;
	/* Descriptors only where no other thread can mistake their numbers. */
	arena.flags = worker->alone ? MCP_ARENA_TAKES_FDS : 0;
	expect("ARENA", call(fd, MCP_IOC_ARENA, &arena), of_open);
	memory = mmap(NULL, ARENA, PROT_READ, MAP_SHARED, fd, 0);
	close_port(entry);
	pthread_mutex_lock(&entry->lock);
	if (memory != MAP_FAILED && !entry->arena && atomic_compare_exchange_strong(&entry->fd,
										    &none, fd)) {
		entry->arena = memory;
		memory = MAP_FAILED;
		fd = -1;
	}
	pthread_mutex_unlock(&entry->lock);
	if (memory != MAP_FAILED)
		munmap(memory, ARENA);
	if (fd >= 0)
		close(fd);
}

static void serve(struct worker *worker)
{
	unsigned int which = dice(worker, NAMES);
	struct mcp_tool tools[] = {
		tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 1, "look"),
		tool_row(TOOL_WRITE, 0, dice(worker, 4), "change"),
	};
	struct mcp_serve args = serve_args(names[which]);

	args.tools = address(tools);
	args.ntools = ARRAY_SIZE(tools);
	expect("SERVE", call(any_port(worker)->fd, MCP_IOC_SERVE, &args), of_serve);
}

static void update(struct worker *worker)
{
	struct mcp_tool tools[] = {
		tool_row(TOOL_READ, MCP_TOOL_READ_ONLY, 1, "look"),
		tool_row(TOOL_WRITE, 0, dice(worker, 4), "change"),
	};
	struct mcp_update args = {
		.size = sizeof(args), .tools = address(tools), .ntools = 1 + dice(worker, 2),
		.tool_size = sizeof(struct mcp_tool),
	};

	expect("UPDATE", call(any_port(worker)->fd, MCP_IOC_UPDATE, &args), of_update);
}

static void keep_handle(struct worker *worker, int fd, __u64 sender)
{
	unsigned int i = dice(worker, HANDLES);
	int old = atomic_exchange(&handles[i], fd);

	handle_ids[i] = sender;
	if (old >= 0)
		close(old);
}

static void open_one(struct worker *worker)
{
	__u64 sender = 0;
	int fd = open_handle(&(struct port){ .fd = any_port(worker)->fd },
			     names[dice(worker, NAMES)], ALL_RIGHTS, &sender);

	expect("OPEN", fd, of_handle);
	if (fd >= 0)
		keep_handle(worker, fd, sender);
}

static void grant_one(struct worker *worker)
{
	struct mcp_grant args = grant_args(any_handle(worker),
					   dice(worker, 4) ? ALL_RIGHTS : MCP_RIGHT_READ);
	int fd;

	if (!dice(worker, 4))
		args.expiry = now_ns() + 1 + dice(worker, 20000000);
	args.max_inflight = dice(worker, 2) ? dice(worker, 8) : 0;
	fd = grant(&(struct port){ .fd = any_port(worker)->fd }, &args);
	expect("GRANT", fd, of_grant);
	if (fd >= 0)
		keep_handle(worker, fd, args.sender);
}

static void revoke_one(struct worker *worker)
{
	int handle = dice(worker, 3) ? any_handle(worker) : -1;
	__u64 sender = handle_ids[dice(worker, HANDLES)];

	expect("REVOKE", revoke(&(struct port){ .fd = any_port(worker)->fd }, handle,
				sender ? sender : 1), of_revoke);
}

static void close_handle(struct worker *worker)
{
	int fd = atomic_exchange(&handles[dice(worker, HANDLES)], -1);

	if (fd >= 0)
		close(fd);
}

static void look_at_handle(struct worker *worker)
{
	struct pollfd look = { .fd = any_handle(worker) };
	char path[48], text[256];
	int fd;

	poll(&look, 1, 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", look.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* The other thread's descriptor may be gone by now. */
	(void)!read(fd, text, sizeof(text));
	close(fd);
}

/* ---- Messages ------------------------------------------------------------ */

static __u64 any_cookie(struct worker *worker)
{
	return cookies[dice(worker, COOKIES)];
}

static struct mcp_frame any_request(struct worker *worker)
{
	static const int *const bring[] = { &memory_fd };
	struct mcp_frame frame;

	if (dice(worker, 6))
		frame = frame_request(any_handle(worker), 1 + dice(worker, 2), body,
				      dice(worker, BODY));
	else
		frame = frame_nested(any_cookie(worker), body, dice(worker, 200));
	if (!frame.envelope.parent && frame.envelope.tool == 0)
		frame.envelope.tool = TOOL_READ;
	frame.envelope.credit = dice(worker, 4);
	frame.envelope.reserve = dice(worker, BODY);
	frame.envelope.deadline = now_ns() + 100000 + dice(worker, 10000000);
	if (worker->alone && !dice(worker, 4)) {
		frame.envelope.nfds = 1;
		frame.fds = address(dice(worker, 2) ? (const void *)bring[0] :
				    (const void *)&handles[dice(worker, HANDLES)]);
	}
	return frame;
}

static long put(int fd, const struct mcp_frame *frame)
{
	return write(fd, frame, sizeof(*frame)) < 0 ? -errno : 0;
}

static void remember(struct worker *worker, __u64 cookie)
{
	cookies[dice(worker, COOKIES)] = cookie;
}

/* What was received is answered, notified of, kept, dropped, or left. */
static void treat(struct worker *worker, struct entry *entry, __u32 slot)
{
	struct mcp_envelope got = { 0 };
	__s32 fds[MCP_MAX_FDS];
	struct mcp_frame frame;
	unsigned int way = dice(worker, 10);

	if (slot % 256 == MCP_CANCEL_OFFSET) {
		expect("RELEASE", call(entry->fd, MCP_IOC_RELEASE,
				       (void *)(uintptr_t)(slot - MCP_CANCEL_OFFSET)), of_release);
		return;
	}
	pthread_mutex_lock(&entry->lock);
	if (entry->arena && slot < ARENA - MCP_BODY_OFFSET) {
		memcpy(&got, entry->arena + slot, sizeof(got));
		if (worker->alone && got.nfds <= MCP_MAX_FDS && got.len <= BODY)
			memcpy(fds, entry->arena + slot + MCP_BODY_OFFSET + ((got.len + 3) & ~3u),
			       got.nfds * sizeof(*fds));
	}
	pthread_mutex_unlock(&entry->lock);
	for (unsigned int i = 0; worker->alone && i < got.nfds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (got.kind == MCP_REQUEST) {
		remember(worker, got.cookie);
		if (way < 2) {
			frame = frame_notify(got.cookie, body, dice(worker, 300));
			expect("NOTIFY", put(entry->fd, &frame), of_notify);
		}
		if (way < 7) {
			unsigned int room = got.reserve < BODY ? got.reserve : BODY;

			frame = frame_response(got.cookie, body, room ? dice(worker, room) : 0);
			expect("RESPONSE", put(entry->fd, &frame), of_respond);
			return;
		}
	}
	/* A slot that stays goes with the port. */
	if (way < 9)
		expect("RELEASE", call(entry->fd, MCP_IOC_RELEASE, (void *)(uintptr_t)slot),
		       of_release);
}

static void send_by_write(struct worker *worker)
{
	struct mcp_frame frame = any_request(worker);
	__u64 cookie = 0;
	long result;

	frame.result = address(&cookie);
	result = put(any_port(worker)->fd, &frame);
	expect("REQUEST by write", result, of_request);
	if (!result && cookie)
		remember(worker, cookie);
}

static void call_by_ioctl(struct worker *worker)
{
	struct entry *entry = any_port(worker);
	struct mcp_frame frame = any_request(worker);
	long result;

	/* The ring's own work interrupts a wait, too: the frame goes on. */
	do
		result = call(entry->fd, MCP_IOC_CALL, &frame);
	while (result == -EINTR);
	expect("CALL", result, of_request);
	if (!result)
		treat(worker, entry, frame.slot);
}

static void receive_by_read(struct worker *worker)
{
	struct entry *entry = any_port(worker);
	struct mcp_frame frame;
	long got = read(entry->fd, &frame, sizeof(frame));

	expect("read", got < 0 ? -errno : got, of_receive);
	if (got == sizeof(frame))
		treat(worker, entry, frame.slot);
}

static void receive_by_ioctl(struct worker *worker)
{
	struct entry *entry = any_port(worker);
	struct mcp_frame frame = { .handle = -1 };
	long result = call(entry->fd, MCP_IOC_REPLY_WAIT, &frame);

	expect("REPLY_WAIT", result, of_receive);
	if (!result)
		treat(worker, entry, frame.slot);
}

static void tell(struct worker *worker)
{
	struct mcp_frame frame;

	if (dice(worker, 2)) {
		frame = frame_cancel(any_cookie(worker));
		if (frame.envelope.cookie)
			expect("CANCEL", put(any_port(worker)->fd, &frame), of_cancel);
	} else {
		frame = frame_notify(any_cookie(worker), body, dice(worker, 300));
		if (frame.envelope.parent)
			expect("NOTIFY", put(any_port(worker)->fd, &frame), of_notify);
	}
}

/* ---- The ring ------------------------------------------------------------ */

static void open_ring(struct worker *worker)
{
	static const unsigned int kinds[] = {
		0, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
	};

	ring_close(&worker->ring); /* with all that waits in it */
	worker->in_ring = 0;
	if (ring_open(&worker->ring, FRAMES, kinds[dice(worker, ARRAY_SIZE(kinds))]))
		worker->ring.fd = -1;
}

/* @user_data: the entry's number, and whether a slot may come. */
static void submit(struct worker *worker)
{
	unsigned int which = dice(worker, PORTS), way = dice(worker, 5);
	struct mcp_frame *frame = &worker->frames[worker->frame++ % FRAMES];
	struct io_uring_sqe *sqe;
	unsigned int command;

	if (worker->ring.fd < 0 || worker->in_ring >= FRAMES / 2)
		return;
	*frame = any_request(worker);
	command = way == 0 ? MCP_CMD_SEND : MCP_CMD_CALL;
	if (way == 1) {
		*frame = frame_response(any_cookie(worker) + 1, body, dice(worker, 200));
		frame->envelope.cookie--;
		command = MCP_CMD_REPLY_AND_PARK;
	} else if (way == 2) {
		*frame = frame_notify(any_cookie(worker), body, 10);
		command = MCP_CMD_NOTIFY;
	} else if (way == 3) {
		command = MCP_CMD_RECV_PARK;
	}
	sqe = ring_command(&worker->ring, ports[which].fd, command,
			   command == MCP_CMD_RECV_PARK ? NULL : frame,
			   which * 2 + (command != MCP_CMD_SEND && command != MCP_CMD_NOTIFY));
	if (!dice(worker, 6))
		sqe->flags |= IOSQE_ASYNC;
	ring_submit(&worker->ring);
	worker->in_ring++;
}

static void reap(struct worker *worker)
{
	struct io_uring_cqe completion;

	while (worker->ring.fd >= 0 && ring_wait(&worker->ring, 0, &completion)) {
		worker->in_ring--;
		expect("a completion", completion.res, of_ring);
		if (completion.res > 0 && completion.user_data & 1)
			treat(worker, &ports[completion.user_data / 2], completion.res);
	}
}

/* ---- A worker ------------------------------------------------------------ */

static void (*const operations[])(struct worker *) = {
	open_port, serve, serve, update, open_one, open_one, grant_one, revoke_one, close_handle,
	look_at_handle, send_by_write, send_by_write, send_by_write, call_by_ioctl, call_by_ioctl,
	receive_by_read, receive_by_read, receive_by_read, receive_by_ioctl, receive_by_ioctl,
	tell, tell, submit, submit, submit, reap, reap, reap,
};

static void *work(void *argument)
{
	struct worker *worker = argument;

	worker->ring.fd = -1;
	for (unsigned long i = 0; i < worker->operations; i++) {
		if (i % RING_LIFE == 0)
			open_ring(worker);
		if (i % 200 == 0)
			close_port(any_port(worker));
		operations[dice(worker, ARRAY_SIZE(operations))](worker);
	}
	ring_close(&worker->ring);
	return NULL;
}

static void forget_all(void)
{
	for (unsigned int i = 0; i < PORTS; i++) {
		atomic_store(&ports[i].fd, -1);
		ports[i].arena = NULL;
		pthread_mutex_init(&ports[i].lock, NULL);
	}
	for (unsigned int i = 0; i < HANDLES; i++)
		handles[i] = -1;
}

/* Processes that do the same, each until it is killed: @deaths of them. */
static int run_children(unsigned long deaths, __u64 seed)
{
	static struct worker worker;
	pid_t living[CHILDREN] = { 0 };
	unsigned long born = 0, died = 0;

	worker.random = seed ^ 0x9e3779b97f4a7c15ull;
	while (died < deaths) {
		unsigned int i = dice(&worker, CHILDREN);
		int status;

		if (!living[i] && born < deaths) {
			__u64 own = worker.random + born++;

			living[i] = fork();
			if (!living[i]) {
				alarm(120);
				worker = (struct worker){ .operations = ~0ul, .alone = true,
							  .random = own | 1 };
				work(&worker);
				_exit(0);
			}
			continue;
		}
		usleep(1000 + dice(&worker, 8000));
		if (living[i] > 0) {
			kill(living[i], SIGKILL);
			if (waitpid(living[i], &status, 0) != living[i] || !WIFSIGNALED(status) ||
			    WTERMSIG(status) != SIGKILL)
				return 1;
			living[i] = 0;
			died++;
		}
	}
	return 0;
}

/* ---- What is left ------------------------------------------------------- */

static long slab_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SUnreclaim: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

int main(int count, char **words)
{
	unsigned long each = count > 1 ? strtoul(words[1], NULL, 0) : 3000;
	__u64 seed = count > 2 ? strtoull(words[2], NULL, 0) : now_ns();
	static struct worker workers[THREADS];
	unsigned long deaths = each / 100 + 3;
	__u8 name[MCP_NAME_SIZE];
	int status = -1, handle;
	struct port keeper;
	pid_t spawner;
	long before;

	test_begin();
	printf("# stress_test %lu %llu\n", each, (unsigned long long)seed);
	for (unsigned int i = 0; i < NAMES; i++) {
		char suffix[16];

		snprintf(suffix, sizeof(suffix), "stress.%u", i);
		test_name(names[i], suffix);
	}
	memory_fd = memfd_create("stress", MFD_CLOEXEC);
	forget_all();
	/* It keeps the user's account, and an endpoint, through all of it. */
	test_name(name, "keeper");
	port_need(&keeper, 8 << 20);
	serve_need(&keeper, name);
	handle = open_handle(&keeper, name, ALL_RIGHTS, NULL);
	before = slab_kib();

	spawner = fork();
	if (!spawner)
		_exit(run_children(deaths, seed));
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .operations = each,
					      .random = (seed + i) * 0x9e3779b97f4a7c15ull | 1 };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			bail_out("a thread");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	check(waitpid(spawner, &status, 0) == spawner && status == 0,
	      "%lu processes were killed in the midst of it", deaths);
	for (unsigned int i = 0; i < PORTS; i++)
		close_port(&ports[i]);
	for (unsigned int i = 0; i < HANDLES; i++)
		if (handles[i] >= 0)
			close(handles[i]);
	check(!strange, "%lu operations, every errno as documented", (unsigned long)done_count);
	check(good_count * 5 > done_count, "%lu of them did something",
	      (unsigned long)good_count);

	close(handle);
	check_accounts(name);
	port_close(&keeper);
	printf("# unreclaimable slab: %+ld KiB\n", slab_kib() - before);
	if (module_path())
		check(module_reload(), "the module can be unloaded, and loaded");
	close(memory_fd);
	return test_end();
}
