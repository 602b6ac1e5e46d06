// The logging front. A log line is one event: a sentence, then key=value pairs. Below the one
// function per server that turns errors into outcomes nobody logs.
//
//   log::warn("control exited; starting it again", {{"signal", "9"}});
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace tulle::log {

enum class Level { debug, info, warning, error };

using Fields = std::initializer_list<std::pair<std::string_view, std::string>>;

// Lines below `level` are dropped. Lines go to standard error, each written whole.
// `role` is put into every line of this process ("control", "proxy").
void configure(Level level, std::string_view role);

void write(Level level, std::string_view sentence, Fields fields);

inline void debug(std::string_view sentence, Fields fields = {}) {
  write(Level::debug, sentence, fields);
}
inline void info(std::string_view sentence, Fields fields = {}) {
  write(Level::info, sentence, fields);
}
inline void warn(std::string_view sentence, Fields fields = {}) {
  write(Level::warning, sentence, fields);
}
inline void error(std::string_view sentence, Fields fields = {}) {
  write(Level::error, sentence, fields);
}

}  // namespace tulle::log
