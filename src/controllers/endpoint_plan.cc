#include "controllers/endpoints.h"

#include <algorithm>
#include <span>
#include <unordered_map>

namespace tulle::controllers {

namespace {

// Places the members of one group.
class Seating final {
 public:
  Seating(std::string_view ports, const std::vector<ExistingSlice>& existing) {
    for (const ExistingSlice& slice : existing) {
      if (slice.ports_text != ports || slice.addresses.empty()) continue;
      for (const IpAddress& address : slice.addresses) seats_.emplace(address, slices_.size());
      slices_.push_back({.over = slice.object, .members = {}});
    }
  }

  std::vector<PlannedSlice> place(std::span<const MemberPtr> group) {
    std::vector<MemberPtr> standing;
    for (const MemberPtr& member : group) {
      const auto seat = seats_.find(member->address);
      if (seat == seats_.end() || !sit_down(member, seat->second)) standing.push_back(member);
    }
    std::size_t next = 0;
    for (const MemberPtr& member : standing) {
      while (!sit_down(member, next)) ++next;
    }
    std::erase_if(slices_, [](const PlannedSlice& slice) { return slice.members.empty(); });
    for (PlannedSlice& slice : slices_) {
      std::ranges::sort(slice.members, {}, [](const MemberPtr& member) { return member->address; });
    }
    return std::move(slices_);
  }

 private:
  // Takes the member in, into a new slice behind the last if it has to; false: that one is full.
  bool sit_down(const MemberPtr& member, std::size_t slice) {
    if (slice == slices_.size()) slices_.emplace_back();
    std::vector<MemberPtr>& members = slices_[slice].members;
    if (members.size() == EndpointsController::endpoints_per_slice_max) return false;
    members.push_back(member);
    return true;
  }

  std::vector<PlannedSlice> slices_;
  std::unordered_map<IpAddress, std::size_t> seats_;
};

}  // namespace

SlicePlan plan_slices(const std::vector<MemberPtr>& members,
                      const std::vector<ExistingSlice>& existing) {
  std::vector<PlannedSlice> planned;
  for (const auto group : groups_of(members)) {
    std::ranges::move(Seating(group.front()->ports_text, existing).place(group),
                      std::back_inserter(planned));
  }
  if (planned.empty()) planned.emplace_back();
  std::vector<ObjectPtr> unwanted;
  for (const ExistingSlice& slice : existing) {
    if (std::ranges::find(planned, slice.object, &PlannedSlice::over) == planned.end()) {
      unwanted.push_back(slice.object);
    }
  }
  for (PlannedSlice& slice : planned) {
    if (slice.over || unwanted.empty()) continue;
    slice.over = std::move(unwanted.back());
    unwanted.pop_back();
  }
  return {.slices = std::move(planned), .unwanted = std::move(unwanted)};
}

json::object render_slice(const std::vector<MemberPtr>& members) {
  json::array endpoints;
  endpoints.reserve(members.size());
  for (const MemberPtr& member : members) endpoints.push_back(member->endpoint);
  return {{"addressType", "IPv4"},
          {"ports", members.empty() ? json::array() : members.front()->ports},
          {"endpoints", std::move(endpoints)}};
}

}  // namespace tulle::controllers
