#include "cli/status_metrics.h"

#include "base/format.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace tulle::cli {

namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == ':';
}

// Takes one sample apart from its left end.
class LineReader final {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  Result<Sample> read() {
    Sample sample;
    TRY(sample.name, name());
    if (take('{')) TRY_VOID(labels(sample));
    skip_space();
    TRY(sample.value, value());
    return sample;
  }

 private:
  void skip_space() {
    while (rest_.starts_with(' ') || rest_.starts_with('\t')) rest_.remove_prefix(1);
  }

  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  Result<std::string> name() {
    skip_space();
    const auto end = std::ranges::find_if_not(rest_, is_name_character);
    const auto size = static_cast<std::size_t>(end - rest_.begin());
    if (size == 0) return fail(Code::malformed, "a name is missing");
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }

  Result<void> labels(Sample& sample) {
    while (!take('}')) {
      TRY(std::string label, name());
      if (!take('=') || !take('"'))
        return fail(Code::malformed, "label " + label + " has no value");
      TRY(std::string text, quoted());
      sample.labels.insert_or_assign(std::move(label), std::move(text));
      take(',');
    }
    return {};
  }

  // Up to and with the closing quote; \\, \" and \n are undone.
  Result<std::string> quoted() {
    std::string text;
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (rest_[i] == '\\' && i + 1 < rest_.size()) {
        ++i;
        text += rest_[i] == 'n' ? '\n' : rest_[i];
      } else {
        text += rest_[i];
      }
    }
    return fail(Code::malformed, "a label's value has no end");
  }

  // A number of Go's strconv.ParseFloat; what follows it is the timestamp.
  Result<double> value() const {
    const std::string_view text = rest_.substr(0, rest_.find_first_of(" \t"));
    if (text == "+Inf") return std::numeric_limits<double>::infinity();
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
      return failf(Code::malformed, "'{}' is no number", text);
    }
    return number;
  }

  std::string_view rest_;
};

bool matches(const Sample& sample, std::string_view name, Samples::Labels labels) {
  return sample.name == name && std::ranges::all_of(labels, [&sample](const auto& label) {
           const auto found = sample.labels.find(std::string(label.first));
           return found != sample.labels.end() && found->second == label.second;
         });
}

}  // namespace

Result<Samples> Samples::parse(std::string_view text) {
  Samples samples;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos || line[start] == '#') continue;
    auto sample = LineReader(line).read();
    if (!sample) {
      return std::move(sample).error().context("metrics line " + std::to_string(number));
    }
    samples.all_.push_back(*std::move(sample));
  }
  return samples;
}

double Samples::sum(std::string_view name, Labels labels) const {
  double sum = 0;
  for (const Sample& sample : all_) {
    if (matches(sample, name, labels)) sum += sample.value;
  }
  return sum;
}

std::optional<double> Samples::value(std::string_view name) const {
  const auto found = std::ranges::find(all_, name, &Sample::name);
  if (found == all_.end()) return std::nullopt;
  return found->value;
}

}  // namespace tulle::cli
