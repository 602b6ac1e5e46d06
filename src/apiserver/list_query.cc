#include "apiserver/list_query.h"

#include "codec/base64.h"
#include "codec/http_message.h"
#include "codec/json.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <charconv>
#include <vector>

namespace tulle::apiserver {

namespace {

namespace json = boost::json;

constexpr codec::Base64Options token_coding{.alphabet = codec::Base64Alphabet::url,
                                            .padding = codec::Base64Padding::without};

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

kube::ApiResult<std::optional<std::uint64_t>> number(const codec::Query& query,
                                                     std::string_view name) {
  std::string_view text = query.get_or(name, "");
  if (text.empty()) return std::optional<std::uint64_t>();
  auto parsed = parse_number(text);
  if (!parsed) {
    return kube::bad_request("Invalid value for " + std::string(name) + ": \"" + std::string(text) +
                             "\" is not a number");
  }
  return parsed;
}

kube::StatusCause forbidden_field(std::string field, std::string_view why) {
  return {.reason = "FieldValueForbidden",
          .message = "Forbidden: " + std::string(why),
          .field = std::move(field)};
}

kube::ApiResult<VersionMatch> parse_match(std::string_view text) {
  if (text.empty()) return VersionMatch::none;
  if (text == "Exact") return VersionMatch::exact;
  if (text == "NotOlderThan") return VersionMatch::not_older_than;
  return kube::invalid("meta.k8s.io", "ListOptions", "",
                       {{.reason = "FieldValueNotSupported",
                         .message = "Unsupported value: \"" + std::string(text) +
                                    "\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
                         .field = "resourceVersionMatch"}});
}

// As upstream's ValidateListOptions.
std::vector<kube::StatusCause> check_list(const ListQuery& query) {
  const char* match = "resourceVersionMatch";
  std::vector<kube::StatusCause> causes;
  if (query.send_initial_events) {
    causes.push_back(
        forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"));
  }
  if (query.match == VersionMatch::none) return causes;
  if (!query.resource_version) {
    causes.push_back(forbidden_field(
        match, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
  }
  if (!query.continue_token.empty()) {
    causes.push_back(
        forbidden_field(match, "resourceVersionMatch is forbidden when continue is provided"));
  }
  if (query.match == VersionMatch::exact && query.resource_version == 0) {
    causes.push_back(forbidden_field(
        match, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
  }
  return causes;
}

std::vector<kube::StatusCause> check_watch(const ListQuery& query) {
  const char* match = "resourceVersionMatch";
  if (query.send_initial_events && query.match != VersionMatch::not_older_than) {
    return {forbidden_field(
        match, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")};
  }
  if (!query.send_initial_events && query.match != VersionMatch::none) {
    return {forbidden_field(
        match, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")};
  }
  return {};
}

kube::ApiResult<void> parse_selectors(const codec::Query& query, const kube::KindDefinition& kind,
                                      ListQuery& parsed) {
  auto labels = kube::Selector::parse(query.get_or("labelSelector", ""));
  if (!labels) return kube::bad_request("unable to parse requirement: " + labels.error().message);
  auto fields = kube::FieldSelector::parse(query.get_or("fieldSelector", ""));
  if (!fields) return kube::bad_request(fields.error().message);
  auto supported = fields->check_supported(kind.selectable_fields);
  if (!supported) return kube::bad_request(supported.error().message);
  parsed.labels = *std::move(labels);
  parsed.fields = *std::move(fields);
  return {};
}

}  // namespace

bool ListQuery::matches(const json::object& object) const {
  return (labels.matches_everything() || labels.matches(kube::labels_of(object))) &&
         (fields.matches_everything() || fields.matches(object));
}

bool is_true(std::string_view text) {
  return !text.empty() && text != "0" && !codec::equals_ignoring_case(text, "false");
}

bool asks_for_watch(const codec::Query& query) { return is_true(query.get_or("watch", "")); }

kube::ApiResult<ListQuery> parse_list_query(const codec::Query& query,
                                            const kube::KindDefinition& kind) {
  ListQuery parsed;
  TRY_VOID(parse_selectors(query, kind, parsed));
  TRY(parsed.resource_version, number(query, "resourceVersion"));
  TRY(parsed.match, parse_match(query.get_or("resourceVersionMatch", "")));
  TRY(auto limit, number(query, "limit"));
  parsed.limit = std::min(limit.value_or(0), list_page_max);
  parsed.continue_token = query.get_or("continue", "");
  parsed.watch = asks_for_watch(query);
  parsed.allow_bookmarks = is_true(query.get_or("allowWatchBookmarks", ""));
  if (auto initial = query.get("sendInitialEvents"); initial && !initial->empty()) {
    parsed.send_initial_events = is_true(*initial);
  }
  TRY(parsed.timeout_seconds, number(query, "timeoutSeconds"));
  auto causes = parsed.watch ? check_watch(parsed) : check_list(parsed);
  if (!causes.empty()) {
    return kube::invalid("meta.k8s.io", "ListOptions", "", std::move(causes));
  }
  return parsed;
}

std::string to_string(const ContinueToken& token) {
  json::array parts{token.revision, token.after.first, token.after.second};
  return codec::base64_encode(codec::to_json(parts), token_coding);
}

kube::ApiResult<ContinueToken> parse_continue_token(std::string_view text) {
  auto fault = kube::bad_request("continue key is not valid");
  auto bytes = codec::base64_decode(text, token_coding);
  if (!bytes) return fault;
  auto value = codec::parse_json(*bytes);
  if (!value) return fault;
  const json::array* parts = value->if_array();
  if (parts == nullptr || parts->size() != 3) return fault;
  const std::int64_t* revision = (*parts)[0].if_int64();
  const json::string* after_namespace = (*parts)[1].if_string();
  const json::string* after_name = (*parts)[2].if_string();
  if (revision == nullptr || *revision < 0 || after_namespace == nullptr || after_name == nullptr) {
    return fault;
  }
  return ContinueToken{.revision = static_cast<store::Revision>(*revision),
                       .after = {std::string(*after_namespace), std::string(*after_name)}};
}

}  // namespace tulle::apiserver
