#include "app/problem_log.h"

#include "base/log.h"

#include <algorithm>

namespace tulle::app {

void ProblemLog::say(const compile::Compiler& compiler) {
  std::vector<std::string> current;
  for (const auto& problem : compiler.problems()) {
    current.push_back(std::string(compile::to_string(problem.kind)) + " " +
                      problem.object.to_string() + ": " + problem.text);
    if (std::ranges::find(said_, current.back()) == said_.end()) {
      log::warn("an object cannot be followed as written", {{"what", current.back()}});
    }
  }
  said_ = std::move(current);
}

}  // namespace tulle::app
