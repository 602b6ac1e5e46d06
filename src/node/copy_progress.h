// When everything that a program printed was handed on, although its streams may stay open: others
// may hold them.
#pragma once

#include "rt/combine.h"
#include "rt/scope.h"

#include <cstddef>

namespace tulle::node {

// What tasks that copy streams have done. Must outlive them.
struct CopyProgress {
  // Lives while a piece that was read is handed on.
  class Piece final {
   public:
    explicit Piece(CopyProgress& progress) : progress_(progress) {
      ++progress_.pieces;
      ++progress_.under_way;
    }
    ~Piece() { --progress_.under_way; }
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;

   private:
    CopyProgress& progress_;
  };

  std::size_t pieces = 0;
  std::size_t under_way = 0;
};

// Until all copies have ended, or none has read anything for `silence` or has anything in hand.
// However long who gets it takes for that.
inline rt::Task<void> copied_or_silent(rt::Scope& copies, const CopyProgress& progress,
                                       Duration silence) {
  rt::Loop& loop = copies.loop();
  while (copies.size() > 0) {
    const std::size_t before = progress.pieces;
    co_await rt::race(copies.idle(), rt::until(loop, loop.now() + silence));
    if (progress.pieces == before && progress.under_way == 0) co_return;
  }
}

}  // namespace tulle::node
