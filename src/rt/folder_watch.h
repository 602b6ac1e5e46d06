// Tells when files of folders change, through inotify(7).
#pragma once

#include "base/result.h"
#include "rt/epoll_driver.h"
#include "rt/task.h"
#include "rt/watched_event.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::rt {

class FolderWatch final {
 public:
  // Both references must outlive it. The error names the folder that cannot be watched.
  static Result<std::unique_ptr<FolderWatch>> open(Loop& loop, EpollDriver& driver,
                                                   const std::vector<std::string>& folders);

  // Until a file in one of the folders was written and closed, moved or removed since the last
  // call, or since open(): several changes at once are told once. Also when the folder itself is
  // removed; what comes in its place is not seen.
  Task<void> changed();

 private:
  FolderWatch(Loop& loop, EpollDriver& driver, OwnedFd fd) : event_(loop, driver, std::move(fd)) {}

  WatchedEvent event_;
};

}  // namespace tulle::rt
