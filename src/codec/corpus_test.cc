// Replays every seed of the corpora through its fuzz target, so that what a fuzzer once found is
// found again by each test run.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

// Each target defines the entry point that libFuzzer calls; here each gets a name of its own.
#define LLVMFuzzerTestOneInput fuzz_http1
#include "codec/http1_fuzz.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_websocket
#include "codec/websocket_fuzz.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_dns
#include "codec/dns_fuzz.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_json
#include "codec/json_fuzz.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_yaml
#include "codec/yaml_fuzz.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_url
#include "codec/url_fuzz.cc"
#undef LLVMFuzzerTestOneInput

namespace {

using Target = int (*)(const std::uint8_t*, std::size_t);

std::size_t replay(const std::filesystem::path& folder, Target target) {
  std::size_t seeds = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    target(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++seeds;
  }
  return seeds;
}

TEST(Corpus, passes_every_fuzz_target) {
  // Beside this file, wherever the tests run from.
  const auto corpus = std::filesystem::path(__FILE__).parent_path() / "corpus";
  const struct {
    const char* folder;
    Target target;
  } rows[] = {{"http1", fuzz_http1}, {"websocket", fuzz_websocket}, {"dns", fuzz_dns},
              {"json", fuzz_json},   {"yaml", fuzz_yaml},           {"url", fuzz_url}};
  for (const auto& row : rows) EXPECT_GT(replay(corpus / row.folder, row.target), 2U) << row.folder;
}

}  // namespace
