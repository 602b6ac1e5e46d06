// What an acceptor says of connections that it cannot accept: once in the log, until one is
// accepted again.
#pragma once

#include "base/address.h"
#include "base/error.h"

namespace tulle::net {

class AcceptTrouble final {
 public:
  // `at`: where it listens.
  void failed(const SocketAddress& at, const Error& why);
  void accepted() { said_ = false; }

 private:
  bool said_ = false;
};

}  // namespace tulle::net
