// The query parameters of lists and watches (metav1.ListOptions), parsed and checked.
#pragma once

#include "codec/url.h"
#include "kube/scheme.h"
#include "kube/selector.h"
#include "kube/status.h"
#include "store/store.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tulle::apiserver {

enum class VersionMatch : std::uint8_t { none, exact, not_older_than };

// A named limit: what a list gives at most where the client sets no limit is everything; where it
// does, no page is larger than this.
inline constexpr std::uint64_t list_page_max = 10'000;

struct ListQuery {
  kube::Selector labels;
  kube::FieldSelector fields;
  std::optional<store::Revision> resource_version;  // nullopt: not given
  VersionMatch match = VersionMatch::none;
  std::uint64_t limit = 0;  // 0: none
  std::string continue_token;
  bool watch = false;
  bool allow_bookmarks = false;
  std::optional<bool> send_initial_events;
  std::optional<std::uint64_t> timeout_seconds;

  bool selects_all() const { return labels.matches_everything() && fields.matches_everything(); }
  bool matches(const boost::json::object& object) const;
};

// 400 for what does not parse, 422 for what does not go together.
kube::ApiResult<ListQuery> parse_list_query(const codec::Query& query,
                                            const kube::KindDefinition& kind);

// Whether the query asks for a watch.
bool asks_for_watch(const codec::Query& query);
// As upstream reads booleans: "", "0" and "false" (any case) are false.
bool is_true(std::string_view text);

// Where the next page of a list begins; opaque to clients.
struct ContinueToken {
  store::Revision revision = 0;               // of the first page; 0: whatever is current
  std::pair<std::string, std::string> after;  // namespace and name
};
std::string to_string(const ContinueToken& token);
kube::ApiResult<ContinueToken> parse_continue_token(std::string_view text);

}  // namespace tulle::apiserver
