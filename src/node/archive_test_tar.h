// For tests: tar archives written entry by entry, hostile ones too.
#pragma once

#include "base/check.h"
#include "base/format.h"
#include "node/digest.h"

#include <archive.h>
#include <archive_entry.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::node {

enum class TestFilter { none, gzip, zstd };

// A tar in memory. Reads like the layer it makes:
//   TestTar().dir("etc").file("etc/name", "x").link("l", "etc/name").bytes()
class TestTar final {
 public:
  explicit TestTar(TestFilter filter = TestFilter::none) : writer_(archive_write_new()) {
    archive_write_set_format_pax_restricted(writer_.get());
    archive_write_set_bytes_in_last_block(writer_.get(), 1);
    if (filter == TestFilter::gzip) archive_write_add_filter_gzip(writer_.get());
    if (filter == TestFilter::zstd) archive_write_add_filter_zstd(writer_.get());
    const auto write = [](archive*, void* self, const void* data, std::size_t size) {
      static_cast<std::string*>(self)->append(static_cast<const char*>(data), size);
      return static_cast<la_ssize_t>(size);
    };
    CHECK(archive_write_open(writer_.get(), bytes_.get(), nullptr, write, nullptr) == ARCHIVE_OK);
  }

  using Change = std::function<void(archive_entry*)>;

  TestTar& file(const std::string& name, std::string_view contents, const Change& change = {}) {
    add(name, AE_IFREG, 0644, contents, change);
    return *this;
  }
  TestTar& dir(const std::string& name, const Change& change = {}) {
    add(name, AE_IFDIR, 0755, "", change);
    return *this;
  }
  TestTar& link(const std::string& name, const std::string& target) {
    add(name, AE_IFLNK, 0777, "", [&](auto* e) { archive_entry_set_symlink(e, target.c_str()); });
    return *this;
  }
  TestTar& hardlink(const std::string& name, const std::string& target) {
    add(name, AE_IFREG, 0644, "", [&](auto* e) { archive_entry_set_hardlink(e, target.c_str()); });
    return *this;
  }
  TestTar& special(const std::string& name, unsigned type) {
    add(name, type, 0666, "", {});
    return *this;
  }

  std::string bytes() {
    CHECK(archive_write_close(writer_.get()) == ARCHIVE_OK);
    return *bytes_;
  }

 private:
  struct Free {
    void operator()(archive* writer) const { archive_write_free(writer); }
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
  };

  void add(const std::string& name, unsigned type, unsigned mode, std::string_view contents,
           const Change& change) {
    const std::unique_ptr<archive_entry, Free> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), static_cast<__LA_MODE_T>(mode));
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(contents.size()));
    archive_entry_set_mtime(entry.get(), 1'700'000'000, 0);
    if (change) change(entry.get());
    CHECK(archive_write_header(writer_.get(), entry.get()) >= ARCHIVE_WARN);
    if (contents.empty()) return;
    CHECK(archive_write_data(writer_.get(), contents.data(), contents.size()) >= 0);
  }

  std::unique_ptr<std::string> bytes_ = std::make_unique<std::string>();
  std::unique_ptr<archive, Free> writer_;
};

// An image of a test: what docker-archive and OCI layout are made of.
struct TestImage {
  std::vector<std::string> names;
  std::vector<std::string> layers;  // tars, lowermost first
  std::string config = R"("Cmd":["/bin/true"])";
  std::string architecture = "";
  TestFilter layer_filter = TestFilter::none;

  std::string document() const {
    std::string digests;
    for (const auto& layer : layers) {
      digests += (digests.empty() ? "\"" : ",\"") + sha256_digest(layer) + "\"";
    }
    return R"({"os":"linux","architecture":")" + architecture +
           R"(","created":"2026-01-02T03:04:05Z","config":{)" + config +
           R"(},"rootfs":{"type":"layers","diff_ids":[)" + digests + "]}}";
  }
};

inline std::string test_docker_archive(const std::vector<TestImage>& images,
                                       TestFilter filter = TestFilter::none) {
  TestTar tar(filter);
  std::string manifest;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const std::string prefix = "image" + std::to_string(i);
    std::string layers;
    std::string names;
    for (std::size_t j = 0; j < images[i].layers.size(); ++j) {
      const std::string file = prefix + "/" + std::to_string(j) + "/layer.tar";
      tar.file(file, images[i].layers[j]);
      layers += (j > 0 ? ",\"" : "\"") + file + "\"";
    }
    for (const auto& name : images[i].names) names += (names.empty() ? "\"" : ",\"") + name + "\"";
    tar.file(prefix + ".json", images[i].document());
    manifest += fmt::format(R"({}{{"Config":"{}.json","RepoTags":[{}],"Layers":[{}]}})",
                            i > 0 ? "," : "", prefix, names, layers);
  }
  return tar.file("manifest.json", "[" + manifest + "]").bytes();
}

// `ref_name` is what the index's annotation says; layers are compressed with image.layer_filter.
inline std::string test_oci_archive(const TestImage& image, const std::string& ref_name) {
  TestTar tar;
  const auto blob = [&tar](const std::string& bytes) {
    const std::string digest = sha256_digest(bytes);
    tar.file("blobs/sha256/" + digest_hex(digest), bytes);
    return R"({"digest":")" + digest + R"(","size":)" + std::to_string(bytes.size());
  };
  const auto compressed = [&image](const std::string& layer) {
    if (image.layer_filter == TestFilter::none) return layer;
    std::string bytes;
    const std::unique_ptr<archive, int (*)(archive*)> writer(archive_write_new(),
                                                             archive_write_free);
    archive_write_set_format_raw(writer.get());
    if (image.layer_filter == TestFilter::gzip) archive_write_add_filter_gzip(writer.get());
    if (image.layer_filter == TestFilter::zstd) archive_write_add_filter_zstd(writer.get());
    std::vector<char> buffer(layer.size() + 4096);
    std::size_t used = 0;
    CHECK(archive_write_open_memory(writer.get(), buffer.data(), buffer.size(), &used) == 0);
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                         archive_entry_free);
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    CHECK(archive_write_header(writer.get(), entry.get()) == ARCHIVE_OK);
    CHECK(archive_write_data(writer.get(), layer.data(), layer.size()) >= 0);
    CHECK(archive_write_close(writer.get()) == ARCHIVE_OK);
    return std::string(buffer.data(), used);
  };
  std::string layers;
  for (const auto& layer : image.layers) {
    layers += (layers.empty() ? "" : ",") + blob(compressed(layer)) + "}";
  }
  const std::string config = blob(image.document()) + "}";
  const std::string manifest =
      blob(R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + layers + "]}");
  tar.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  tar.file("index.json", R"({"schemaVersion":2,"manifests":[)" + manifest +
                             R"(,"annotations":{"org.opencontainers.image.ref.name":")" + ref_name +
                             R"("}}]})");
  return tar.bytes();
}

}  // namespace tulle::node
