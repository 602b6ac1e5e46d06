// Messages with file descriptors over a Unix socket (SOCK_SEQPACKET): how the node agent hands a
// pod's namespace to the proxy, and the proxy its listeners to the supervisor.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "rt/epoll_driver.h"
#include "rt/task.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::net {

inline constexpr std::size_t kFdMessageBytesMax = 64 * 1024;
inline constexpr std::size_t kFdMessageFdsMax = 16;

struct FdMessage {
  std::string bytes;
  std::vector<OwnedFd> fds = {};
};

class FdChannel final {
 public:
  static Result<std::unique_ptr<FdChannel>> connect(rt::Loop& loop, rt::EpollDriver& driver,
                                                    const std::string& path);
  static Result<std::unique_ptr<FdChannel>> adopt(rt::Loop& loop, rt::EpollDriver& driver,
                                                  OwnedFd fd);
  ~FdChannel();

  int fd() const;
  rt::Task<Result<void>> send(FdMessage message);
  // Code::closed when the other side is gone.
  rt::Task<Result<FdMessage>> receive();

 private:
  struct State;
  explicit FdChannel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class FdChannelListener final {
 public:
  // Replaces a stale socket file.
  static Result<std::unique_ptr<FdChannelListener>> listen(rt::Loop& loop, rt::EpollDriver& driver,
                                                           const std::string& path);
  ~FdChannelListener();
  rt::Task<Result<std::unique_ptr<FdChannel>>> accept();

 private:
  struct State;
  explicit FdChannelListener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tulle::net
