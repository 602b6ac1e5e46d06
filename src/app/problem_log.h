// Says in the log what the mesh cannot follow as written, each problem once while it lasts.
#pragma once

#include "compile/compiler.h"

#include <string>
#include <vector>

namespace tulle::app {

class ProblemLog final {
 public:
  void say(const compile::Compiler& compiler);

 private:
  std::vector<std::string> said_;  // of the last call
};

}  // namespace tulle::app
