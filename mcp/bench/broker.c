// SPDX-License-Identifier: GPL-2.0
/*
 * A daemon that does in user space what /dev/mcp does in the kernel, as well
 * as a daemon can: it knows its peers by SO_PEERCRED, gives handles to
 * endpoints by name, checks each header, right and tool, stamps the sender,
 * passes descriptors, and finds the way back for each answer. One thread, one
 * epoll, no copy of its own, three system calls for a message.
 *
 * It never waits for one peer: what a peer does not take is kept for it, up
 * to a limit; a peer beyond that, or one that breaks the protocol, is
 * disconnected. When a server goes, those who wait for it are told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "broker.h"
#include "sys.h"

#define MAX_CLIENTS	256	/* peers are known by the number of their socket */
#define MAX_HANDLES	16
#define MAX_EXCHANGES	1024
#define MAX_BACKLOG	64
#define MAX_EVENTS	16
#define FDS_SPACE	CMSG_SPACE(BROKER_MAX_FDS * sizeof(int))

/* A message that its receiver has not taken yet. */
struct backlog {
	struct backlog *next;
	size_t bytes;
	unsigned int nfds;
	int fds[BROKER_MAX_FDS];
	__u8 data[];
};

struct handle {
	int server;
	__u32 generation;	/* of the server: a socket's number is used again */
	__u64 tools;		/* a bit for each that may be called */
};

struct peer {
	bool used;
	__u32 generation;
	struct ucred who;
	char name[BROKER_NAME_MAX + 1];	/* of its endpoint, if it serves */
	__u64 tools;
	struct handle handles[MAX_HANDLES];
	unsigned int nhandles;
	int sending;		/* exchange whose next piece is due, or -1 */
	struct backlog *first, **last;
	unsigned int nbacklog;
};

/* From the first piece of a request to the last piece of its answer. */
struct exchange {
	bool used;
	__u32 generation;
	int client, server;
	__u32 client_generation;
	__u64 cookie;	/* the client's */
	int next_free;
};

struct broker {
	struct tally *tally;
	int epoll, listener, free;
	struct peer peers[MAX_CLIENTS];
	struct exchange exchanges[MAX_EXCHANGES];
	struct broker_header header;	/* of the message at hand */
	__u8 body[PIECE];
	int fds[BROKER_MAX_FDS];
	union {
		struct cmsghdr header;	/* for its alignment */
		char bytes[FDS_SPACE];
	} control;
};

static void drop_peer(struct broker *broker, int fd);

/* Numbers are used again; with the generation an id is not. */
static __u64 make_id(__u32 generation, int number)
{
	return (__u64)generation << 32 | (__u32)number;
}

static void close_fds(struct broker *broker, const int *fds, unsigned int count)
{
	while (count--)
		counted(broker->tally, SYS_close, fds[count], 0, 0, 0, 0, 0);
}

static void watch(struct broker *broker, int fd, __u32 events, int operation)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (counted(broker->tally, SYS_epoll_ctl, broker->epoll, operation, fd, (long)&event,
		    0, 0) < 0)
		die("broker: epoll_ctl");
}

/* @count descriptors become the control part of @message. */
static void attach(struct msghdr *message, char *control, const int *fds, unsigned int count)
{
	struct cmsghdr *part = (struct cmsghdr *)control;

	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(count * sizeof(int));
	*part = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(count * sizeof(int)),
	};
	memcpy(CMSG_DATA(part), fds, count * sizeof(int));
}

/* 0, -EAGAIN, or that the receiver has gone. */
static long send_now(struct broker *broker, int fd, struct iovec *parts, int nparts,
		     const int *fds, unsigned int nfds)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = nparts };

	if (nfds)
		attach(&message, broker->control.bytes, fds, nfds);
	return counted(broker->tally, SYS_sendmsg, fd, (long)&message, MSG_DONTWAIT | MSG_NOSIGNAL,
		       0, 0, 0);
}

