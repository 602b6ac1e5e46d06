#include "apiserver/watch.h"

#include "apiserver/read.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kube/table.h"
#include "rt/combine.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

std::string_view line_start(WatchType type) {
  switch (type) {
    case WatchType::added: return R"({"type":"ADDED","object":)";
    case WatchType::modified: return R"({"type":"MODIFIED","object":)";
    case WatchType::deleted: return R"({"type":"DELETED","object":)";
    case WatchType::bookmark: return R"({"type":"BOOKMARK","object":)";
  }
  return {};
}

constexpr std::string_view line_end = "}\n";

// Writes events as lines; a stored value is sent as it is, shared by all who watch it.
class LineWriter final {
 public:
  LineWriter(Context& context, const kube::KindDefinition& kind, Representation representation,
             std::string_view include_object)
      : context_(context),
        kind_(kind),
        representation_(representation),
        include_(
            kube::parse_include_object(include_object).value_or(kube::IncludeObject::metadata)) {}

  void append(const EventStream& stream, const StreamEvent& event, Body& body) {
    body.append_shared(nullptr, line_start(event.type));
    if (event.type == WatchType::bookmark) {
      body.append(codec::to_json(shown_bookmark(stream.bookmark(event))));
    } else if (representation_ == Representation::object) {
      Objects::Bytes bytes = context_.objects.bytes(kind_, event.item);
      body.append_shared(std::move(bytes.owner), bytes.text);
    } else {
      body.append(codec::to_json(shown(*context_.objects.document(kind_, event.item))));
    }
    body.append_shared(nullptr, line_end);
  }

  static Body error_line(const kube::ApiStatus& status) {
    Body body(R"({"type":"ERROR","object":)" + codec::to_json(kube::to_json(status)));
    body.append_shared(nullptr, line_end);
    return body;
  }

 private:
  json::object shown(const json::object& object) {
    if (representation_ == Representation::metadata) return kube::partial_metadata(object);
    bool with_columns = std::exchange(first_table_, false);
    return kube::watch_table(
        object, with_columns,
        {.columns = table_columns(kind_), .include = include_, .now = context_.now()});
  }

  // A client that decodes Tables finds the bookmark's metadata in a Table without rows.
  json::object shown_bookmark(json::object bookmark) {
    switch (representation_) {
      case Representation::object: return bookmark;
      case Representation::metadata:
        bookmark["kind"] = "PartialObjectMetadata";
        bookmark["apiVersion"] = "meta.k8s.io/v1";
        return bookmark;
      case Representation::table: break;
    }
    json::object row{{"cells", json::array(table_columns(kind_).size(), nullptr)},
                     {"object", bookmark}};
    return {{"kind", "Table"},
            {"apiVersion", "meta.k8s.io/v1"},
            {"metadata", bookmark["metadata"]},
            {"columnDefinitions", json::array()},
            {"rows", json::array{std::move(row)}}};
  }

  Context& context_;
  const kube::KindDefinition& kind_;
  const Representation representation_;
  const kube::IncludeObject include_;
  bool first_table_ = true;
};

// The event and those that wait behind it; false when the watch ended after them.
bool collect(EventStream& stream, LineWriter& writer, const StreamEvent& first, Body& body) {
  writer.append(stream, first, body);
  for (std::size_t i = 1; i < watch_batch_events_max; ++i) {
    auto event = stream.try_next();
    if (!event) {
      Body line = LineWriter::error_line(event.error());
      body.append(line.to_string());
      return false;
    }
    if (!*event) break;
    writer.append(stream, **event, body);
  }
  return true;
}

rt::Task<void> write_events(EventStream& stream, LineWriter& writer, http::Exchange& exchange) {
  for (;;) {
    auto outcome = co_await rt::race(stream.next(), exchange.client_gone());
    if (outcome.index() == 1) co_return;
    auto& event = std::get<0>(outcome);
    Body body;
    bool goes_on = false;
    if (!event) {
      body = LineWriter::error_line(event.error());
    } else if (*event) {
      goes_on = collect(stream, writer, **event, body);
    }
    if (!body.empty() && !co_await exchange.write(body.pieces())) co_return;
    if (!goes_on) break;
  }
  (void)co_await exchange.finish();
}

class InProcessWatch final : public kubeclient::Watch {
 public:
  InProcessWatch(Context& context, std::unique_ptr<EventStream> stream)
      : context_(context), stream_(std::move(stream)) {}

  rt::Task<kube::ApiResult<kubeclient::WatchEvent>> next() override {
    auto event = co_await stream_->next();
    if (!event) co_return event.error();
    if (!*event) co_return kube::timeout("the watch ended after its timeout");
    kubeclient::WatchEvent seen{.type = (*event)->type, .object = {}};
    if ((*event)->item) {
      seen.object = context_.objects.document(stream_->kind(), (*event)->item);
    } else {
      seen.object = std::make_shared<const json::object>(stream_->bookmark(**event));
    }
    co_return seen;
  }

 private:
  Context& context_;
  std::unique_ptr<EventStream> stream_;
};

}  // namespace

rt::Task<kube::ApiResult<void>> serve_watch(Context& context, const Call& call,
                                            http::Exchange& exchange) {
  CO_TRY(Representation representation, negotiate(call.request.accept));
  CO_TRY(ListQuery query, parse_list_query(call.request.query, *call.kind));
  CO_TRY(auto stream, EventStream::open(context, call, std::move(query)));
  codec::ResponseHead head;
  head.headers.set("Content-Type", "application/json");
  head.headers.set("Cache-Control", "no-cache, private");
  if (!co_await exchange.start(head)) co_return kube::ApiResult<void>();
  LineWriter writer(context, *call.kind, representation,
                    call.request.query.get_or("includeObject", ""));
  co_await write_events(*stream, writer, exchange);
  co_return kube::ApiResult<void>();
}

kube::ApiResult<std::unique_ptr<kubeclient::Watch>> open_local_watch(Context& context,
                                                                     const Call& call) {
  TRY(ListQuery query, parse_list_query(call.request.query, *call.kind));
  if (!query.watch) return kube::bad_request("the request is not a watch");
  TRY(auto stream, EventStream::open(context, call, std::move(query)));
  return std::make_unique<InProcessWatch>(context, std::move(stream));
}

}  // namespace tulle::apiserver
