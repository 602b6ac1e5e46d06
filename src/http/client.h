// A client of one server, at an address or a Unix socket, with or without TLS.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "codec/http_message.h"
#include "http/body.h"
#include "http/client_connection.h"
#include "http/pool.h"
#include "net/network.h"
#include "net/tls.h"
#include "rt/task.h"

#include <cstddef>
#include <memory>
#include <string>

namespace tulle::http {

// A whole response.
struct Reply {
  codec::ResponseHead head;
  std::string body;
};

class Client;

// A response whose body is read as it comes. Its connection goes back to the client when the body
// was read to its end, and is closed else. Must not outlive its client.
class StreamedResponse final {
 public:
  StreamedResponse(StreamedResponse&&) = default;
  ~StreamedResponse();

  codec::ResponseHead& head() { return response_.head; }
  Body& body() { return response_.body; }

  // After a 101: the raw stream.
  std::unique_ptr<net::Stream> take_stream() { return connection_->take_stream(); }

 private:
  friend class Client;
  StreamedResponse(Client& client, std::unique_ptr<ClientConnection> connection,
                   std::unique_ptr<StringBody> sent, Response response)
      : client_(&client),
        sent_(std::move(sent)),
        connection_(std::move(connection)),
        response_(response) {}

  Client* client_;
  std::unique_ptr<StringBody> sent_;  // outlives the connection that reads it
  std::unique_ptr<ClientConnection> connection_;
  Response response_;
};

class Client final {
 public:
  struct Options {
    SocketAddress address = {};
    std::string unix_path = {};  // set: used in place of the address
    std::string host = {};       // the Host field; default: the address, or localhost
    std::shared_ptr<const net::TlsContext> tls = nullptr;
    std::string server_name = {};  // what the certificate must say; default: the address's text
    Duration connect_timeout = std::chrono::seconds(10);
    Duration response_timeout = std::chrono::seconds(60);  // until the head; 0: none
    PoolOptions pool = {};
  };

  // `loop` and `network` must outlive the client.
  Client(rt::Loop& loop, net::Network& network, Options options);

  // Host is added where the head has none. A request that is idempotent (RFC 9110 §9.2.2) and fails
  // on a connection that had been idle, before any byte of a response, goes once more on a new
  // one; so does any other of which nothing was sent.
  rt::Task<Result<StreamedResponse>> open(codec::RequestHead head, std::string body = {});

  // Whole responses. Code::exhausted when the body is larger than `body_bytes_max`.
  rt::Task<Result<Reply>> request(codec::RequestHead head, std::string body = {},
                                  std::size_t body_bytes_max = kReplyBytesMax);
  rt::Task<Result<Reply>> get(std::string target);
  rt::Task<Result<Reply>> post(std::string target, std::string content_type, std::string body);

  static constexpr std::size_t kReplyBytesMax = 64 * 1024 * 1024;

 private:
  friend class StreamedResponse;

  rt::Task<Result<std::unique_ptr<ClientConnection>>> connect();
  rt::Task<Result<std::unique_ptr<net::Stream>>> connect_stream();

  rt::Loop& loop_;
  net::Network& network_;
  const Options options_;
  Pool<int> pool_;  // one key: there is one server
};

}  // namespace tulle::http