static bool keep(struct broker *broker, int fd, unsigned int nfds)
{
	struct peer *peer = &broker->peers[fd];
	struct backlog *entry;

	if (peer->nbacklog == MAX_BACKLOG)
		return false;
	entry = malloc(sizeof(*entry) + sizeof(broker->header) + broker->header.len);
	if (!entry)
		return false;
	entry->next = NULL;
	entry->bytes = sizeof(broker->header) + broker->header.len;
	entry->nfds = nfds;
	memcpy(entry->fds, broker->fds, nfds * sizeof(int));
	memcpy(entry->data, &broker->header, sizeof(broker->header));
	memcpy(entry->data + sizeof(broker->header), broker->body, broker->header.len);
	*peer->last = entry;
	peer->last = &entry->next;
	if (!peer->nbacklog++)
		watch(broker, fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
	return true;
}

/*
 * Passes the message at hand to @fd. The descriptors are this process's until
 * they are sent, and are closed in every case.
 */
static void forward(struct broker *broker, int fd, unsigned int nfds)
{
	struct iovec parts[2] = {
		{ &broker->header, sizeof(broker->header) },
		{ broker->body, broker->header.len },
	};
	long result = -EAGAIN;

	if (!broker->peers[fd].nbacklog)
		result = send_now(broker, fd, parts, broker->header.len ? 2 : 1, broker->fds, nfds);
	if (result == -EAGAIN) {
		if (keep(broker, fd, nfds))
			return;
		result = -ENOBUFS;
	}
	close_fds(broker, broker->fds, nfds);
	if (result < 0)
		drop_peer(broker, fd);
}

static void answer_error(struct broker *broker, int fd, __u64 cookie, __u32 status)
{
	broker->header = (struct broker_header){
		.magic = BROKER_MAGIC, .version = 1, .kind = BROKER_ERROR,
		.cookie = cookie, .status = status,
	};
	forward(broker, fd, 0);
}

static void end_exchange(struct broker *broker, int index)
{
	struct exchange *exchange = &broker->exchanges[index];

	exchange->used = false;
	exchange->generation++;
	exchange->next_free = broker->free;
	broker->free = index;
}

static void drop_peer(struct broker *broker, int fd)
{
	struct peer *peer = &broker->peers[fd];

	if (!peer->used)
		return;
	peer->used = false;
	peer->generation++;
	while (peer->first) {
		struct backlog *entry = peer->first;

		peer->first = entry->next;
		close_fds(broker, entry->fds, entry->nfds);
		free(entry);
	}
	/* Closing takes it out of the epoll. */
	close_fds(broker, &fd, 1);
	for (int i = 0; i < MAX_EXCHANGES; i++) {
		struct exchange *exchange = &broker->exchanges[i];
		struct peer *client = &broker->peers[exchange->client];

		if (!exchange->used || exchange->server != fd)
			continue;
		if (client->sending == i)
			client->sending = -1;
		end_exchange(broker, i);
		if (client->used && client->generation == exchange->client_generation)
			answer_error(broker, exchange->client, exchange->cookie, EPIPE);
	}
}

static void accept_peer(struct broker *broker)
{
	long fd = counted(broker->tally, SYS_accept4, broker->listener, 0, 0,
			  SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0);
	struct peer *peer;
	struct ucred who;
	socklen_t size = sizeof(who);

	if (fd < 0)
		return;
	if (fd >= MAX_CLIENTS ||
	    getsockopt((int)fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) {
		close((int)fd);
		return;
	}
	enlarge_buffers((int)fd);
	peer = &broker->peers[fd];
	*peer = (struct peer){
		.used = true, .generation = peer->generation, .who = who, .sending = -1,
	};
	peer->last = &peer->first;
	watch(broker, (int)fd, EPOLLIN, EPOLL_CTL_ADD);
}

/* The descriptors of a message that came, or more than were said: none. */
static unsigned int take_fds(struct broker *broker, struct msghdr *message)
{
	unsigned int count = 0;

	struct cmsghdr *part;

	for (part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (unsigned int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(broker->fds, CMSG_DATA(part), count * sizeof(int));
	}
	return count;
}

static int find_name(struct broker *broker, const char *name)
{
	for (int fd = 0; fd < MAX_CLIENTS; fd++)
		if (broker->peers[fd].used && !strcmp(broker->peers[fd].name, name))
			return fd;
	return -1;
}

/* SERVE and OPEN: 0 or -errno. */
static int handle_name(struct broker *broker, int fd)
{
	struct peer *peer = &broker->peers[fd], *server;
	char name[BROKER_NAME_MAX + 1] = "";
	int found;

	if (!broker->header.len || broker->header.len > BROKER_NAME_MAX)
		return -EINVAL;
	memcpy(name, broker->body, broker->header.len);
	found = find_name(broker, name);
	if (broker->header.kind == BROKER_SERVE) {
		if (found >= 0 || peer->name[0])
			return -EEXIST;
		memcpy(peer->name, name, sizeof(name));
		peer->tools = broker->header.cookie;
		return 0;
	}
	if (found < 0)
		return -ENOENT;
	server = &broker->peers[found];
	if (peer->who.uid && peer->who.uid != server->who.uid)
		return -EACCES;
	if (peer->nhandles == MAX_HANDLES)
		return -EMFILE;
	broker->header.handle = peer->nhandles;
	peer->handles[peer->nhandles++] = (struct handle){
		.server = found, .generation = server->generation, .tools = server->tools,
	};
	return 0;
}

/* A new exchange for the request at hand: its number, or -errno. */
static int admit(struct broker *broker, int fd)
{
	struct peer *peer = &broker->peers[fd];
	struct exchange *exchange;
	struct handle *handle;
	int index = broker->free;

	if (broker->header.handle >= peer->nhandles)
		return -EBADF;
	handle = &peer->handles[broker->header.handle];
	if (!broker->peers[handle->server].used ||
	    broker->peers[handle->server].generation != handle->generation)
		return -EPIPE;
	if (broker->header.tool >= BROKER_MAX_TOOLS || !(handle->tools >> broker->header.tool & 1))
		return -EACCES;
	if (index < 0)
		return -EDQUOT;
	exchange = &broker->exchanges[index];
	broker->free = exchange->next_free;
	exchange->used = true;
	exchange->client = fd;
	exchange->client_generation = peer->generation;
	exchange->server = handle->server;
	exchange->cookie = broker->header.cookie;
	return index;
}

static void route_request(struct broker *broker, int fd, unsigned int nfds)
{
	struct peer *peer = &broker->peers[fd];
	int index = peer->sending;

	if (index < 0)
		index = admit(broker, fd);
	if (index < 0) {
		close_fds(broker, broker->fds, nfds);
		/* Later pieces of a refused request are refused as well. */
		answer_error(broker, fd, broker->header.cookie, (__u32)-index);
		return;
	}
	peer->sending = broker->header.flags & BROKER_MORE ? index : -1;
	broker->header.cookie = make_id(broker->exchanges[index].generation, index);
	broker->header.sender = make_id(peer->generation, fd);
	broker->header.uid = peer->who.uid;
	broker->header.gid = peer->who.gid;
	broker->header.pid = (__u32)peer->who.pid;
	forward(broker, broker->exchanges[index].server, nfds);
}

static void route_response(struct broker *broker, int fd, unsigned int nfds)
{
	__u32 index = (__u32)broker->header.cookie;
	struct exchange *exchange = &broker->exchanges[index % MAX_EXCHANGES];
	struct peer *client = &broker->peers[exchange->client];

	if (index >= MAX_EXCHANGES || !exchange->used || exchange->server != fd ||
	    exchange->generation != broker->header.cookie >> 32) {
		close_fds(broker, broker->fds, nfds);
		answer_error(broker, fd, broker->header.cookie, ENOENT);
		return;
	}
	broker->header.cookie = exchange->cookie;
	broker->header.sender = make_id(broker->peers[fd].generation, fd);
	if (!(broker->header.flags & BROKER_MORE))
		end_exchange(broker, (int)index);
	if (client->used && client->generation == exchange->client_generation)
		forward(broker, exchange->client, nfds);
	else
		close_fds(broker, broker->fds, nfds);
}

static bool well_formed(const struct broker_header *header, long bytes, unsigned int nfds)
{
	return bytes >= (long)sizeof(*header) && header->magic == BROKER_MAGIC &&
	       header->version == 1 && !(header->flags & ~BROKER_MORE) &&
	       header->len == (size_t)bytes - sizeof(*header) && header->nfds == nfds &&
	       !header->status && !header->sender && !header->uid && !header->gid &&
	       !header->pid && !header->reserved[0] && !header->reserved[1];
}

static void receive(struct broker *broker, int fd)
{
	struct iovec parts[2] = {
		{ &broker->header, sizeof(broker->header) },
		{ broker->body, sizeof(broker->body) },
	};
	struct msghdr message = {
		.msg_iov = parts, .msg_iovlen = 2,
		.msg_control = &broker->control, .msg_controllen = sizeof(broker->control),
	};
	long bytes = counted(broker->tally, SYS_recvmsg, fd, (long)&message,
			     MSG_DONTWAIT | MSG_CMSG_CLOEXEC, 0, 0, 0);
	unsigned int nfds = 0;

	if (bytes == -EAGAIN)
		return;
	if (bytes > 0 && message.msg_controllen)
		nfds = take_fds(broker, &message);
	if (bytes <= 0 || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
	    !well_formed(&broker->header, bytes, nfds)) {
		close_fds(broker, broker->fds, nfds);
		drop_peer(broker, fd);
		return;
	}
	switch (broker->header.kind) {
	case BROKER_REQUEST:
		route_request(broker, fd, nfds);
		break;
	case BROKER_RESPONSE:
		route_response(broker, fd, nfds);
		break;
	case BROKER_SERVE:
	case BROKER_OPEN:
		close_fds(broker, broker->fds, nfds);
		broker->header.status = (__u32)-handle_name(broker, fd);
		broker->header.len = 0;
		broker->header.nfds = 0;
		forward(broker, fd, 0);
		break;
	default:
		close_fds(broker, broker->fds, nfds);
		drop_peer(broker, fd);
	}
}

/* The receiver has room again. */
static void flush(struct broker *broker, int fd)
{
	struct peer *peer = &broker->peers[fd];

	while (peer->first) {
		struct backlog *entry = peer->first;
		struct iovec part = { entry->data, entry->bytes };
		long result = send_now(broker, fd, &part, 1, entry->fds, entry->nfds);

		if (result == -EAGAIN)
			return;
		if (result < 0) {
			drop_peer(broker, fd);
			return;
		}
		peer->first = entry->next;
		peer->nbacklog--;
		close_fds(broker, entry->fds, entry->nfds);
		free(entry);
	}
	peer->last = &peer->first;
	watch(broker, fd, EPOLLIN, EPOLL_CTL_MOD);
}

void broker_run(int listener, struct tally *tally)
{
	struct broker *broker = allocate(sizeof(*broker));
	struct epoll_event events[MAX_EVENTS];

	broker->tally = tally;
	broker->listener = listener;
	broker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (broker->epoll < 0)
		die("broker: epoll_create1: %s", strerror(errno));
	broker->free = -1;
	for (int i = MAX_EXCHANGES - 1; i >= 0; i--) {
		broker->exchanges[i].next_free = broker->free;
		broker->free = i;
	}
	watch(broker, listener, EPOLLIN, EPOLL_CTL_ADD);
	for (;;) {
		long count = counted(tally, SYS_epoll_pwait, broker->epoll, (long)events,
				     MAX_EVENTS, -1, 0, 0);

		for (long i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener) {
				accept_peer(broker);
				continue;
			}
			/* An event of this round may have closed it. */
			if (broker->peers[fd].used && events[i].events & EPOLLOUT)
				flush(broker, fd);
			if (broker->peers[fd].used && events[i].events & ~EPOLLOUT)
				receive(broker, fd);
		}
		if (count < 0 && count != -EINTR)
			die("broker: epoll_wait: %s", strerror((int)-count));
	}
}
