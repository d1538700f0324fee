// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "net_link.h"

#define ROOM 4096

/* A message that grows. */
struct request {
	union {
		struct nlmsghdr head;
		unsigned char bytes[ROOM];
	};
};

/* ---- Namespaces ---------------------------------------------------------- */

int space_here(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

void space_enter(int space)
{
	if (setns(space, CLONE_NEWNET))
		bail_out("setns");
}

int space_new(void)
{
	int here = space_here(), made;

	if (unshare(CLONE_NEWNET))
		bail_out("no new network namespace");
	made = space_here();
	space_enter(here);
	close(here);
	return made;
}

/* ---- Netlink ------------------------------------------------------------- */

static void *append(struct request *request, const void *data, size_t bytes)
{
	unsigned char *at = request->bytes + NLMSG_ALIGN(request->head.nlmsg_len);

	memset(at, 0, NLMSG_ALIGN(bytes));
	if (bytes)
		memcpy(at, data, bytes);
	request->head.nlmsg_len = at - request->bytes + bytes;
	return at;
}

static struct nlattr *attribute(struct request *request, int type, const void *data, size_t bytes)
{
	struct nlattr head = { .nla_len = NLA_HDRLEN + bytes, .nla_type = type };
	struct nlattr *at = append(request, &head, sizeof(head));

	if (bytes)
		append(request, data, bytes);
	return at;
}

static void nest_end(struct request *request, struct nlattr *nest)
{
	nest->nla_len = request->bytes + request->head.nlmsg_len - (unsigned char *)nest;
}

/* Sends, and receives one answer into the same place: 0, or its -errno. */
static int exchange(int protocol, struct request *request)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	const struct nlmsgerr *error = NLMSG_DATA(&request->head);
	ssize_t got;

	if (fd < 0)
		return -errno;
	if (send(fd, request->bytes, request->head.nlmsg_len, 0) < 0) {
		got = -errno;
		close(fd);
		return got;
	}
	got = recv(fd, request->bytes, sizeof(request->bytes), 0);
	close(fd);
	if (got < (ssize_t)sizeof(struct nlmsghdr))
		return -EIO;
	return request->head.nlmsg_type == NLMSG_ERROR ? error->error : 0;
}

static void begin(struct request *request, int type, int flags)
{
	memset(request, 0, sizeof(*request));
	request->head = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN,
					   .nlmsg_type = type,
					   .nlmsg_flags = NLM_F_REQUEST | flags };
}

/* ---- Devices ------------------------------------------------------------- */

static void up(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		bail_out("no such device");
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		bail_out("a device does not come up");
	close(fd);
}

int veth_need(const char *name, const char *peer, int space)
{
	struct nlattr *info, *data, *other;
	struct ifinfomsg link = { 0 };
	struct request request;
	int here, error;

	begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
	append(&request, &link, sizeof(link));
	attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
	info = attribute(&request, IFLA_LINKINFO, NULL, 0);
	attribute(&request, IFLA_INFO_KIND, "veth", 5);
	data = attribute(&request, IFLA_INFO_DATA, NULL, 0);
	other = attribute(&request, VETH_INFO_PEER, NULL, 0);
	append(&request, &link, sizeof(link));
	attribute(&request, IFLA_IFNAME, peer, strlen(peer) + 1);
	attribute(&request, IFLA_NET_NS_FD, &space, sizeof(space));
	nest_end(&request, other);
	nest_end(&request, data);
	nest_end(&request, info);
	error = exchange(NETLINK_ROUTE, &request);
	if (error)
		return error;
	up(name);
	here = space_here();
	space_enter(space);
	up(peer);
	space_enter(here);
	close(here);
	return 0;
}

int veth_delete(const char *name)
{
	struct ifinfomsg link = { .ifi_index = if_nametoindex(name) };
	struct request request;

	begin(&request, RTM_DELLINK, NLM_F_ACK);
	append(&request, &link, sizeof(link));
	return exchange(NETLINK_ROUTE, &request);
}

int mtu_set(const char *name, int mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;
	struct ifreq request = { .ifr_mtu = mtu };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	error = ioctl(fd, SIOCSIFMTU, &request) ? -errno : 0;
	close(fd);
	return error;
}

