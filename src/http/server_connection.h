// One connection of a server: the state that its loop (server_connection.cc) and the Exchange
// (exchange.cc) share. Internal to http.
#pragma once

#include "codec/http1.h"
#include "http/body_reader.h"
#include "http/read_buffer.h"
#include "http/server.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::http {

// The status for a request whose body could not be read.
int body_failure_status(Code code);
// The body of a refusal: status, phrase and reason.
std::string refusal_text(int status, std::string_view why);

inline constexpr std::string_view continue_response = "HTTP/1.1 100 Continue\r\n\r\n";

class ServerConnection final {
 public:
  ServerConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream, Handler& handler,
                   const ServerOptions& options, const ConnectionContext& context);
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

  rt::Task<void> serve();

 private:
  class RequestBody final : public Body {
   public:
    explicit RequestBody(ServerConnection& connection) : connection_(connection) {}
    rt::Task<Result<std::string_view>> read() override;
    std::optional<std::uint64_t> length() const override { return connection_.reader_.length(); }
    const codec::Headers* trailers() const override { return connection_.reader_.trailers(); }

   private:
    ServerConnection& connection_;
  };

  class Http1Exchange final : public Exchange {
   public:
    explicit Http1Exchange(ServerConnection& connection) : connection_(connection) {}
    using Exchange::send;
    rt::Task<Result<void>> send(const codec::ResponseHead& head,
                                std::span<const std::string_view> body) override;
    rt::Task<Result<void>> start(const codec::ResponseHead& head, Flush flush) override;
    rt::Task<Result<void>> write(std::span<const std::string_view> pieces) override;
    rt::Task<Result<void>> finish(const codec::Headers* trailers) override;
    void abort() override;
    rt::Task<Result<std::unique_ptr<net::Stream>>> upgrade(
        const codec::ResponseHead& head) override;
    rt::Task<void> client_gone() override;
    void send_interim(const codec::ResponseHead& head) override;
    bool started() const override;
    std::uint64_t body_bytes_sent() const override;

   private:
    ServerConnection& connection_;
  };

  // How far the response is.
  enum class Phase : std::uint8_t {
    waiting,    // no head yet
    streaming,  // start() was called
    finished,
    upgraded,  // the stream is somebody else's
    failed,    // the response is broken, and so is the connection
  };
  // How the response's body is framed.
  enum class Framing : std::uint8_t { none, length, chunked, until_close };

  // The loop. What is seldom needed is kept out of the frame of what is always there.
  [[gnu::noinline]] rt::Task<void> serve_http2();
  codec::HeadResult parse_head();
  void begin_exchange();
  Signal* called_off();
  Instant head_deadline();
  [[gnu::noinline]] rt::Task<void> end_of_input(Result<std::size_t> outcome);
  rt::Task<bool> end_exchange();
  [[gnu::noinline]] rt::Task<void> refuse(int status, std::string_view why);
  [[gnu::noinline]] rt::Task<void> answer_for_handler();
  [[gnu::noinline]] rt::Task<bool> skip_body();
  [[gnu::noinline]] rt::Task<void> linger();
  bool draining() const {
    return (drain_ != nullptr && drain_->requested()) || (idle_ != nullptr && idle_->ending());
  }

  // For the Exchange: the head and body pieces are put into pieces_, flush() writes them.
  void prepare_whole(const codec::ResponseHead& head, std::span<const std::string_view> body);
  void prepare_start(const codec::ResponseHead& head);
  void prepare_pieces(std::span<const std::string_view> pieces);
  void prepare_end(const codec::Headers* trailers);
  void encode_head(const codec::ResponseHead& head, std::optional<std::uint64_t> length);
  bool body_allowed(int status) const;
  void decide_close(const codec::ResponseHead& head);
  rt::Task<Result<void>> flush(Phase then);
  bool may_push_interim() const {
    return !interim_left_.empty() && phase_ == Phase::waiting && !writing_;
  }
  void push_interim();
  rt::Task<Result<std::unique_ptr<net::Stream>>> upgrade();
  rt::Task<void> client_gone();
  rt::Task<void> half_closed_client_gone();
  std::string_view date();

  // Of an idle connection: it has to go.
  class Eviction final : public rt::Runnable {
   public:
    explicit Eviction(ServerConnection& connection) : connection_(connection) {}
    void run() override { connection_.evicted_.raise(); }

   private:
    ServerConnection& connection_;
  };

  rt::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  Handler& handler_;
  const ServerOptions& options_;
  Drain* const drain_;
  IdleList* const idle_;
  Signal evicted_;
  Eviction eviction_{*this};

  ReadBuffer buffer_;
  bool input_ended_ = false;
  bool input_reset_ = false;  // it ended by an error
  codec::RequestParser parser_;
  bool may_be_http2_ = true;           // no head was read yet
  std::optional<Instant> head_began_;  // when the first byte of a head was seen

  BodyReader reader_;
  RequestBody body_{*this};
  bool body_end_given_ = true;  // the handler has seen the end: the buffer is ours again
  bool continue_due_ = false;   // the client waits for a 100
  std::string interim_left_;    // of 1xx, not written yet
  rt::WaitList body_end_;

  Request request_;
  Http1Exchange exchange_{*this};
  Phase phase_ = Phase::waiting;
  Framing framing_ = Framing::none;
  bool head_only_ = false;    // HEAD
  int minor_version_ = 1;     // of the request
  bool close_after_ = false;  // this exchange is the last
  bool writing_ = false;      // a write was begun; still so afterwards if it was dropped
  std::uint64_t length_left_ = 0;
  std::uint64_t body_bytes_sent_ = 0;

  codec::ResponseHead scratch_;
  std::string out_;  // head and chunk framing not written yet
  std::vector<std::string_view> pieces_;
  rt::WaitList never_;
  std::string date_;
  std::int64_t date_second_ = 0;
};

}  // namespace tulle::http
