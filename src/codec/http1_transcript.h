// What the HTTP/1 readers make of a byte stream, as text: for tests and fuzz targets, which compare
// the transcripts of one stream cut in different ways.
#pragma once

#include "codec/http1.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace tulle::codec {

// Plays a connection that delivers `step` bytes at a time.
class Http1Transcript final {
 public:
  Http1Transcript(std::string_view wire, std::size_t step, const Http1Limits& limits = {})
      : wire_(wire), step_(step), limits_(limits), arrived_(std::min(step, wire.size())) {}

  std::string requests() {
    RequestParser parser(limits_);
    RequestHead head;
    while (read_head(parser, head)) {
      text_ += head.method + " " + head.target;
      read_body(head.minor_version, head.headers, body_framing(head));
      if (keep_alive(head)) text_ += " keep-alive";
      if (expects_continue(head)) text_ += " expects-continue";
      if (is_upgrade(head)) text_ += " upgrade";
      text_ += "\n";
      if (ended_) break;
    }
    return text_;
  }

  std::string responses(std::string_view request_method) {
    ResponseParser parser(limits_);
    ResponseHead head;
    while (read_head(parser, head)) {
      text_ += std::to_string(head.status) + " " + head.reason;
      read_body(head.minor_version, head.headers, body_framing(head, request_method));
      if (keep_alive(head)) text_ += " keep-alive";
      text_ += "\n";
      if (ended_) break;
    }
    return text_;
  }

 private:
  std::string_view unread() const { return wire_.substr(read_, arrived_ - read_); }
  bool more() {
    if (arrived_ == wire_.size()) return false;
    arrived_ = std::min(arrived_ + step_, wire_.size());
    return true;
  }

  template <class Parser, class Head>
  bool read_head(Parser& parser, Head& head) {
    for (;;) {
      const HeadResult result = parser.parse(unread(), head);
      switch (result.outcome) {
        case HeadResult::Outcome::complete: read_ += result.consumed; return true;
        case HeadResult::Outcome::error: add_error(result.reason); return false;
        case HeadResult::Outcome::incomplete: break;
      }
      if (more()) continue;
      if (parser.started()) text_ += "incomplete\n";
      return false;
    }
  }

  void read_body(int minor_version, const Headers& headers, BodyFraming framing) {
    text_ += " 1." + std::to_string(minor_version);
    add_fields(headers);
    static constexpr std::string_view kinds[] = {"none", "length", "chunked", "until_close",
                                                 "tunnel"};
    text_ += " ";
    text_ += kinds[static_cast<std::size_t>(framing.kind)];
    BodyDecoder decoder(framing, limits_);
    std::string body;
    while (!decoder.done() && !ended_) {
      const BodyStep step = decoder.decode(unread());
      read_ += step.consumed;
      body += step.data;
      if (step.reason != Http1Reason::ok) {
        ended_ = true;
        text_ += " ";
        add_error(step.reason);
      } else if (step.consumed == 0 && !more()) {
        ended_ = true;
        text_ += decoder.finish() ? " closed" : " truncated";
      }
    }
    if (framing.kind != BodyFraming::Kind::none) text_ += " '" + body + "'";
    add_fields(decoder.trailers());
  }

  void add_fields(const Headers& headers) {
    for (const auto [name, value] : headers) {
      text_ += " [";
      text_.append(name).append(": ").append(value).append("]");
    }
  }

  void add_error(Http1Reason reason) {
    text_.append("error ").append(name(reason)).append(" ");
    text_ += std::to_string(suggested_status(reason)) + "\n";
  }

  const std::string_view wire_;
  const std::size_t step_;
  const Http1Limits limits_;
  std::size_t arrived_;
  std::size_t read_ = 0;
  bool ended_ = false;
  std::string text_;
};

}  // namespace tulle::codec
