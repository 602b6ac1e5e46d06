#include "rt/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace tulle::rt {

namespace {

// Not IN_CREATE: what has just been made has nothing to read yet.
constexpr std::uint32_t kChanges =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF;
constexpr std::size_t kEventsBytes = 4096;

}  // namespace

Result<std::unique_ptr<FolderWatch>> FolderWatch::open(Loop& loop, EpollDriver& driver,
                                                       const std::vector<std::string>& folders) {
  OwnedFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return os_error(errno, "inotify");
  for (const std::string& folder : folders) {
    if (::inotify_add_watch(fd.get(), folder.c_str(), kChanges) < 0) {
      return os_error(errno, "watching " + folder);
    }
  }
  std::unique_ptr<FolderWatch> watch(new FolderWatch(loop, driver, std::move(fd)));
  TRY_VOID(watch->event_.start());
  return watch;
}

Task<void> FolderWatch::changed() {
  for (bool any = false;;) {
    alignas(inotify_event) std::array<char, kEventsBytes> events;
    while (::read(event_.fd.get(), events.data(), events.size()) > 0) any = true;
    if (any) co_return;
    co_await wait_on(event_.happened);
  }
}

}  // namespace tulle::rt