/* ---- The family ---------------------------------------------------------- */

static const struct nlattr *find(const unsigned char *at, const unsigned char *end, int type)
{
	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attr = (const void *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static const struct nlattr *find_in(const struct request *request, int type)
{
	return find(request->bytes + NLMSG_HDRLEN + GENL_HDRLEN,
		    request->bytes + request->head.nlmsg_len, type);
}

static void *value(const struct nlattr *attr)
{
	return (unsigned char *)attr + NLA_HDRLEN;
}

static int family_id(void)
{
	struct genlmsghdr generic = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
	const struct nlattr *id;
	struct request request;
	int error;

	begin(&request, GENL_ID_CTRL, 0);
	append(&request, &generic, sizeof(generic));
	attribute(&request, CTRL_ATTR_FAMILY_NAME, MCP_NET_FAMILY_NAME,
		  sizeof(MCP_NET_FAMILY_NAME));
	error = exchange(NETLINK_GENERIC, &request);
	if (error)
		return error;
	id = find_in(&request, CTRL_ATTR_FAMILY_ID);
	return id ? *(__u16 *)value(id) : -EIO;
}

bool net_family(void)
{
	return family_id() > 0;
}

static int start(struct request *request, int command, int flags)
{
	struct genlmsghdr generic = { .cmd = command, .version = MCP_NET_FAMILY_VERSION };
	int id = family_id();

	if (id < 0)
		return id;
	begin(request, id, flags);
	append(request, &generic, sizeof(generic));
	return 0;
}

int net_bind(const struct net_bind *bind)
{
	struct request request;
	int error = start(&request, MCP_NET_CMD_BIND, NLM_F_ACK);

	if (error)
		return error;
	if (bind->ifindex)
		attribute(&request, MCP_NET_A_BIND_IFINDEX, &bind->ifindex, 4);
	if (!bind->no_handle)
		attribute(&request, MCP_NET_A_BIND_HANDLE, &bind->handle, 4);
	if (!bind->no_key)
		attribute(&request, MCP_NET_A_BIND_KEY, &bind->key, 4);
	if (bind->peer)
		attribute(&request, MCP_NET_A_BIND_PEER, bind->peer, bind->peer_bytes);
	if (bind->frames)
		attribute(&request, MCP_NET_A_BIND_FRAMES, &bind->frames, 4);
	if (bind->seconds)
		attribute(&request, MCP_NET_A_BIND_SECONDS, &bind->seconds, 4);
	return exchange(NETLINK_GENERIC, &request);
}

int net_unbind(void)
{
	struct request request;

	return start(&request, MCP_NET_CMD_UNBIND, NLM_F_ACK) ?:
	       exchange(NETLINK_GENERIC, &request);
}

static __u32 number(const struct request *request, int type)
{
	const struct nlattr *attr = find_in(request, type);

	return attr ? *(__u32 *)value(attr) : 0;
}

int net_get(struct net_state *state)
{
	const struct nlattr *counts, *sender;
	struct request request;
	int error = start(&request, MCP_NET_CMD_GET, 0) ?: exchange(NETLINK_GENERIC, &request);

	memset(state, 0, sizeof(*state));
	if (error)
		return error;
	state->ifindex = number(&request, MCP_NET_A_BIND_IFINDEX);
	state->session = number(&request, MCP_NET_A_BIND_SESSION);
	state->max_body = number(&request, MCP_NET_A_BIND_MAX_BODY);
	state->frames = number(&request, MCP_NET_A_BIND_FRAMES);
	state->seconds = number(&request, MCP_NET_A_BIND_SECONDS);
	state->has_peer = find_in(&request, MCP_NET_A_BIND_PEER);
	sender = find_in(&request, MCP_NET_A_BIND_SENDER);
	if (sender)
		memcpy(&state->sender, value(sender), 8);
	counts = find_in(&request, MCP_NET_A_BIND_COUNTS);
	for (int i = 1; counts && i <= MCP_NET_A_COUNTS_MAX; i++) {
		const struct nlattr *attr = find(value(counts),
						 (unsigned char *)counts + counts->nla_len, i);

		if (attr && attr->nla_len == NLA_HDRLEN + 8)
			memcpy(state->counts + i, value(attr), 8);
	}
	return 0;
}
