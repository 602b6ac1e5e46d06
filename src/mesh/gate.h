// Circuit breaking: how many may be inside at once, and a short queue of those who wait for that.
//
// A resource shared by all loops of a process; it locks. Who leaves lets in who has waited longest.
// Who is inside and may do without its place is asked for it when somebody has to wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace tulle::mesh {

class Gate final {
 public:
  enum class Entry : std::uint8_t { inside, waiting, full };
  struct Limits {
    std::uint32_t inside_max = 0;
    std::uint32_t waiting_max = 0;
  };
  // What holds places that it may be able to spare. `on_wanted` is called once for all of them
  // when somebody has to wait, as `on_turn` is.
  struct Keeper {
    const void* who = nullptr;
    std::function<void()> on_wanted = {};
  };

  // A place inside or in the queue, given up when it is destroyed. It keeps the gate alive.
  class Place final {
   public:
    Place() = default;
    Place(Place&& other) noexcept;
    Place& operator=(Place&& other) noexcept;
    ~Place() { leave(); }

    Entry entry() const;
    void leave();

   private:
    friend class Gate;
    struct Holder {
      std::function<void()> on_turn;  // empty: inside from the start
      Entry entry = Entry::full;
      Keeper keeper = {};
    };
    using Waiting = std::list<Holder>::iterator;
    Place(std::shared_ptr<Gate> gate, Waiting holder) : gate_(std::move(gate)), holder_(holder) {}

    std::shared_ptr<Gate> gate_;  // null: full
    Waiting holder_;
  };

  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // `on_turn` is called once when a place in the queue has become one inside, by whoever left, on
  // any thread, with the gate locked: it must not touch the gate.
  static Place enter(const std::shared_ptr<Gate>& gate, const Limits& limits,
                     std::function<void()> on_turn, Keeper keeper);
  static Place enter(const std::shared_ptr<Gate>& gate, const Limits& limits,
                     std::function<void()> on_turn) {
    return enter(gate, limits, std::move(on_turn), {});
  }

  // Whether the next who is let in is this one.
  bool is_next(const Place& place) const;

  std::size_t inside() const;
  std::size_t waiting() const;

 private:
  void let_in();
  void ask_keepers();

  mutable std::mutex mutex_;
  std::uint32_t inside_max_ = 0;  // as last asked for
  std::list<Place::Holder> inside_;
  std::list<Place::Holder> waiting_;  // longest first
};

}  // namespace tulle::mesh
