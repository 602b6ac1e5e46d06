// A store in one SQLite file: write-ahead log, synchronous=FULL, group commit.
//
// The file holds the live objects and the revision counter only, so it does not grow with history.
// All writes that arrive while one commit is on its way to the disk make up the next one.
//
// A revision that was shown is never used again, even if a crash took its write back: a store that
// is opened begins beyond all that may have been shown.
#pragma once

#include "base/result.h"
#include "rt/blocking.h"
#include "rt/scope.h"
#include "store/state.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::store {

class SqliteStore final : public Store {
 public:
  // Opens or creates the file and reads all of it. Blocks. `loop` and `blocking` must outlive the
  // store. Code::io, or Code::malformed for a file that is no store of ours.
  static Result<std::unique_ptr<SqliteStore>> open(rt::Loop& loop, rt::Blocking& blocking,
                                                   const std::string& path);
  ~SqliteStore() override;

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
  class Database;
  struct Write {
    EventRef event;
    bool shown = false;  // before it is durable
  };
  using Batch = std::vector<Write>;
  // How a commit ended; those who wait for it share it.
  struct Commit {
    bool done = false;
    Result<void> result;
    rt::WaitList waiters;
  };

  SqliteStore(rt::Loop& loop, rt::Blocking& blocking, std::shared_ptr<Database> database);

  struct How {
    bool erase = false;
    Durability durability = Durability::first;
  };
  rt::Task<Result<ItemRef>> write(Key key, Expected expected, Render render, How how);
  void give_up(const Batch& batch, const Result<void>& why);
  static rt::Task<Result<void>> wait_for(std::shared_ptr<Commit> commit);
  rt::Task<void> commit_all();
  void finish(Commit& commit, Result<void> result);

  rt::Loop& loop_;
  rt::Blocking& blocking_;
  std::shared_ptr<Database> database_;  // shared with the commit that may run on another thread
  State state_;
  Batch pending_;                        // staged, not yet handed to a commit
  Batch owed_;                           // shown, and refused by the disk: part of the next commit
  std::size_t shown_early_ = 0;          // shown and not durable
  std::shared_ptr<Commit> next_commit_;  // of pending_; null when it is empty
  std::shared_ptr<Commit> running_;      // null when none is
  rt::Scope scope_;
};

}  // namespace tulle::store
