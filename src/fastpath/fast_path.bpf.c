// The kernel's side of the fast path. `follow` sees every TCP connection be established and joins
// the two ends of those that have the proxy at one end; `deliver` sees what is sent on a joined
// socket and puts it into the peer's queue, past TCP.
//
// What keeps a stream in order. A reader of a joined socket gets what was delivered past TCP first,
// then what TCP brought. So TCP may always follow; but past TCP nothing may go while anything that
// TCP carries is unread. That is asked of the two sockets themselves, for every message, under the
// sender's lock: the peer's program has read up to where the sender has written, or it has not.
//
// What keeps a reader awake. Programs rely on an edge of epoll(7) for what comes after a read that
// got less than it asked for. TCP data that waits behind delivered data makes none. The proxy knows
// that of its own sockets (net/kernel_network.h), so to them TCP takes over when their queue is
// full, and has kTcpBehindMin bytes. To a program's socket it never does: there the proxy is told
// to wait, by an error, EPIPE, that comes of sending into a socket that is shut.
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "fastpath/maps.h"

#define CORE __attribute__((preserve_access_index))

// Of the kernel's structures what is read here; where it lies is found out at load time.
struct net_device {
  unsigned int flags;
} CORE;
struct dst_entry {
  struct net_device* dev;
} CORE;
struct sock_common {
  unsigned long skc_flags;
} CORE;
struct sock {
  struct sock_common __sk_common;
  struct {
    struct {
      int counter;
    } rmem_alloc;
  } sk_backlog;
  int sk_rcvbuf;
  int sk_rcvlowat;
  struct dst_entry* sk_dst_cache;
} CORE;
struct inet_sock {
  struct sock sk;
} CORE;
struct inet_connection_sock {
  struct inet_sock icsk_inet;
  const void* icsk_ulp_ops;
} CORE;
struct tcp_sock {
  struct inet_connection_sock inet_conn;
  __u32 copied_seq;  // up to here the program has read
  __u32 write_seq;   // up to here the program has written
} CORE;
enum sock_flags { SOCK_ZEROCOPY };

extern void* bpf_rdonly_cast(void* object, __u32 btf_id) __ksym;

#define SOCKETS_MAX 65536
#define DOORS_MAX 16384
#define LOOPBACK_FLAG 8  // IFF_LOOPBACK
// Each message costs the kernel some 700 bytes beside its own.
#define TO_PROGRAM_MESSAGES_MAX 256
#define TO_PROGRAM_BYTES_MAX (1 << 20)
#define TO_PROXY_MESSAGES_MAX 8192
// Larger messages go by TCP where nothing is in their way: a stream of them costs no more there,
// and TCP says when the reader is slow.
#define SMALL_MESSAGE_MAX (32 << 10)

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
  __type(key, int);
  __type(value, struct Member);
} members SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, SOCKETS_MAX);
  __type(key, struct End);
  __type(value, struct Place);
} places SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_SOCKHASH);
  __uint(max_entries, SOCKETS_MAX);
  __type(key, struct End);
  __type(value, __u64);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, DOORS_MAX);
  __type(key, struct Door);
  __type(value, __u32);
} doors SEC(".maps");

// One socket that is shut for writing.
struct {
  __uint(type, BPF_MAP_TYPE_SOCKMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} shut SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kCountKindsMax);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(__u32 which, __u64 amount) {
  __u64* const counter = bpf_map_lookup_elem(&counts, &which);
  if (counter) *counter += amount;
}

static __always_inline int is_local(struct tcp_sock* tcp) {
  struct dst_entry* const route = tcp->inet_conn.icsk_inet.sk.sk_dst_cache;
  return route && (route->dev->flags & LOOPBACK_FLAG);
}

// Whether a program that connects there comes to the proxy.
static __always_inline int leads_to_proxy(struct bpf_sock_ops* ops, __u64 netns) {
  struct Door door = {.netns = netns, .ip = ops->remote_ip4, .port = bpf_ntohl(ops->remote_port)};
  if (bpf_map_lookup_elem(&doors, &door)) return 1;
  door.ip = 0;
  if (bpf_map_lookup_elem(&doors, &door)) return 1;
  if (ops->remote_ip4 == ops->local_ip4) return 0;
  if ((ops->remote_ip4 & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000)) return 0;
  door.port = 0;
  return bpf_map_lookup_elem(&doors, &door) != 0;
}

static __always_inline struct End end_of(struct bpf_sock_ops* ops, int is_server) {
  struct End end = {.netns = bpf_get_netns_cookie(ops), .is_server = is_server};
  if (is_server) {
    end.client_ip = ops->remote_ip4;
    end.client_port = bpf_ntohl(ops->remote_port);
    end.client_isn = ops->rcv_nxt;
    end.server_isn = ops->snd_nxt;
  } else {
    end.client_ip = ops->local_ip4;
    end.client_port = ops->local_port;
    end.client_isn = ops->snd_nxt;
    end.server_isn = ops->rcv_nxt;
  }
  return end;
}

// The client's end is established first. A server's is joined only where the client's waits, and
// one of the two is the proxy's.
static __always_inline int has_partner(struct bpf_sock_ops* ops, const struct End* end, __u32 own) {
  if (!end->is_server) return own || leads_to_proxy(ops, end->netns);
  struct End client = *end;
  client.is_server = 0;
  const struct Place* const place = bpf_map_lookup_elem(&places, &client);
  return place && place->own != own;
}

