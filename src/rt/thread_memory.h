// Memory for what comes and goes with every request: coroutine frames and read buffers. A request
// runs through some twenty coroutines, whose frames are of the same few sizes each time. Every
// thread keeps what was freed for the next of that size, which costs a few instructions where
// malloc costs a hundred.
//
// Memory may be freed by another thread than allocated it. What a thread keeps is bounded by
// kThreadMemoryKeptMax and is not given back before the process ends. Under AddressSanitizer all of
// it comes from and goes to the heap, so that a use after its end is seen.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace tulle::rt {

inline constexpr std::size_t kThreadMemoryKeptMax = 1 << 20;

namespace detail {

class ThreadMemory final {
 public:
  void* allocate(std::size_t size) {
    const std::size_t sizes = size_class(size);
    if (sizes >= free_.size() || free_[sizes] == nullptr) return ::operator new(rounded(size));
    Free* const block = free_[sizes];
    free_[sizes] = block->next;
    kept_ -= rounded(size);
    return block;
  }

  void free(void* block, std::size_t size) {
    const std::size_t sizes = size_class(size);
    if (sizes >= free_.size() || kept_ + rounded(size) > kThreadMemoryKeptMax) {
      return ::operator delete(block);
    }
    free_[sizes] = new (block) Free{free_[sizes]};
    kept_ += rounded(size);
  }

  std::size_t kept() const { return kept_; }  // bytes

 private:
  struct Free {
    Free* next;
  };
  static constexpr std::size_t kStep = 64;
  static constexpr std::size_t size_class(std::size_t size) { return (size - 1) / kStep; }
  static constexpr std::size_t rounded(std::size_t size) { return (size_class(size) + 1) * kStep; }

  std::array<Free*, 256> free_{};  // by size: up to 64 bytes, up to 128, …, up to 16 KB
  std::size_t kept_ = 0;
};

// Has no destructor on purpose: frames may end after it would have run.
inline constinit thread_local ThreadMemory thread_memory;

}  // namespace detail

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TULLE_MEMORY_FROM_HEAP
#endif
#endif

// REQUIRES: size > 0.
inline void* allocate(std::size_t size) {
#if defined(TULLE_MEMORY_FROM_HEAP)
  return ::operator new(size);
#else
  return detail::thread_memory.allocate(size);
#endif
}

// `size` as it was allocated.
inline void deallocate(void* block, [[maybe_unused]] std::size_t size) {
#if defined(TULLE_MEMORY_FROM_HEAP)
  ::operator delete(block);
#else
  detail::thread_memory.free(block, size);
#endif
}

}  // namespace tulle::rt
