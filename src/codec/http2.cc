#include "codec/http2.h"

#include "base/check.h"
#include "base/text.h"
#include "codec/http1_scan.h"

#include <nghttp2/nghttp2.h>
#include <algorithm>
#include <array>
#include <vector>

namespace tulle::codec {

namespace {

constexpr std::size_t kGapsMax = 64;

// RFC 9113 §8.2.2: fields of a connection, which an HTTP/2 message must not have. Nor does it need
// Expect: a body waits for nothing but the stream's window. A WebSocket has no key there (RFC 8441
// §5).
bool is_connection_field(std::string_view name) {
  static constexpr auto names = std::to_array<std::string_view>(
      {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host", "te",
       "expect", "sec-websocket-key", "sec-websocket-accept"});
  return std::ranges::any_of(names, [&](auto each) { return equals_ignoring_case(each, name); });
}

// Fields as nghttp2 takes them. Names must be of lower case and outlive the call.
class NameValues final {
 public:
  explicit NameValues(const Headers& headers) {
    lower_.reserve(headers.byte_size());
    values_.reserve(headers.size() + 6);
  }
  void add(std::string_view name, std::string_view value) {
    values_.push_back({.name = bytes(name),
                       .value = bytes(value),
                       .namelen = name.size(),
                       .valuelen = value.size(),
                       .flags = NGHTTP2_NV_FLAG_NONE});
  }
  void add_all(const Headers& headers) {
    for (const auto [name, value] : headers) {
      if (is_connection_field(name)) continue;
      const std::size_t at = lower_.size();
      for (const char byte : name) lower_.push_back(to_lower(byte));
      add({lower_.data() + at, name.size()}, value);
    }
  }
  const nghttp2_nv* data() const { return values_.data(); }
  std::size_t size() const { return values_.size(); }

 private:
  static std::uint8_t* bytes(std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  }
  std::string lower_;  // never grows beyond what was reserved
  std::vector<nghttp2_nv> values_;
};

std::string_view text(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

ssize_t read_piece(nghttp2_session* session, std::int32_t stream, std::uint8_t* buffer,
                   std::size_t size, std::uint32_t* flags, nghttp2_data_source* source, void*) {
  auto& events = *static_cast<Http2Events*>(source->ptr);
  const Http2Piece piece = events.on_pull(stream, {reinterpret_cast<char*>(buffer), size});
  if (piece.size == 0 && !piece.end) return NGHTTP2_ERR_DEFERRED;
  if (piece.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (piece.end && piece.trailers != nullptr && !piece.trailers->empty()) {
    NameValues values(*piece.trailers);
    values.add_all(*piece.trailers);
    if (nghttp2_submit_trailer(session, stream, values.data(), values.size()) == 0) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
  }
  return static_cast<ssize_t>(piece.size);
}

// What read_piece() is given; null for a message without a body.
class DataProvider final {
 public:
  DataProvider(Http2Events& events, bool has_body) : has_body_(has_body) {
    provider_.source.ptr = &events;
    provider_.read_callback = read_piece;
  }
  const nghttp2_data_provider* get() const { return has_body_ ? &provider_ : nullptr; }

 private:
  bool has_body_;
  nghttp2_data_provider provider_{};
};

}  // namespace

struct Http2Session::Callbacks {
  static Http2Session& self(void* user) { return *static_cast<Http2Session*>(user); }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* header, void* user) {
    if (header->type == NGHTTP2_HEADERS) self(user).on_headers_begin(header->stream_id);
    return 0;
  }

  static int begin_headers(nghttp2_session*, const nghttp2_frame*, void* user) {
    self(user).fields_ = {};
    self(user).field_bytes_ = 0;
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name_bytes,
                    std::size_t name_size, const std::uint8_t* value_bytes, std::size_t value_size,
                    std::uint8_t, void* user) {
    Http2Session& session = self(user);
    Http2Fields& fields = session.fields_;
    const std::string_view name = text(name_bytes, name_size);
    const std::string_view value = text(value_bytes, value_size);
    session.field_bytes_ += name_size + value_size;
    if (session.field_bytes_ > session.limits_.header_bytes_max ||
        fields.headers.size() >= session.limits_.fields_max) {
      fields.too_large = true;
      return 0;
    }
    if (name == ":method") {
      fields.method = value;
    } else if (name == ":scheme") {
      fields.scheme = value;
    } else if (name == ":authority") {
      fields.authority = value;
    } else if (name == ":path") {
      fields.path = value;
    } else if (name == ":protocol") {
      fields.protocol = value;
    } else if (name == ":status") {
      fields.status = static_cast<int>(parse_content_length(value).value_or(0));
    } else if (is_token(name)) {
      fields.headers.append(name, value);
    } else if (!name.starts_with(':')) {
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
  }

  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& session = self(user);
    const std::int32_t stream = frame->hd.stream_id;
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: session.on_header_block(frame->hd.stream_id, end); break;
      case NGHTTP2_DATA:
        if (end) session.events_.on_end(stream);
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) break;
        session.peer_settings_came_ = true;
        session.events_.on_settings();
        break;
      case NGHTTP2_GOAWAY: session.peer_going_away_ = true; break;
      default: break;
    }
    return 0;
  }