static __always_inline void join(struct bpf_sock_ops* ops, int is_server) {
  struct bpf_sock* const socket = ops->sk;
  if (!socket) return;
  struct tcp_sock* const tcp = bpf_skc_to_tcp_sock(socket);
  if (!tcp || !is_local(tcp)) return;
  struct Member* member = bpf_sk_storage_get(&members, socket, 0, 0);
  const __u32 own = member != 0;
  const struct End end = end_of(ops, is_server);
  if (!has_partner(ops, &end, own)) return;
  if (!member) member = bpf_sk_storage_get(&members, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!member) return count(kNotJoined, 1);
  member->peer = end;
  member->peer.is_server = !is_server;
  member->own = own;
  const struct Place place = {.socket = (__u64)tcp, .own = own};
  if (bpf_map_update_elem(&places, &end, &place, BPF_NOEXIST)) return count(kNotJoined, 1);
  struct End key = end;
  if (bpf_sock_hash_update(ops, &sockets, &key, BPF_NOEXIST)) {
    bpf_map_delete_elem(&places, &end);
    return count(kNotJoined, 1);
  }
  member->joined = 1;
  bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
  count(kJoined, 1);
}

static __always_inline void leave(struct bpf_sock_ops* ops) {
  if (!ops->sk) return;
  const struct Member* const member = bpf_sk_storage_get(&members, ops->sk, 0, 0);
  if (!member || !member->joined) return;
  struct End end = member->peer;
  end.is_server = !end.is_server;
  bpf_map_delete_elem(&places, &end);
}

SEC("sockops") int follow(struct bpf_sock_ops* ops) {
  switch (ops->op) {
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB: join(ops, 0); break;
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB: join(ops, 1); break;
    case BPF_SOCK_OPS_STATE_CB:
      if (ops->args[1] == BPF_TCP_CLOSE) leave(ops);
      break;
  }
  return 1;
}

enum Way { kByTcp, kPastTcp, kNotNow };

// `peer` may be gone, and its memory another socket's by now: reading it cannot fault, and where it
// decides wrongly there is no such peer to deliver to any more.
static __always_inline enum Way way_for(const struct sk_msg_md* message, struct Member* member,
                                        struct tcp_sock* self, struct tcp_sock* peer) {
  struct sock* const reader = &peer->inet_conn.icsk_inet.sk;
  if (peer->copied_seq != self->write_seq) return kByTcp;
  // Kernel TLS at either end encrypts below us; a sender without copies waits to be told by TCP.
  if (self->inet_conn.icsk_ulp_ops || peer->inet_conn.icsk_ulp_ops) return kByTcp;
  const unsigned long no_copies = 1UL << bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY);
  if (self->inet_conn.icsk_inet.sk.__sk_common.skc_flags & no_copies) return kByTcp;
  const int unread = reader->sk_backlog.rmem_alloc.counter;
  const int size = message->size;
  if (unread == 0) member->queued = 0;
  if (member->own) {
    if (unread == 0) return size > SMALL_MESSAGE_MAX || reader->sk_rcvlowat > 1 ? kByTcp : kPastTcp;
    const int full =
        unread + size > TO_PROGRAM_BYTES_MAX || member->queued >= TO_PROGRAM_MESSAGES_MAX;
    return full ? kNotNow : kPastTcp;
  }
  if (unread < kTcpBehindMin) return kPastTcp;
  const int full = unread + size > reader->sk_rcvbuf || member->queued >= TO_PROXY_MESSAGES_MAX;
  return full ? kByTcp : kPastTcp;
}

static __always_inline struct tcp_sock* peer_of(struct Member* member) {
  if (!member->peer_socket) {
    const struct Place* const place = bpf_map_lookup_elem(&places, &member->peer);
    if (!place) return 0;
    member->peer_socket = place->socket;
  }
  return bpf_rdonly_cast((void*)member->peer_socket, bpf_core_type_id_kernel(struct tcp_sock));
}

// Never SK_DROP: the kernel would refuse all that is sent on this socket ever after.
SEC("sk_msg") int deliver(struct sk_msg_md* message) {
  struct bpf_sock* const socket = message->sk;
  if (!socket) return SK_PASS;
  struct Member* const member = bpf_sk_storage_get(&members, socket, 0, 0);
  if (!member || !member->joined) return SK_PASS;
  struct tcp_sock* const peer = peer_of(member);
  struct tcp_sock* const self = bpf_skc_to_tcp_sock(socket);
  if (!peer || !self) return SK_PASS;
  const __u32 size = message->size;
  switch (way_for(message, member, self, peer)) {
    case kByTcp: return SK_PASS;
    case kNotNow:
      if (bpf_msg_redirect_map(message, &shut, 0, 0) == SK_PASS) count(kHeldBack, 1);
      return SK_PASS;
    case kPastTcp: break;
  }
  if (bpf_msg_redirect_hash(message, &sockets, &member->peer, BPF_F_INGRESS) == SK_PASS) {
    member->queued++;
    count(kMessages, 1);
    count(kBytes, size);
  }
  return SK_PASS;
}

char license_of_program[] SEC("license") = "GPL";
