// Whatever arrives: the same events however it is cut, and what was parsed encodes to something
// that parses to the same.
#include "base/check.h"
#include "codec/http1.h"
#include "codec/http1_transcript.h"

#include <cstddef>
#include <cstdint>

namespace tulle::codec::http1_fuzz {

// Small, so that inputs of a few hundred bytes reach every limit.
constexpr Http1Limits limits = {.method_bytes_max = 8,
                                .target_bytes_max = 64,
                                .head_bytes_max = 512,
                                .fields_max = 8,
                                .trailer_bytes_max = 64,
                                .chunk_extension_bytes_max = 16};

void check_round_trip(std::string_view wire) {
  RequestHead request;
  if (RequestParser().parse(wire, request).outcome == HeadResult::Outcome::complete) {
    std::string out;
    append_request_head(out, request);
    RequestHead again;
    const HeadResult result = RequestParser().parse(out, again);
    CHECK(result.outcome == HeadResult::Outcome::complete && result.consumed == out.size());
    request.minor_version = std::min(request.minor_version, 1);
    CHECK(request == again);
  }
  ResponseHead response;
  if (ResponseParser().parse(wire, response).outcome == HeadResult::Outcome::complete) {
    std::string out;
    append_response_head(out, response);
    ResponseHead again;
    const HeadResult result = ResponseParser().parse(out, again);
    CHECK(result.outcome == HeadResult::Outcome::complete && result.consumed == out.size());
    CHECK(response.headers == again.headers && response.status == again.status);
  }
}

void check_hop_by_hop(std::string_view wire) {
  RequestHead head;
  if (RequestParser().parse(wire, head).outcome != HeadResult::Outcome::complete) return;
  remove_hop_by_hop(head.headers);
  CHECK(!head.headers.contains("connection") && !head.headers.contains("transfer-encoding"));
}

}  // namespace tulle::codec::http1_fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  const Http1Limits& limits = http1_fuzz::limits;
  const std::string requests = Http1Transcript(wire, size + 1, limits).requests();
  CHECK(requests == Http1Transcript(wire, 1, limits).requests());
  CHECK(requests == Http1Transcript(wire, 7, limits).requests());
  const std::string responses = Http1Transcript(wire, size + 1, limits).responses("GET");
  CHECK(responses == Http1Transcript(wire, 1, limits).responses("GET"));
  http1_fuzz::check_round_trip(wire);
  http1_fuzz::check_hop_by_hop(wire);
  return 0;
}