  static int data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes,
                  std::size_t size, void* user) {
    self(user).events_.on_data(stream, text(bytes, size));
    return 0;
  }

  static int closed(nghttp2_session*, std::int32_t stream, std::uint32_t error, void* user) {
    self(user).events_.on_closed(stream, error);
    return 0;
  }
};

// nghttp2 takes a stream below the newest for one that is over, and is lenient with those.
void Http2Session::on_headers_begin(std::int32_t stream) {
  if (role_ != Role::server || stream % 2 == 0) return;
  if (stream > newest_stream_) {
    if (stream > newest_stream_ + 2) gaps_.push_back({newest_stream_ + 2, stream - 2});
    if (gaps_.size() > kGapsMax) gaps_.erase(gaps_.begin());
    newest_stream_ = stream;
    return;
  }
  const auto holds = [stream](Gap gap) { return gap.first <= stream && stream <= gap.last; };
  if (std::ranges::any_of(gaps_, holds)) {
    nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
  }
}

// A head has a method or a status; trailers have neither.
void Http2Session::on_header_block(std::int32_t stream, bool end) {
  if (fields_.method.empty() && fields_.status == 0) {
    events_.on_trailers(stream, fields_.headers);
    if (end) events_.on_end(stream);
  } else {
    events_.on_head(stream, fields_, end);
  }
}

Http2Session::Http2Session(Role role, const Http2Limits& limits, Http2Events& events)
    : role_(role),
      limits_(limits),
      events_(events),
      header_block_(role == Role::server ? http2_preface.size() : 0) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, Callbacks::begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::closed);
  nghttp2_option_set_no_auto_window_update(option, 1);
  const int made = role == Role::server
                       ? nghttp2_session_server_new2(&session_, callbacks, this, option)
                       : nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);
  CHECK(made == 0);
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.header_bytes_max)}};
  if (role == Role::server) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrent_streams_max});
    if (limits.websockets) settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) ==
        0);
  CHECK(nghttp2_session_set_local_window_size(
            session_, NGHTTP2_FLAG_NONE, 0,
            static_cast<std::int32_t>(limits.connection_window_bytes)) == 0);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

Result<void> Http2Session::receive(std::string_view bytes) {
  header_block_.see(bytes);
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken >= 0) return {};
  return fail(Code::malformed, nghttp2_strerror(static_cast<int>(taken)));
}

void Http2Session::produce(std::string& out, std::size_t bytes_max) {
  while (out.size() < bytes_max) {
    const std::uint8_t* frames = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &frames);
    if (size <= 0) return;
    out.append(text(frames, static_cast<std::size_t>(size)));
  }
}

bool Http2Session::finished() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

Result<std::int32_t> Http2Session::request(const RequestHead& head, bool has_body) {
  NameValues values(head.headers);
  const bool websocket = is_websocket_handshake(head);
  values.add(":method", websocket ? std::string_view("CONNECT") : head.method);
  if (websocket) values.add(":protocol", "websocket");
  values.add(":scheme", "http");
  values.add(":authority", head.headers.get("host").value_or(""));
  values.add(":path", head.target);
  values.add_all(head.headers);
  values.add("te", "trailers");
  const DataProvider provider(events_, has_body || websocket);
  const std::int32_t stream = nghttp2_submit_request(session_, nullptr, values.data(),
                                                     values.size(), provider.get(), nullptr);
  if (stream > 0) return stream;
  return fail(Code::exhausted, std::string("no further stream: ") + nghttp2_strerror(stream));
}

