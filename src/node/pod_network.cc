#include "node/pod_network.h"

#include "base/check.h"
#include "base/format.h"
#include "base/log.h"
#include "base/owned_fd.h"
#include "node/image_files.h"
#include "node/nftables.h"

#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace tulle::node {

namespace {

constexpr int kLoopbackIndex = 1;  // the first interface of every namespace

// One rtnetlink request: a header, a fixed part, attributes.
template <class Fixed>
struct Request {
  Request(std::uint16_t type, std::uint16_t flags, const Fixed& part) : fixed(part) {
    header.nlmsg_len = NLMSG_LENGTH(sizeof(Fixed));
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  void add(std::uint16_t type, const void* data, std::size_t size) {
    const std::size_t offset = NLMSG_ALIGN(header.nlmsg_len) - offsetof(Request, attributes);
    CHECK(offset + RTA_SPACE(size) <= attributes.size());
    const rtattr attribute{.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size)),
                           .rta_type = type};
    std::memcpy(attributes.data() + offset, &attribute, sizeof attribute);
    std::memcpy(attributes.data() + offset + RTA_LENGTH(0), data, size);
    header.nlmsg_len =
        static_cast<std::uint32_t>(offsetof(Request, attributes) + offset + RTA_SPACE(size));
  }
  void add(std::uint16_t type, const IpAddress& address) {
    add(type, address.bytes().data(), address.byte_count());
  }

  nlmsghdr header{};
  Fixed fixed;
  std::array<char, 128> attributes{};
};

template <class Fixed>
Result<void> ask(int netlink, const Request<Fixed>& request, std::string_view what) {
  if (::send(netlink, &request, request.header.nlmsg_len, 0) < 0) return os_error(errno, what);
  struct Answer {
    nlmsghdr header;
    nlmsgerr error;
    std::array<char, 1024> rest;
  } answer{};
  const ssize_t size = ::recv(netlink, &answer, sizeof answer, 0);
  if (size < 0) return os_error(errno, what);
  if (static_cast<std::size_t>(size) < NLMSG_LENGTH(sizeof(nlmsgerr)) ||
      answer.header.nlmsg_type != NLMSG_ERROR) {
    return failf(Code::internal, "{}: rtnetlink gave no answer", what);
  }
  if (answer.error.error != 0) return os_error(-answer.error.error, what);
  return {};
}

Result<void> set_up_loopback(const IpAddress& address) {
  const OwnedFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink) return os_error(errno, "rtnetlink");

  const Request<ifinfomsg> up(RTM_NEWLINK, 0,
                              {.ifi_family = AF_UNSPEC,
                               .__ifi_pad = 0,
                               .ifi_type = 0,
                               .ifi_index = kLoopbackIndex,
                               .ifi_flags = IFF_UP,
                               .ifi_change = IFF_UP});
  TRY_VOID(ask(netlink.get(), up, "set lo up"));

  Request<ifaddrmsg> own(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
                         {.ifa_family = AF_INET,
                          .ifa_prefixlen = 32,
                          .ifa_flags = 0,
                          .ifa_scope = RT_SCOPE_UNIVERSE,
                          .ifa_index = kLoopbackIndex});
  own.add(IFA_LOCAL, address);
  own.add(IFA_ADDRESS, address);
  TRY_VOID(ask(netlink.get(), own, "add the pod's address"));

  // Every address is local here, so that whatever the pod sends can be caught: services, other
  // pods, and the world outside. Without a preferred source a local route would take the
  // destination as source.
  Request<rtmsg> route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
                       {.rtm_family = AF_INET,
                        .rtm_dst_len = 0,
                        .rtm_src_len = 0,
                        .rtm_tos = 0,
                        .rtm_table = RT_TABLE_LOCAL,
                        .rtm_protocol = RTPROT_BOOT,
                        .rtm_scope = RT_SCOPE_HOST,
                        .rtm_type = RTN_LOCAL,
                        .rtm_flags = 0});
  const std::uint32_t interface = kLoopbackIndex;
  route.add(RTA_OIF, &interface, sizeof interface);
  route.add(RTA_PREFSRC, address);
  return ask(netlink.get(), route, "add the local route");
}

