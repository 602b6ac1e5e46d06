// What the kernel programs of the fast path share with who loads them. Also read as C.
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
namespace tulle::fastpath {
#endif

// One end of a TCP connection. Both ends must come to the same numbers, so the server's address is
// not among them: where the connection was redirected, the two ends see different ones. The two
// initial sequence numbers stand in for it. All of it is the kernel's own word; no program can
// claim another's.
struct End {
  __u64 netns;        // cookie of the namespace of both ends
  __u32 client_ip;    // of who connected, in network byte order
  __u32 client_port;  // in host byte order
  __u32 client_isn;   // next sequence number of either side when the handshake was done
  __u32 server_isn;
  __u32 is_server;
  __u32 zero;  // keys are compared as bytes
};

// Where the proxy listens. Port 0: everything that leaves its namespace comes to it.
struct Door {
  __u64 netns;
  __u32 ip;    // in network byte order; 0: any
  __u32 port;  // in host byte order
};

// What is kept with a socket. All zero but `own` for one of the proxy's that is not joined yet;
// sockets that are accepted inherit that from the one that listens.
struct Member {
  struct End peer;
  __u64 peer_socket;  // the kernel's address of the peer, 0 until it is known
  __u32 own;          // the proxy's, and not some program's
  __u32 joined;
  __u32 queued;  // messages since the peer was last seen with nothing to read
  __u32 zero;
};

// The end of a connection that waits for the other one.
struct Place {
  __u64 socket;
  __u32 own;
  __u32 zero;
};

// With fewer unread bytes than these nothing is sent behind them by TCP.
enum { kTcpBehindMin = 8192 };

// Indexes of the counters.
enum Count {
  kJoined,         // sockets
  kMessages,       // given to the peer past TCP
  kBytes,          //
  kHeldBack,       // refused because the peer does not read
  kNotJoined,      // sockets for which there was no room
  kCountKindsMax,  //
};

#ifdef __cplusplus
}  // namespace tulle::fastpath
#endif
