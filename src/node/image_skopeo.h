// Asking registries through skopeo(1), which knows their protocols, and what this machine trusts:
// registries.conf, certs.d, policy.json and the logins of containers-auth.json(5).
#pragma once

#include "base/result.h"
#include "node/image_reference.h"
#include "rt/epoll_driver.h"
#include "rt/scope.h"
#include "rt/task.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::node {

// An image at its registry, and who asks for it.
struct SkopeoSource {
  ImageReference reference;
  std::string folder;     // existing; skopeo works there
  std::string auth_file;  // containers-auth.json(5); empty: the logins of this machine
};

// Dropping a task ends its skopeo, by force. Errors: unsupported when skopeo is not installed,
// unavailable with the last line that it wrote to standard error.
class Skopeo final {
 public:
  // `program` is a path, or a name looked up in PATH. The references must outlive it.
  Skopeo(rt::Loop& loop, rt::EpollDriver& driver, std::string program);

  // The manifest or index that the reference leads to, as the registry has it.
  rt::Task<Result<std::string>> manifest(SkopeoSource source);

  // The configuration of an image. REQUIRES: the reference leads to a manifest.
  rt::Task<Result<std::string>> configuration(SkopeoSource source);

  // Fetches the layers of an image to FOLDER/blobs/sha256/<hex>, byte for byte. One that stands
  // there already is not fetched. What is under way is in FOLDER/image.
  // REQUIRES: the reference leads to a manifest.
  rt::Task<Result<void>> fetch(SkopeoSource source);

 private:
  rt::Task<Result<std::string>> run(const SkopeoSource& source, std::vector<std::string> arguments);

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const std::string program_;
  rt::Scope reaping_;  // what was ended by force
};

}  // namespace tulle::node
