// The line-based notation of src/kube/data: comments start with '#', words are separated by
// spaces, lines that belong to the line before are indented.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string_view>
#include <vector>

namespace tulle::kube {

struct TextLine {
  std::size_t number = 0;  // from 1
  bool indented = false;
  std::string_view text;  // without indentation and trailing spaces
};

// The lines of `text` that are neither empty nor comments.
std::vector<TextLine> split_lines(std::string_view text);
std::vector<std::string_view> split_words(std::string_view text);
// Cuts `text` at the first `separator`: returns what follows and leaves what comes before it, both
// without surrounding spaces. Without a separator the result is empty.
std::string_view cut(std::string_view& text, std::string_view separator);

// "kinds.txt:12: what".
Error line_error(std::string_view file, const TextLine& line, std::string_view what);

}  // namespace tulle::kube
