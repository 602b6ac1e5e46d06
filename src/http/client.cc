#include "http/client.h"

#include "rt/combine.h"

#include <utility>

namespace tulle::http {

namespace {

// RFC 9110 §9.2.2.
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

// Whether a request that failed on this connection may go once more.
bool may_retry(const ClientConnection& connection, std::string_view method) {
  if (!connection.reused() || connection.response_started()) return false;
  return connection.request_progress() == RequestProgress::unsent || is_idempotent(method);
}

}  // namespace

StreamedResponse::~StreamedResponse() {
  if (connection_) client_->pool_.put(0, std::move(connection_));
}

Client::Client(rt::Loop& loop, net::Network& network, Options options)
    : loop_(loop), network_(network), options_(std::move(options)), pool_(loop, options_.pool) {}

rt::Task<Result<std::unique_ptr<net::Stream>>> Client::connect_stream() {
  auto opened = options_.unix_path.empty() ? network_.connect({.to = options_.address})
                                           : network_.connect_unix(options_.unix_path);
  CO_TRY(auto stream, co_await std::move(opened));
  if (!options_.tls) co_return stream;
  std::string name =
      options_.server_name.empty() ? options_.address.ip.to_string() : options_.server_name;
  CO_TRY(auto secured,
         co_await net::tls_connect(loop_, std::move(stream), options_.tls, std::move(name)));
  co_return std::unique_ptr<net::Stream>(std::move(secured));
}

rt::Task<Result<std::unique_ptr<ClientConnection>>> Client::connect() {
  CO_TRY(auto stream, co_await rt::with_deadline(loop_, loop_.now() + options_.connect_timeout,
                                                 connect_stream()));
  co_return std::make_unique<ClientConnection>(loop_, std::move(stream));
}

rt::Task<Result<StreamedResponse>> Client::open(codec::RequestHead head, std::string body) {
  if (!head.headers.contains("host")) {
    if (!options_.host.empty()) {
      head.headers.append("Host", options_.host);
    } else {
      head.headers.append("Host",
                          options_.unix_path.empty() ? options_.address.to_string() : "localhost");
    }
  }
  for (bool fresh_only = false;;) {
    auto sent = body.empty() ? nullptr : std::make_unique<StringBody>(body);
    auto connection = fresh_only ? nullptr : pool_.take(0);
    if (!connection) {
      CO_TRY(connection, co_await connect());
    }
    const Instant deadline = options_.response_timeout == Duration::zero()
                                 ? kNever
                                 : loop_.now() + options_.response_timeout;
    auto response = co_await connection->exchange(head, sent.get(), {.deadline = deadline});
    if (response) {
      co_return StreamedResponse(*this, std::move(connection), std::move(sent), *response);
    }
    if (!may_retry(*connection, head.method)) co_return std::move(response).error();
    fresh_only = true;
  }
}

rt::Task<Result<Reply>> Client::request(codec::RequestHead head, std::string body,
                                        std::size_t body_bytes_max) {
  CO_TRY(auto response, co_await open(std::move(head), std::move(body)));
  CO_TRY(auto bytes, co_await read_all(response.body(), body_bytes_max));
  co_return Reply{.head = std::move(response.head()), .body = std::move(bytes)};
}

rt::Task<Result<Reply>> Client::get(std::string target) {
  return request({.method = "GET", .target = std::move(target), .headers = {}});
}

rt::Task<Result<Reply>> Client::post(std::string target, std::string content_type,
                                     std::string body) {
  return request(
      {.method = "POST", .target = std::move(target), .headers = {{"Content-Type", content_type}}},
      std::move(body));
}

}  // namespace tulle::http
