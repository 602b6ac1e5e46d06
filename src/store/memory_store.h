// A store that forgets everything with its process: for tests and simulation.
#pragma once

#include "store/state.h"

namespace tulle::store {

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(rt::Loop& loop) : state_(loop) {}

  Revision revision() const override { return state_.revision(); }
  ItemRef get(const Key& key) const override { return state_.get(key); }
  ItemRef head(const Key& key) const override { return state_.head(key); }
  std::vector<ItemRef> heads(std::string_view bucket, std::string_view namespace_) const override {
    return state_.heads(bucket, namespace_);
  }
  Result<Listing> list(const ListOptions& options) const override { return state_.list(options); }
  Result<std::unique_ptr<Watch>> watch(const WatchOptions& options) override {
    return state_.watch(options);
  }
  rt::Task<Result<ItemRef>> put(Key key, Expected expected, Render render,
                                Durability durability) override;
  rt::Task<Result<ItemRef>> erase(Key key, Expected expected, Render render) override;
  rt::Task<Result<void>> flush() override;

 private:
  Result<ItemRef> write(Key key, Expected expected, const Render& render, bool erase);

  State state_;
};

}  // namespace tulle::store
