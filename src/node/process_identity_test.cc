#include "node/process_identity.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <string>

namespace tulle::node {
namespace {

TEST(ProcessIdentity, names_a_process_while_it_runs) {
  EXPECT_EQ(running_process(identity_of(::getpid())), ::getpid());
  EXPECT_EQ(running_process(""), 0);
  EXPECT_EQ(identity_of(0), "");
}

TEST(ProcessIdentity, is_another_with_another_start_or_after_another_boot) {
  const std::string own = identity_of(::getpid());
  const std::size_t start = own.find(' ') + 1;
  std::string later = own;
  later.insert(start, "1");
  EXPECT_EQ(running_process(later), 0);
  std::string rebooted = own;
  rebooted.back() = rebooted.back() == '0' ? '1' : '0';
  EXPECT_EQ(running_process(rebooted), 0);
  EXPECT_EQ(running_process(own.substr(0, own.rfind(' '))), 0);
}

}  // namespace
}  // namespace tulle::node
