#include "store/memory_store.h"

namespace tulle::store {

rt::Task<Result<ItemRef>> MemoryStore::put(Key key, Expected expected, Render render, Durability) {
  co_return write(std::move(key), expected, render, false);
}

rt::Task<Result<ItemRef>> MemoryStore::erase(Key key, Expected expected, Render render) {
  co_return write(std::move(key), expected, render, true);
}

rt::Task<Result<void>> MemoryStore::flush() { co_return Result<void>(); }

Result<ItemRef> MemoryStore::write(Key key, Expected expected, const Render& render, bool erase) {
  TRY(EventRef event, state_.stage(std::move(key), expected, render, erase));
  state_.publish(event);
  return event->item;
}

}  // namespace tulle::store
