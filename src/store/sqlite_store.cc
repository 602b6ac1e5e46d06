#include "store/sqlite_store.h"

#include "base/format.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>
#include <utility>

namespace tulle::store {

namespace {

// Read by our own opening only; raised when the tables change.
constexpr int schema_version = 1;

constexpr const char* schema =
    "CREATE TABLE objects(bucket TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,"
    " revision INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY(bucket, namespace, name));"
    "CREATE TABLE counter(revision INTEGER NOT NULL);"
    "INSERT INTO counter VALUES(0);"
    "PRAGMA user_version = 1;";

Error sqlite_error(sqlite3* database, std::string_view what) {
  int code = database == nullptr ? SQLITE_NOMEM : sqlite3_errcode(database);
  const int system = database == nullptr ? 0 : sqlite3_system_errno(database);
  if (code == SQLITE_FULL || system == ENOSPC || system == EDQUOT) {
    return {.code = Code::unavailable,
            .message = "the store cannot be written: no space left on device",
            .os_error = ENOSPC};
  }
  Code ours = Code::io;
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) ours = Code::malformed;
  return failf(ours, "{}: {}", what,
               database == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(database));
}

// A prepared statement; the database outlives it.
class Statement final {
 public:
  Statement() = default;
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Result<void> prepare(sqlite3* database, const char* text) {
    database_ = database;
    if (sqlite3_prepare_v2(database, text, -1, &statement_, nullptr) != SQLITE_OK) {
      return sqlite_error(database, text);
    }
    return {};
  }

  // The text must stay until the next run() or reset.
  void bind(int index, std::string_view text) {
    sqlite3_bind_text(statement_, index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  }
  void bind(int index, Revision revision) {
    sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(revision));
  }

  // Steps a statement that gives no rows.
  Result<void> run() {
    int code = sqlite3_step(statement_);
    Result<void> result;
    if (code != SQLITE_DONE) result = sqlite_error(database_, sqlite3_sql(statement_));
    sqlite3_reset(statement_);
    return result;
  }

  // True while there is a row.
  Result<bool> step() {
    int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return sqlite_error(database_, sqlite3_sql(statement_));
  }

  std::string text(int column) const {
    const void* bytes = sqlite3_column_blob(statement_, column);
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
  }
  Revision revision(int column) const {
    return static_cast<Revision>(sqlite3_column_int64(statement_, column));
  }

 private:
  sqlite3* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace

// The connection. Used by the opening thread, then by one commit at a time.
class SqliteStore::Database final {
 public:
  ~Database() { sqlite3_close_v2(database_); }

