#include "node/archive_layer.h"

#include "base/format.h"
#include "node/archive_layer_writer.h"
#include "node/digest.h"
#include "node/image_files.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include <array>
#include <cerrno>

namespace tulle::node {
namespace {

constexpr std::size_t block_size = 64 * 1024;

// The layer's bytes with their compression undone, hashed as they pass.
struct LayerStream {
  ArchiveReader source;
  Sha256 hash;
  std::uint64_t bytes_left;
  std::array<char, block_size> buffer;
};

// Headers and padding come on top of the contents.
std::uint64_t stream_bytes_max(ArchiveLimits limits) {
  return limits.bytes_max + limits.entries_max * 2048 + block_size;
}

la_ssize_t read_stream(archive* tar, void* client, const void** data) {
  auto& stream = *static_cast<LayerStream*>(client);
  *data = stream.buffer.data();
  const la_ssize_t count =
      archive_read_data(stream.source.get(), stream.buffer.data(), stream.buffer.size());
  if (count < 0) {
    const char* text = archive_error_string(stream.source.get());
    archive_set_error(tar, EILSEQ, "%s", text != nullptr ? text : "unreadable");
    return ARCHIVE_FATAL;
  }
  const auto size = static_cast<std::size_t>(count);
  if (size > stream.bytes_left) {
    archive_set_error(tar, EILSEQ, "larger than the limit");
    return ARCHIVE_FATAL;
  }
  stream.bytes_left -= size;
  stream.hash.update({stream.buffer.data(), size});
  return count;
}

// The digest is of the whole stream; the tar reader stops at the end mark within it.
Result<void> read_to_end(archive* tar, LayerStream& stream) {
  while (true) {
    const void* data = nullptr;
    const la_ssize_t count = read_stream(tar, &stream, &data);
    if (count == 0) return {};
    if (count < 0) return archive_failure(tar);
  }
}

}  // namespace

Result<UnpackedLayer> unpack_layer(const std::string& tar, const std::string& target,
                                   ArchiveLimits limits) {
  const OwnedFd fd(::open(tar.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return os_error(errno, fmt::format("open {}", tar));
  TRY(OwnedFd root, open_directory(target));

  auto stream = std::make_unique<LayerStream>();
  stream->source = new_stream_reader();
  stream->bytes_left = stream_bytes_max(limits);
  if (archive_read_open_fd(stream->source.get(), fd.get(), block_size) != ARCHIVE_OK) {
    return archive_failure(stream->source.get());
  }
  TRY(archive_entry * whole, next_entry(stream->source.get()));
  LayerWriter writer(std::move(root), limits);
  if (whole != nullptr) {
    const ArchiveReader reader = new_tar_reader();
    if (archive_read_open(reader.get(), stream.get(), nullptr, read_stream, nullptr) !=
        ARCHIVE_OK) {
      return archive_failure(reader.get());
    }
    while (true) {
      TRY(archive_entry * entry, next_entry(reader.get()));
      if (entry == nullptr) break;
      TRY_VOID(writer.add(reader.get(), entry));
    }
    TRY_VOID(read_to_end(reader.get(), *stream));
  }
  return UnpackedLayer{.diff_digest = stream->hash.finish(), .size = writer.size()};
}

}  // namespace tulle::node
