#include "fastpath/fast_path.h"

#include "base/format.h"
#include "fastpath/object.h"
#include "net/loopback_pair.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cerrno>
#include <fstream>
#include <map>
#include <mutex>
#include <vector>

namespace tulle::fastpath {

static_assert(kTcpBehindMin == net::kJoinedUnreadMin);

namespace {

constexpr int kNetnsCookie = 71;  // SO_NETNS_COOKIE, which Debian 12's libc does not name

// Where cgroup v2 is mounted, of the lines of proc_pid_mountinfo(5).
Result<std::string> find_cgroup() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (!line.contains(" - cgroup2 ")) continue;
    std::size_t start = 0;
    for (int field = 0; field < 4; ++field) start = line.find(' ', start) + 1;
    return line.substr(start, line.find(' ', start) - start);
  }
  return fail(Code::unsupported, "cgroup v2 is not mounted");
}

Error load_error(int number) {
  if (number == EPERM || number == EACCES) {
    return {.code = Code::permission_denied,
            .message = "it needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
            .os_error = number};
  }
  return os_error(number, "this kernel does not take the program");
}

Result<Door> door_of(int fd, bool captured) {
  Door door{};
  socklen_t size = sizeof door.netns;
  if (::getsockopt(fd, SOL_SOCKET, kNetnsCookie, &door.netns, &size) != 0) {
    return os_error(errno, "the namespace's cookie");
  }
  if (captured) return door;
  sockaddr_in at{};
  size = sizeof at;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    return os_error(errno, "getsockname");
  }
  if (at.sin_family != AF_INET) return fail(Code::unsupported, "only IPv4 listeners are joined");
  door.ip = at.sin_addr.s_addr;
  door.port = ntohs(at.sin_port);
  return door;
}

}  // namespace

// The doors that the kernel's program knows, each as often as there are listeners for it.
class FastPath::Doors final {
 public:
  explicit Doors(int map) : map_(map) {}

  bool open(const Door& door) {
    const std::lock_guard lock(mutex_);
    const std::uint32_t value = 1;
    if (::bpf_map_update_elem(map_, &door, &value, BPF_ANY) != 0) return false;
    ++listeners_[key(door)];
    return true;
  }

  void close(const Door& door) {
    const std::lock_guard lock(mutex_);
    const auto found = listeners_.find(key(door));
    if (--found->second > 0) return;
    listeners_.erase(found);
    ::bpf_map_delete_elem(map_, &door);
  }

 private:
  using Key = std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>;
  static Key key(const Door& door) { return {door.netns, door.ip, door.port}; }

  const int map_;
  std::mutex mutex_;
  std::map<Key, int> listeners_;
};

FastPath::FastPath() = default;

FastPath::~FastPath() {
  ::bpf_link__destroy(link_);
  ::bpf_object__close(object_);
}

Result<std::unique_ptr<FastPath>> FastPath::load() {
  // What libbpf would print is for who wrote the program; who runs it gets one sentence.
  ::libbpf_set_print(nullptr);
  std::unique_ptr<FastPath> made(new FastPath);
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "tulle";
  made->object_ = ::bpf_object__open_mem(object, object_size, &options);
  if (made->object_ == nullptr) return load_error(errno);
  if (const int result = ::bpf_object__load(made->object_); result != 0) return load_error(-result);
  made->members_ = made->map("members");
  made->counts_ = made->map("counts");
  made->doors_ = std::make_unique<Doors>(made->map("doors"));
  TRY_VOID(made->shut_one());
  TRY_VOID(made->attach());
  return made;
}

int FastPath::map(const char* name) const {
  return ::bpf_object__find_map_fd_by_name(object_, name);
}

Result<void> FastPath::attach() {
  const bpf_program* deliver = ::bpf_object__find_program_by_name(object_, "deliver");
  if (::bpf_prog_attach(::bpf_program__fd(deliver), map("sockets"), BPF_SK_MSG_VERDICT, 0) != 0) {
    return load_error(errno);
  }
  TRY(const std::string path, find_cgroup());
  const OwnedFd cgroup(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup) return os_error(errno, "opening " + path);
  link_ = ::bpf_program__attach_cgroup(::bpf_object__find_program_by_name(object_, "follow"),
                                       cgroup.get());
  if (link_ == nullptr) return os_error(errno, "attaching to the cgroup " + path);
  return {};
}

// Makes the socket that whatever is sent into fails.
Result<void> FastPath::shut_one() {
  TRY(auto pair, net::make_loopback_pair([](int) {}));
  shut_ = std::move(pair.client);
  shut_peer_ = std::move(pair.server);
  const std::uint32_t index = 0;
  const std::uint64_t fd = static_cast<std::uint64_t>(shut_.get());
  if (::bpf_map_update_elem(map("shut"), &index, &fd, BPF_ANY) != 0) return load_error(errno);
  if (::shutdown(shut_.get(), SHUT_WR) != 0) return os_error(errno, "shutdown");
  return {};
}

void FastPath::claim(int fd) const {
  Member member{};
  member.own = 1;
  // Without room for it the socket is a stranger's, and never joined.
  (void)::bpf_map_update_elem(members_, &fd, &member, BPF_ANY);
}

net::SocketHooks FastPath::hooks() {
  return {.connecting = [this](int fd) { claim(fd); },
          .listening = [this](int fd, bool captured) -> std::shared_ptr<void> {
            const auto door = door_of(fd, captured);
            if (!door || !doors_->open(*door)) return nullptr;
            claim(fd);
            return {static_cast<void*>(doors_.get()),
                    [doors = doors_.get(), at = *door](void*) { doors->close(at); }};
          }};
}

Counts FastPath::counts() const {
  std::vector<std::uint64_t> by_cpu(static_cast<std::size_t>(::libbpf_num_possible_cpus()));
  const auto sum = [this, &by_cpu](std::uint32_t which) {
    std::uint64_t total = 0;
    if (::bpf_map_lookup_elem(counts_, &which, by_cpu.data()) != 0) return total;
    for (const std::uint64_t count : by_cpu) total += count;
    return total;
  };
  return {.sockets = sum(kJoined),
          .messages = sum(kMessages),
          .bytes = sum(kBytes),
          .held_back = sum(kHeldBack),
          .not_joined = sum(kNotJoined)};
}

}  // namespace tulle::fastpath
