// The places of one instance: everything lies under its data directory.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"

#include <string>

namespace tulle::app {

inline constexpr const char* kDefaultDataDir = "/var/lib/tulle";

struct Instance {
  std::string data_dir;

  std::string kubeconfig() const { return data_dir + "/kubeconfig"; }
  std::string store() const { return data_dir + "/store.db"; }
  std::string images() const { return data_dir + "/images"; }
  std::string pki() const { return data_dir + "/pki"; }
  std::string run() const { return data_dir + "/run"; }
  std::string proxy_kubeconfig() const { return run() + "/proxy.kubeconfig"; }
  std::string handover_socket() const { return run() + "/proxy.sock"; }
  std::string supervisor_socket() const { return run() + "/supervisor.sock"; }
  std::string admin_socket() const { return run() + "/admin.sock"; }
};

// The host's name in lower case: what the node of an instance is called.
std::string host_name();

// Makes the directories (mode 0700) and takes the lock that only one instance may hold. The lock
// lasts as long as the descriptor. Code::already_exists when another tulle has it.
Result<OwnedFd> claim(const Instance& instance);

// Writes a file as a whole, mode 0600: a reader sees the old text or the new.
Result<void> write_file(const std::string& path, const std::string& text);
Result<std::string> read_file(const std::string& path);

}  // namespace tulle::app
