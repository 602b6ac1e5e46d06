#include "node/image_skopeo.h"

#include "base/format.h"
#include "base/owned_fd.h"
#include "node/image_files.h"
#include "node/image_manifest.h"
#include "rt/process.h"

#include <fcntl.h>

#include <cerrno>
#include <csignal>

namespace tulle::node {
namespace {

constexpr std::uint64_t message_bytes_max = 64 * 1024;

rt::Task<void> reap(std::unique_ptr<rt::Process> process) {
  (void)(co_await process->exited()).has_value();
}

// Ends the process with it, unless that has ended.
class Running final {
 public:
  Running(std::unique_ptr<rt::Process> process, rt::Scope& reaping)
      : process_(std::move(process)), reaping_(reaping) {}
  ~Running() {
    if (ended_) return;
    ::kill(-process_->pid(), SIGKILL);
    reaping_.spawn(reap(std::move(process_)));
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  rt::Task<Result<rt::ExitStatus>> exited() {
    auto status = co_await process_->exited();
    ended_ = true;
    co_return status;
  }

 private:
  std::unique_ptr<rt::Process> process_;
  rt::Scope& reaping_;
  bool ended_ = false;
};

Result<OwnedFd> create(const std::string& path) {
  OwnedFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return os_error(errno, "create " + path);
  return fd;
}

// The last line, and of one in logfmt only its `msg`.
std::string last_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (const std::size_t line = text.rfind('\n'); line != std::string_view::npos) {
    text.remove_prefix(line + 1);
  }
  constexpr std::string_view mark = "msg=\"";
  const std::size_t message = text.find(mark);
  if (message == std::string_view::npos || !text.ends_with('"')) return std::string(text);
  text.remove_prefix(message + mark.size());
  text.remove_suffix(1);
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

// Whatever went wrong with a registry, skopeo speaks of the image's name first.
std::string last_words(std::string_view text) {
  std::string words = last_line(text);
  for (const std::string_view opening :
       {"Error parsing image name \"", "initializing source ", "Error initializing source "}) {
    if (!words.starts_with(opening)) continue;
    const std::size_t end = words.find(": ", opening.size());
    if (end != std::string::npos) words.erase(0, end + 2);
  }
  return words.empty() ? "skopeo failed without a word" : words;
}

// skopeo takes a tag or a digest, not both; the digest says more.
std::string address_of(const ImageReference& reference) {
  const std::string name = fmt::format("docker://{}/{}", reference.registry, reference.repository);
  if (!reference.digest.empty()) return name + '@' + reference.digest;
  return name + ':' + reference.tag;
}

// Registries of this machine may do without TLS, as Docker and containerd have it.
bool is_on_this_machine(std::string_view registry) {
  const std::string_view host = registry.substr(0, registry.rfind(':'));
  return host == "localhost" || host.starts_with("127.");
}

}  // namespace

Skopeo::Skopeo(rt::Loop& loop, rt::EpollDriver& driver, std::string program)
    : loop_(loop), driver_(driver), program_(std::move(program)), reaping_(loop) {}

rt::Task<Result<std::string>> Skopeo::manifest(SkopeoSource source) {
  co_return co_await run(source, {"inspect", "--raw", address_of(source.reference)});
}

rt::Task<Result<std::string>> Skopeo::configuration(SkopeoSource source) {
  co_return co_await run(source, {"inspect", "--raw", "--config", address_of(source.reference)});
}

rt::Task<Result<void>> Skopeo::fetch(SkopeoSource source) {
  // Names within the folder, because a ':' in its path would mean something else.
  auto done = co_await run(
      source, {"copy", "--dest-oci-accept-uncompressed-layers", "--dest-shared-blob-dir", "blobs",
               address_of(source.reference), "oci:image:pulled"});
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

// What it printed. It writes to files, so that no pipe has to be emptied.
rt::Task<Result<std::string>> Skopeo::run(const SkopeoSource& source,
                                          std::vector<std::string> arguments) {
  const std::string command = arguments.front();
  std::vector<std::string> options;
  if (!source.auth_file.empty()) options = {"--authfile", source.auth_file};
  if (is_on_this_machine(source.reference.registry)) {
    options.emplace_back(command == "copy" ? "--src-tls-verify=false" : "--tls-verify=false");
  }
  arguments.insert(arguments.begin() + 1, options.begin(), options.end());
  arguments.insert(arguments.begin(), {program_, "--override-os", "linux"});

  const std::string out_path = source.folder + "/out";
  const std::string err_path = source.folder + "/err";
  CO_TRY(OwnedFd out, create(out_path));
  CO_TRY(OwnedFd err, create(err_path));
  auto process = rt::Process::spawn(
      loop_, driver_,
      {.arguments = std::move(arguments),
       .directory = source.folder,
       .descriptors = {{.child = 1, .ours = out.get()}, {.child = 2, .ours = err.get()}},
       .die_with_parent = true,
       .own_process_group = true});
  if (!process && process.error().os_error == ENOENT) {
    co_return fail(Code::unsupported,
                   "skopeo is not installed, which talks to registries; install it (apt install "
                   "skopeo)");
  }
  if (!process) co_return std::move(process).error();
  Running running(*std::move(process), reaping_);
  CO_TRY(const rt::ExitStatus status, co_await running.exited());
  if (!status.success()) {
    const auto text = read_small_file(err_path, message_bytes_max);
    co_return fail(Code::unavailable, last_words(text.value_or("")));
  }
  co_return read_small_file(out_path, image_document_bytes_max);
}

}  // namespace tulle::node
