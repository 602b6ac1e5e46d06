#include "mesh/gate.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tulle::mesh {

Gate::Place::Place(Place&& other) noexcept
    : gate_(std::exchange(other.gate_, nullptr)), holder_(other.holder_) {}

Gate::Place& Gate::Place::operator=(Place&& other) noexcept {
  if (this != &other) {
    leave();
    gate_ = std::exchange(other.gate_, nullptr);
    holder_ = other.holder_;
  }
  return *this;
}

Gate::Entry Gate::Place::entry() const {
  if (!gate_) return Entry::full;
  const std::lock_guard lock(gate_->mutex_);
  return holder_->entry;
}

void Gate::Place::leave() {
  const auto gate = std::exchange(gate_, nullptr);
  if (!gate) return;
  const std::lock_guard lock(gate->mutex_);
  if (holder_->entry == Entry::waiting) {
    gate->waiting_.erase(holder_);
  } else {
    gate->inside_.erase(holder_);
    gate->let_in();
  }
}

void Gate::let_in() {
  while (!waiting_.empty() && inside_.size() < inside_max_) {
    inside_.splice(inside_.end(), waiting_, waiting_.begin());
    inside_.back().entry = Entry::inside;
    inside_.back().on_turn();
  }
}

Gate::Place Gate::enter(const std::shared_ptr<Gate>& gate, const Limits& limits,
                        std::function<void()> on_turn, Keeper keeper) {
  const std::lock_guard lock(gate->mutex_);
  gate->inside_max_ = limits.inside_max;
  gate->let_in();  // the limit may have been raised
  const bool room = gate->inside_.size() < limits.inside_max && gate->waiting_.empty();
  if (!room && gate->waiting_.size() >= limits.waiting_max) return {};
  auto& list = room ? gate->inside_ : gate->waiting_;
  list.push_back({.on_turn = std::move(on_turn),
                  .entry = room ? Entry::inside : Entry::waiting,
                  .keeper = std::move(keeper)});
  Place place(gate, std::prev(list.end()));
  if (!room) gate->ask_keepers();
  return place;
}

void Gate::ask_keepers() {
  std::vector<const void*> asked;
  asked.reserve(inside_.size());
  for (const Place::Holder& holder : inside_) {
    const Keeper& keeper = holder.keeper;
    if (!keeper.on_wanted || std::ranges::find(asked, keeper.who) != asked.end()) continue;
    asked.push_back(keeper.who);
    keeper.on_wanted();
  }
}

bool Gate::is_next(const Place& place) const {
  const std::lock_guard lock(mutex_);
  return !waiting_.empty() && place.gate_.get() == this && place.holder_ == waiting_.begin();
}

std::size_t Gate::inside() const {
  const std::lock_guard lock(mutex_);
  return inside_.size();
}

std::size_t Gate::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace tulle::mesh