void Http2Session::respond(std::int32_t stream, const ResponseHead& head, bool has_body) {
  NameValues values(head.headers);
  const std::string status = std::to_string(head.status);
  values.add(":status", status);
  values.add_all(head.headers);
  const DataProvider provider(events_, has_body);
  nghttp2_submit_response(session_, stream, values.data(), values.size(), provider.get());
}

void Http2Session::respond_interim(std::int32_t stream, const ResponseHead& head) {
  NameValues values(head.headers);
  const std::string status = std::to_string(head.status);
  values.add(":status", status);
  values.add_all(head.headers);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream, nullptr, values.data(), values.size(),
                         nullptr);
}

void Http2Session::resume(std::int32_t stream) { nghttp2_session_resume_data(session_, stream); }

void Http2Session::reset(std::int32_t stream, Http2Error error) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, static_cast<std::uint32_t>(error));
}

void Http2Session::consume(std::int32_t stream, std::size_t bytes) {
  if (nghttp2_session_find_stream(session_, stream) != nullptr) {
    nghttp2_session_consume(session_, stream, bytes);
  } else {
    nghttp2_session_consume_connection(session_, bytes);
  }
}

void Http2Session::go_away(Http2Error error) {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_),
                        static_cast<std::uint32_t>(error), nullptr, 0);
}

std::uint32_t Http2Session::peer_concurrent_streams_max() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

std::optional<bool> Http2Session::peer_takes_websockets() const {
  if (!peer_settings_came_) return std::nullopt;
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
         1;
}

bool is_websocket_handshake(const RequestHead& head) {
  return head.method == "GET" && is_upgrade(head) && head.headers.count("upgrade") == 1 &&
         equals_ignoring_case(trim(*head.headers.get("upgrade")), "websocket");
}

namespace {

Result<void> check_target(const Http2Fields& fields) {
  if (find_target_end(fields.path, 0) != fields.path.size()) {
    return fail(Code::malformed, "bad_target_character");
  }
  const bool is_origin_form = fields.path.starts_with('/');
  const bool is_asterisk_form = fields.path == "*" && fields.method == "OPTIONS";
  if (!is_origin_form && !is_asterisk_form) return fail(Code::malformed, "bad_target_form");
  return {};
}

// Clients may send a field for each cookie, which compresses better.
void join_cookies(Headers& headers) {
  if (headers.count("cookie") < 2) return;
  std::string all;
  for (std::size_t at = headers.find("cookie"); at < headers.size();
       at = headers.find("cookie", at + 1)) {
    if (!all.empty()) all += "; ";
    all += headers[at].value;
  }
  headers.set("cookie", all);
}

}  // namespace

Result<RequestHead> http1_head(Http2Fields& fields) {
  const bool websocket =
      fields.method == "CONNECT" && equals_ignoring_case(fields.protocol, "websocket");
  if (!is_token(fields.method)) return fail(Code::malformed, "bad_method");
  TRY_VOID(check_target(fields));
  const auto host = fields.headers.get("host");
  if (host && !fields.authority.empty() && !equals_ignoring_case(*host, fields.authority)) {
    return fail(Code::malformed, "conflicting_host");
  }
  if (fields.headers.count("host") > 1) return fail(Code::malformed, "duplicate_host");
  if (!host && !fields.authority.empty()) fields.headers.append("host", fields.authority);
  join_cookies(fields.headers);
  if (websocket) {
    fields.method = "GET";
    fields.headers.remove("content-length");  // there is no body, but a tunnel
    fields.headers.remove("sec-websocket-key");
    fields.headers.append("connection", "upgrade");
    fields.headers.append("upgrade", "websocket");
  }
  return RequestHead{.method = std::move(fields.method),
                     .target = std::move(fields.path),
                     .headers = std::move(fields.headers)};
}

}  // namespace tulle::codec