  Result<void> open(const std::string& path) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path.c_str(), &database_, flags, nullptr) != SQLITE_OK) {
      return sqlite_error(database_, "cannot open " + path);
    }
    TRY_VOID(
        execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                "PRAGMA journal_size_limit = 4194304; PRAGMA locking_mode = EXCLUSIVE;"));
    TRY_VOID(create_tables(path));
    TRY_VOID(put_.prepare(database_, "INSERT OR REPLACE INTO objects VALUES(?, ?, ?, ?, ?)"));
    TRY_VOID(erase_.prepare(database_,
                            "DELETE FROM objects WHERE bucket = ? AND namespace = ? AND name = ?"));
    return count_.prepare(database_, "UPDATE counter SET revision = ?");
  }

  Result<void> read_all(State& state) {
    Statement objects;
    TRY_VOID(
        objects.prepare(database_, "SELECT bucket, namespace, name, value, revision FROM objects"));
    for (;;) {
      TRY(bool row, objects.step());
      if (!row) break;
      Key key{objects.text(0), objects.text(1), objects.text(2)};
      state.load(
          std::make_shared<const Item>(std::move(key), objects.text(3), objects.revision(4)));
    }
    Statement counter;
    TRY_VOID(counter.prepare(database_, "SELECT revision FROM counter"));
    TRY(bool row, counter.step());
    if (!row) return fail(Code::malformed, "the store has no revision counter");
    // A new store begins at the beginning: nothing can have been shown before its first commit.
    const Revision reached = counter.revision(0);
    state.start_at(reached == 0 ? 0 : reached + shown_early_max + 1);
    return {};
  }

  // All of `batch`, or nothing. Returns when it is on the disk.
  Result<void> commit(const Batch& batch) {
    TRY_VOID(execute("BEGIN IMMEDIATE"));
    Result<void> written = write(batch);
    if (written) written = execute("COMMIT");
    if (!written && sqlite3_get_autocommit(database_) == 0) (void)execute("ROLLBACK");
    return written;
  }

 private:
  Result<void> execute(const char* text) {
    if (sqlite3_exec(database_, text, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return sqlite_error(database_, text);
  }

  Result<void> create_tables(const std::string& path) {
    Statement version;
    TRY_VOID(version.prepare(database_, "PRAGMA user_version"));
    TRY(bool row, version.step());
    Revision found = row ? version.revision(0) : 0;
    if (found == schema_version) return {};
    if (found != 0) {
      return failf(Code::malformed, "{} has format {}, this version reads {}", path, found,
                   schema_version);
    }
    return execute(fmt::format("BEGIN; {} COMMIT;", schema).c_str());
  }

  Result<void> write(const Batch& batch) {
    for (const auto& [event, shown] : batch) {
      Statement& statement = event->deleted ? erase_ : put_;
      const Item& item = *event->item;
      statement.bind(1, item.key.bucket);
      statement.bind(2, item.key.namespace_);
      statement.bind(3, item.key.name);
      if (!event->deleted) {
        statement.bind(4, item.revision);
        statement.bind(5, item.value);
      }
      TRY_VOID(statement.run());
    }
    count_.bind(1, batch.back().event->item->revision);
    return count_.run();
  }

  // Finalised before the connection closes: sqlite3_close_v2 waits for them.
  sqlite3* database_ = nullptr;
  Statement put_;
  Statement erase_;
  Statement count_;
};

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(rt::Loop& loop, rt::Blocking& blocking,
                                                       const std::string& path) {
  auto database = std::make_shared<Database>();
  TRY_VOID(database->open(path));
  std::unique_ptr<SqliteStore> opened(new SqliteStore(loop, blocking, database));
  TRY_VOID(database->read_all(opened->state_));
  return opened;
}

SqliteStore::SqliteStore(rt::Loop& loop, rt::Blocking& blocking, std::shared_ptr<Database> database)
    : loop_(loop),
      blocking_(blocking),
      database_(std::move(database)),
      state_(loop),
      scope_(loop) {}

SqliteStore::~SqliteStore() = default;

rt::Task<Result<ItemRef>> SqliteStore::put(Key key, Expected expected, Render render,
                                           Durability durability) {
  return write(std::move(key), expected, std::move(render), {.durability = durability});
}

rt::Task<Result<ItemRef>> SqliteStore::erase(Key key, Expected expected, Render render) {
  return write(std::move(key), expected, std::move(render), {.erase = true});
}

rt::Task<Result<void>> SqliteStore::flush() {
  if (next_commit_) return wait_for(next_commit_);
  return wait_for(running_);
}

rt::Task<Result<ItemRef>> SqliteStore::write(Key key, Expected expected, Render render, How how) {
  const bool all_shown = state_.revision() == state_.head_revision();
  CO_TRY(EventRef event, state_.stage(std::move(key), expected, render, how.erase));
  const bool show =
      how.durability == Durability::later && all_shown && shown_early_ < shown_early_max;
  if (pending_.empty()) pending_ = std::exchange(owed_, {});
  pending_.push_back({.event = event, .shown = show});
  if (!next_commit_) next_commit_ = std::make_shared<Commit>();
  auto commit = next_commit_;
  if (scope_.size() == 0) scope_.spawn(commit_all());
  if (show) {
    ++shown_early_;
    state_.publish(event);
  } else {
    CO_TRY_VOID(co_await wait_for(std::move(commit)));
  }
  co_return event->item;
}

rt::Task<Result<void>> SqliteStore::wait_for(std::shared_ptr<Commit> commit) {
  if (!commit) co_return Result<void>();
  while (!commit->done) co_await rt::wait_on(commit->waiters);
  co_return commit->result;
}

rt::Task<void> SqliteStore::commit_all() {
  while (!pending_.empty()) {
    auto batch = std::make_shared<const Batch>(std::exchange(pending_, {}));
    running_ = std::exchange(next_commit_, nullptr);
    Result<void> result = co_await rt::run_blocking(
        blocking_, [database = database_, batch] { return database->commit(*batch); });
    if (!result) {
      give_up(*batch, result);
      continue;
    }
    for (const auto& [event, shown] : *batch) {
      if (shown) {
        --shown_early_;
      } else {
        state_.publish(event);
      }
    }
    finish(*std::exchange(running_, nullptr), {});
  }
}

// What was staged meanwhile rests on what failed: it fails too. What is shown stays owed.
void SqliteStore::give_up(const Batch& batch, const Result<void>& why) {
  state_.discard_staged();
  for (const Batch* failed : {&batch, &std::as_const(pending_)}) {
    std::ranges::copy_if(*failed, std::back_inserter(owed_), &Write::shown);
  }
  pending_.clear();
  if (next_commit_) finish(*std::exchange(next_commit_, nullptr), why);
  finish(*std::exchange(running_, nullptr), why);
}

void SqliteStore::finish(Commit& commit, Result<void> result) {
  commit.done = true;
  commit.result = std::move(result);
  commit.waiters.wake_all(loop_);
}

}  // namespace tulle::store
