#include "kube/schema_text.h"

#include "base/format.h"

namespace tulle::kube {
namespace {

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<TextLine> split_lines(std::string_view text) {
  std::vector<TextLine> lines;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    std::string_view content = trim(line);
    if (content.empty() || content.starts_with('#')) continue;
    lines.push_back({.number = number, .indented = line.starts_with(' '), .text = content});
  }
  return lines;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (text = trim(text); !text.empty(); text = trim(text)) {
    words.push_back(text.substr(0, text.find(' ')));
    text.remove_prefix(words.back().size());
  }
  return words;
}

std::string_view cut(std::string_view& text, std::string_view separator) {
  std::size_t at = text.find(separator);
  if (at == std::string_view::npos) return {};
  std::string_view after = trim(text.substr(at + separator.size()));
  text = trim(text.substr(0, at));
  return after;
}

Error line_error(std::string_view file, const TextLine& line, std::string_view what) {
  return failf(Code::internal, "{}:{}: {}", file, line.number, what);
}

}  // namespace tulle::kube
