// A store in memory whose disk may be full: then it refuses every write, as SqliteStore does.
#pragma once

#include "store/memory_store.h"

#include <cerrno>

namespace tulle::sim {

class FullStore final : public store::Store {
 public:
  explicit FullStore(rt::Loop& loop) : inner_(loop) {}

  void set_full(bool full) { full_ = full; }

  store::Revision revision() const override { return inner_.revision(); }
  store::ItemRef get(const store::Key& key) const override { return inner_.get(key); }
  store::ItemRef head(const store::Key& key) const override { return inner_.head(key); }
  std::vector<store::ItemRef> heads(std::string_view bucket,
                                    std::string_view namespace_) const override {
    return inner_.heads(bucket, namespace_);
  }
  Result<store::Listing> list(const store::ListOptions& options) const override {
    return inner_.list(options);
  }
  Result<std::unique_ptr<store::Watch>> watch(const store::WatchOptions& options) override {
    return inner_.watch(options);
  }
  rt::Task<Result<store::ItemRef>> put(store::Key key, store::Expected expected,
                                       store::Render render,
                                       store::Durability durability) override {
    if (full_) return refuse();
    return inner_.put(std::move(key), expected, std::move(render), durability);
  }
  rt::Task<Result<store::ItemRef>> erase(store::Key key, store::Expected expected,
                                         store::Render render) override {
    if (full_) return refuse();
    return inner_.erase(std::move(key), expected, std::move(render));
  }
  rt::Task<Result<void>> flush() override { return inner_.flush(); }

 private:
  static rt::Task<Result<store::ItemRef>> refuse() {
    co_return Error{.code = Code::unavailable, .message = "simulated", .os_error = ENOSPC};
  }

  store::MemoryStore inner_;
  bool full_ = false;
};

}  // namespace tulle::sim
