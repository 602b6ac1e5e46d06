// Something that the loop will run, and the intrusive lists it waits in.
//
// A Runnable is in at most one list at a time: a WaitList until what it waits for happens, then the
// loop's run queue until its turn. Destroying it takes it out of either, so a dropped coroutine is
// never resumed. Nothing here allocates.
#pragma once

namespace tulle::rt {

class Loop;

// A link of a circular doubly linked list; a lone link points at itself.
class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  bool linked() const { return next_ != this; }
  void unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = this;
  }
  // REQUIRES: !linked().
  void insert_before(Link& position) {
    prev_ = position.prev_;
    next_ = &position;
    prev_->next_ = this;
    position.prev_ = this;
  }
  // Moves every other member of `list`'s ring before this link.
  void take_all(Link& list) {
    if (!list.linked()) return;
    list.next_->prev_ = prev_;
    prev_->next_ = list.next_;
    list.prev_->next_ = this;
    prev_ = list.prev_;
    list.next_ = list.prev_ = &list;
  }
  Link& next() { return *next_; }

 protected:
  ~Link() { unlink(); }

 private:
  Link* next_ = this;
  Link* prev_ = this;
};

class ListHead final : public Link {};

class Runnable : public Link {
 public:
  virtual void run() = 0;

 protected:
  ~Runnable() = default;
};

// Those who wait for one thing. Waking only schedules: nobody runs inside the caller.
class WaitList final {
 public:
  bool empty() { return !head_.linked(); }
  // REQUIRES: `waiter` is in no list.
  void add(Runnable& waiter) { waiter.insert_before(head_); }
  void wake_one(Loop& loop);
  void wake_all(Loop& loop);

 private:
  ListHead head_;
};

}  // namespace tulle::rt
