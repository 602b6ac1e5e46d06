// Any bytes, as a server and as a client reads them: nothing breaks, and the events are the same
// however the input was cut.
#include "codec/http2.h"

#include "base/check.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace tulle::codec {
namespace {

// Answers every request, and writes down what it is told.
class Peer final : public Http2Events {
 public:
  explicit Peer(Http2Session::Role role)
      : session_(role, {.websockets = true}, *this), role_(role) {
    if (role == Http2Session::Role::client) {
      const RequestHead head{.method = "GET", .target = "/", .headers = {{"host", "test"}}};
      CHECK(session_.request(head, false).has_value());
    }
    drain();
  }

  void receive(std::string_view bytes) {
    if (failed_) return;
    failed_ = !session_.receive(bytes).has_value();
    drain();
    erred_ = erred_ || failed_;
  }
  bool erred() const { return erred_; }
  const std::string& transcript() const { return transcript_; }

  void on_head(std::int32_t stream, Http2Fields& fields, bool end) override {
    note(stream, end ? "head and end " : "head ");
    for (const auto [name, value] : fields.headers) transcript_.append(name).append(value);
    if (role_ == Http2Session::Role::client) return;
    const auto head = http1_head(fields);
    if (head) CHECK(is_token(head->method) && !head->target.empty());
    session_.respond(stream, {.status = head ? 200 : 400}, true);
  }
  // Pieces of a cut frame come apart: their bytes count.
  void on_data(std::int32_t stream, std::string_view data) override {
    data_bytes_ += data.size();
    session_.consume(stream, data.size());
  }
  void on_trailers(std::int32_t stream, Headers& trailers) override {
    note(stream, "trailers");
    transcript_ += std::to_string(trailers.byte_size());
  }
  void on_end(std::int32_t stream) override {
    note(stream, "end");
    transcript_ += std::to_string(data_bytes_);
  }
  void on_closed(std::int32_t stream, std::uint32_t error) override {
    note(stream, "closed");
    erred_ = erred_ || error != 0;
  }
  void on_settings() override { static_cast<void>(session_.peer_takes_websockets()); }
  Http2Piece on_pull(std::int32_t, std::span<char> buffer) override {
    const std::size_t size = std::min<std::size_t>(buffer.size(), 5);
    std::fill_n(buffer.begin(), size, 'x');
    return {.size = size, .end = true};
  }

 private:
  void note(std::int32_t stream, std::string_view what) {
    transcript_.append("\n").append(std::to_string(stream)).append(" ").append(what);
  }
  void drain() {
    std::string out;
    session_.produce(out, 1 << 20);
  }

  Http2Session session_;
  const Http2Session::Role role_;
  std::string transcript_;
  std::uint64_t data_bytes_ = 0;
  bool failed_ = false;
  bool erred_ = false;
};

void check(Http2Session::Role role, std::string_view bytes) {
  Peer whole(role);
  whole.receive(bytes);
  Peer cut(role);
  for (std::size_t i = 0; i < bytes.size(); ++i) cut.receive(bytes.substr(i, 1));
  // What is told after an error depends on when our RST_STREAM goes out, and so does what a server
  // hears that answers meanwhile.
  const bool comparable = role == Http2Session::Role::client && !whole.erred() && !cut.erred();
  if (comparable) CHECK(whole.transcript() == cut.transcript());
}

}  // namespace
}  // namespace tulle::codec

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tulle::codec::Http2Session;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  tulle::codec::check(Http2Session::Role::client, bytes);
  tulle::codec::check(Http2Session::Role::server, bytes);
  tulle::codec::check(Http2Session::Role::server, std::string(tulle::codec::http2_preface) + bytes);
  return 0;
}
