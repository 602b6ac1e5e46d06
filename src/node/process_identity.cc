#include "node/process_identity.h"

#include "node/image_files.h"

#include <fmt/format.h>

#include <charconv>

namespace tulle::node {

namespace {

constexpr std::uint64_t kStatBytesMax = 4096;
// proc_pid_stat(5): the 22nd field, of which the third is the first behind the name in brackets.
constexpr int kStartTimeField = 22;
constexpr int kStateField = 3;

std::string boot_id() {
  const auto text = read_small_file("/proc/sys/kernel/random/boot_id", kStatBytesMax);
  return text ? text->substr(0, text->find('\n')) : "";
}

}  // namespace

std::string identity_of(int pid) {
  const auto text = read_small_file(fmt::format("/proc/{}/stat", pid), kStatBytesMax);
  if (!text) return "";
  std::size_t at = text->rfind(')');
  if (at == std::string::npos || text->compare(at, 3, ") Z") == 0) return "";
  for (int field = kStateField - 1; field < kStartTimeField; ++field) {
    at = text->find(' ', at + 1);
    if (at == std::string::npos) return "";
  }
  return fmt::format("{} {} {}", pid, text->substr(at + 1, text->find(' ', at + 1) - at - 1),
                     boot_id());
}

int running_process(std::string_view identity) {
  int pid = 0;
  std::from_chars(identity.data(), identity.data() + identity.size(), pid);
  return pid > 0 && identity_of(pid) == identity ? pid : 0;
}

}  // namespace tulle::node