// Datagrams keep their destination on the way to the proxy's socket. A kernel that cannot do that
// gives a pod all the rest.
Result<void> catch_outgoing(const PodNetwork& network) {
  const std::string connections = fmt::format(
      "table inet tulle {{\n"
      "  chain output {{\n"
      "    type nat hook output priority -100; policy accept;\n"
      "    meta nfproto ipv6 return\n"
      "    ip daddr {{ 127.0.0.0/8, {} }} return\n"
      "    ip daddr {} tcp dport 53 return\n"
      "    meta l4proto tcp redirect to :{}\n"
      "  }}\n"
      "}}\n",
      network.address.to_string(), network.dns_address.to_string(), network.capture_port);
  const std::string datagrams = fmt::format(
      "table inet tulle {{\n"
      "  chain prerouting {{\n"
      "    type filter hook prerouting priority -150; policy accept;\n"
      "    meta nfproto ipv6 return\n"
      "    ip daddr {{ 127.0.0.0/8, {}, 224.0.0.0/4, 255.255.255.255 }} return\n"
      "    ip daddr {} udp dport 53 return\n"
      "    meta l4proto udp tproxy ip to 127.0.0.1:{}\n"
      "  }}\n"
      "}}\n",
      network.address.to_string(), network.dns_address.to_string(), network.capture_port);
  const auto both = Nftables().run(connections + datagrams);
  if (both) return {};
  auto outcome = Nftables().run(connections);
  if (!outcome) return std::move(outcome).error().context("the pod's rules");
  log::warn("a pod can send UDP to nobody but the DNS server; load the module nft_tproxy",
            {{"pod", network.address.to_string()}, {"why", both.error().message}});
  return {};
}

// Containers may listen on low ports without being root, as containerd allows them to.
void allow_low_ports() {
  const OwnedFd file(::open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC));
  if (file) (void)!::write(file.get(), "0", 1);
}

// With the calling thread inside a new, empty namespace.
Result<void> furnish(const std::string& path, const PodNetwork& network) {
  TRY_VOID(set_up_loopback(network.address));
  TRY_VOID(catch_outgoing(network));
  allow_low_ports();
  if (::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return os_error(errno, "keep the network namespace at " + path);
  }
  return {};
}

}  // namespace

Result<void> make_pod_network(const std::string& path, const PodNetwork& network) {
  TRY_VOID(make_directories(std::filesystem::path(path).parent_path(), 0700));
  const OwnedFd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return os_error(errno, "make " + path);
  const OwnedFd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) return os_error(errno, "opening our own network namespace");
  if (::unshare(CLONE_NEWNET) != 0) return os_error(errno, "make a network namespace");
  auto outcome = furnish(path, network);
  CHECK(::setns(home.get(), CLONE_NEWNET) == 0);
  if (!outcome) (void)remove_pod_network(path).has_value();
  return outcome;
}

bool is_pod_network(const std::string& path) {
  struct statfs status{};
  return ::statfs(path.c_str(), &status) == 0 && status.f_type == NSFS_MAGIC;
}

Result<void> remove_pod_network(const std::string& path) {
  while (is_pod_network(path)) {
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      return os_error(errno, "unmount " + path);
    }
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os_error(errno, "remove " + path);
  return {};
}

Result<IpAddress> AddressPool::take() {
  // Not the network's own, not the gateway's by custom, not the broadcast address.
  constexpr std::uint64_t kFirst = 2;
  const std::uint64_t count = network_.size() < 4 ? 0 : network_.size() - kFirst - 1;
  for (std::uint64_t tried = 0; tried < count; ++tried) {
    const IpAddress address = network_.at(kFirst + next_);
    next_ = (next_ + 1) % count;
    if (used_.insert(address).second) return address;
  }
  return failf(Code::exhausted, "no address of {} is free", network_.to_string());
}

}  // namespace tulle::node
