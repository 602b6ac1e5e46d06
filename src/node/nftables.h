// The kernel's packet filter, told what to do in the language of nft(8).
#pragma once

#include "base/result.h"

#include <memory>
#include <string>

struct nft_ctx;

namespace tulle::node {

// A conversation with the kernel about one network namespace. Ending one takes some ten
// milliseconds where something was deleted in it: the kernel then waits until nobody sees that any
// more.
class Nftables final {
 public:
  // With the calling thread in the namespace.
  Nftables();
  Nftables(const Nftables&) = delete;
  Nftables& operator=(const Nftables&) = delete;

  // Runs commands: all of them or, with an error, none. Blocks for less than a millisecond.
  // REQUIRES: the calling thread is in the namespace again.
  Result<void> run(const std::string& commands);

 private:
  std::unique_ptr<nft_ctx, void (*)(nft_ctx*)> context_;
};

// What is missing for any pod's network on this machine: an error that says what to do.
Result<void> check_nftables();

}  // namespace tulle::node
