#include "kube/selector.h"

#include "base/format.h"
#include "kube/names.h"
#include "kube/object.h"

#include <fmt/ranges.h>
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <tuple>

namespace tulle::kube {

namespace {

using Operator = Selector::Operator;
using Requirement = Selector::Requirement;

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error invalid_value(std::string_view field, std::string_view value,
                    const std::vector<std::string>& problems) {
  return failf(Code::invalid_argument, "{}: Invalid value: \"{}\": {}", field, value,
               fmt::join(problems, "; "));
}

// What upstream's NewRequirement checks. Sorts the values.
Result<Requirement> check(Requirement requirement) {
  if (const auto problems = check_qualified_name(requirement.key); !problems.empty())
    return invalid_value("key", requirement.key, problems);
  auto& values = requirement.values;
  const bool is_set = requirement.op == Operator::in || requirement.op == Operator::not_in;
  if (is_set && values.empty())
    return fail(Code::invalid_argument,
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be "
                "empty");
  if (requirement.op == Operator::greater_than || requirement.op == Operator::less_than) {
    if (!parse_integer(values.front()))
      return invalid_value("values[0]", values.front(),
                           {"for 'Gt', 'Lt' operators, the value must be an integer"});
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    if (const auto problems = check_label_value(values[i]); !problems.empty())
      return invalid_value(fmt::format("values[{}][{}]", i, requirement.key), values[i], problems);
  std::ranges::sort(values);
  const auto repeated = std::ranges::unique(values);
  values.erase(repeated.begin(), repeated.end());
  return requirement;
}

void put_in_order(std::vector<Requirement>& requirements) {
  std::ranges::sort(requirements, {},
                    [](const Requirement& one) { return std::tie(one.key, one.op, one.values); });
}

// --- The string form ----------------------------------------------------------------------------

enum class TokenKind : std::uint8_t { end, identifier, symbol };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;

  bool is(std::string_view symbol) const { return kind == TokenKind::symbol && text == symbol; }
  // A key or a value: `in` and `notin` are operators only between them.
  bool is_identifier() const { return kind == TokenKind::identifier; }
};

class Parser final {
 public:
  explicit Parser(std::string_view text) : rest_(text) { advance(); }

  Result<std::vector<Requirement>> parse() {
    std::vector<Requirement> requirements;
    while (token_.kind != TokenKind::end) {
      if (!token_.is_identifier() && !token_.is("!"))
        return expected("!, identifier, or 'end of string'");
      auto requirement = parse_requirement();
      if (!requirement)
        return std::move(requirement).error().context("unable to parse requirement");
      requirements.push_back(*std::move(requirement));
      if (token_.kind == TokenKind::end) break;
      if (!token_.is(",")) return expected("',' or 'end of string'");
      advance();
      if (!token_.is_identifier() && !token_.is("!")) return expected("identifier after ','");
    }
    return requirements;
  }

 private:
  void advance() {
    constexpr std::string_view blanks = " \t\r\n";
    constexpr std::string_view symbols = "=!(),<>";
    rest_.remove_prefix(std::min(rest_.find_first_not_of(blanks), rest_.size()));
    if (rest_.empty()) {
      token_ = {};
      return;
    }
    std::size_t size = 1;
    token_.kind = TokenKind::symbol;
    if (rest_.starts_with("==") || rest_.starts_with("!=")) {
      size = 2;
    } else if (!symbols.contains(rest_.front())) {
      token_.kind = TokenKind::identifier;
      while (size < rest_.size() && !symbols.contains(rest_[size]) && !blanks.contains(rest_[size]))
        ++size;
    }
    token_.text = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }

  Error expected(std::string_view what) const {
    return failf(Code::invalid_argument, "found '{}', expected: {}", token_.text, what);
  }

  Result<Requirement> parse_requirement() {
    Requirement requirement;
    const bool negated = token_.is("!");
    if (negated) advance();
    if (!token_.is_identifier()) return expected("identifier");
    requirement.key = token_.text;
    advance();
    if (negated || token_.kind == TokenKind::end || token_.is(",")) {
      requirement.op = negated ? Operator::does_not_exist : Operator::exists;
      return check(std::move(requirement));
    }
    TRY(requirement.op, parse_operator());
    if (requirement.op == Operator::in || requirement.op == Operator::not_in) {
      TRY_VOID(parse_values(requirement.values));
    } else {
      TRY_VOID(parse_exact_value(requirement.values));
    }
    return check(std::move(requirement));
  }

  Result<Operator> parse_operator() {
    struct Row {
      std::string_view text;
      Operator op;
    };
    constexpr Row rows[] = {
        {"=", Operator::equals},    {"==", Operator::equals},    {"!=", Operator::not_equals},
        {"in", Operator::in},       {"notin", Operator::not_in}, {">", Operator::greater_than},
        {"<", Operator::less_than},
    };
    const auto* row = std::ranges::find(rows, token_.text, &Row::text);
    if (row == std::end(rows)) return expected("in, notin, =, ==, !=, gt, lt");
    advance();
    return row->op;
  }

  // "(x,y)". Nothing between two commas is the empty value, as upstream has it.
  Result<void> parse_values(std::vector<std::string>& values) {
    if (!token_.is("(")) return expected("'('");
    advance();
    if (token_.is(")")) {
      advance();
      return {};
    }
    while (true) {
      if (token_.is_identifier()) {
        values.emplace_back(token_.text);
        advance();
      } else if (token_.is(",") || token_.is(")")) {
        values.emplace_back();
      } else {
        return expected("',', ')' or identifier");
      }
      const bool last = token_.is(")");
      if (!last && !token_.is(",")) return expected("',' or ')'");
      advance();
      if (last) return {};
    }
  }

  Result<void> parse_exact_value(std::vector<std::string>& values) {
    if (token_.kind == TokenKind::end || token_.is(",")) {
      values.emplace_back();
      return {};
    }
    if (!token_.is_identifier()) return expected("identifier");
    values.emplace_back(token_.text);
    advance();
    return {};
  }

  std::string_view rest_;
  Token token_;
};

// --- Matching -----------------------------------------------------------------------------------

bool matches_one(const Requirement& requirement, const json::object& labels) {
  const json::value* label = labels.if_contains(requirement.key);
  const bool exists = label != nullptr;
  const std::string_view value = exists ? string_or(*label) : std::string_view();
  const auto listed = [&] {
    return exists && std::ranges::binary_search(requirement.values, value, std::ranges::less{});
  };
  const auto compared = [&](auto compare) {
    const auto left = parse_integer(value);
    const auto right = parse_integer(requirement.values.front());
    return exists && left && right && compare(*left, *right);
  };
  switch (requirement.op) {
    case Operator::equals:
    case Operator::in: return listed();
    case Operator::not_equals:
    case Operator::not_in: return !listed();
    case Operator::exists: return exists;
    case Operator::does_not_exist: return !exists;
    case Operator::greater_than: return compared(std::greater{});
    case Operator::less_than: return compared(std::less{});
  }
  return false;
}

std::string text_of(const Requirement& requirement) {
  const auto with = [&](std::string_view op) {
    return fmt::format("{}{}{}", requirement.key, op, requirement.values.front());
  };
  const auto list = [&](std::string_view op) {
    const std::string values = fmt::format("{}", fmt::join(requirement.values, ","));
    // The empty value alone needs a comma: "()" would be no value at all.
    return fmt::format("{} {} ({})", requirement.key, op, values.empty() ? "," : values);
  };
  switch (requirement.op) {
    case Operator::equals: return with("=");
    case Operator::not_equals: return with("!=");
    case Operator::greater_than: return with(">");
    case Operator::less_than: return with("<");
    case Operator::in: return list("in");
    case Operator::not_in: return list("notin");
    case Operator::exists: return requirement.key;
    case Operator::does_not_exist: return "!" + requirement.key;
  }
  return {};
}

Result<Requirement> requirement_from_expression(const json::object& expression) {
  Requirement requirement{.key = std::string(string_at(expression, "key"))};
  const std::string_view op = string_at(expression, "operator");
  if (op == "In")
    requirement.op = Operator::in;
  else if (op == "NotIn")
    requirement.op = Operator::not_in;
  else if (op == "Exists")
    requirement.op = Operator::exists;
  else if (op == "DoesNotExist")
    requirement.op = Operator::does_not_exist;
  else
    return failf(Code::invalid_argument, "\"{}\" is not a valid label selector operator", op);
  for (const json::value& value : array_at(expression, "values"))
    requirement.values.emplace_back(string_or(value));
  const bool is_set = requirement.op == Operator::in || requirement.op == Operator::not_in;
  if (!is_set && !requirement.values.empty())
    return fail(Code::invalid_argument,
                "values: Invalid value: values set must be empty for exists and does not exist");
  return check(std::move(requirement));
}

}  // namespace

// --- Selector -----------------------------------------------------------------------------------

Result<Selector> Selector::parse(std::string_view text) {
  Selector selector;
  TRY(selector.requirements_, Parser(text).parse());
  put_in_order(selector.requirements_);
  return selector;
}

Result<Selector> Selector::from_label_selector(const json::object& label_selector) {
  Selector selector;
  for (const auto& label : object_at(label_selector, "matchLabels")) {
    TRY(Requirement requirement, check({.key = std::string(label.key()),
                                        .op = Operator::equals,
                                        .values = {std::string(string_or(label.value()))}}));
    selector.requirements_.push_back(std::move(requirement));
  }
  for (const json::value& value : array_at(label_selector, "matchExpressions")) {
    TRY(Requirement requirement, requirement_from_expression(object_or_empty(value)));
    selector.requirements_.push_back(std::move(requirement));
  }
  put_in_order(selector.requirements_);
  return selector;
}

Selector Selector::from_map(const json::object& labels) {
  Selector selector;
  for (const auto& label : labels)
    selector.requirements_.push_back({.key = std::string(label.key()),
                                      .op = Operator::equals,
                                      .values = {std::string(string_or(label.value()))}});
  put_in_order(selector.requirements_);
  return selector;
}

Selector Selector::nothing() {
  Selector selector;
  selector.matches_nothing_ = true;
  return selector;
}

bool Selector::matches(const json::object& labels) const {
  return !matches_nothing_ && std::ranges::all_of(requirements_, [&](const Requirement& one) {
    return matches_one(one, labels);
  });
}

std::string Selector::to_string() const {
  std::string text;
  for (const Requirement& requirement : requirements_) {
    if (!text.empty()) text += ',';
    text += text_of(requirement);
  }
  return text;
}

// --- FieldSelector ------------------------------------------------------------------------------

namespace {

// Cuts the term up to the next comma that no backslash precedes.
std::string_view take_term(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && text[end] != ',') end += text[end] == '\\' ? 2 : 1;
  end = std::min(end, text.size());
  const std::string_view term = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return term;
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '=')
      return failf(Code::invalid_argument,
                   "invalid field selector: unescaped character in value: {}", text[i]);
    if (text[i] == '\\') {
      if (i + 1 == text.size() || !std::string_view("\\,=").contains(text[i + 1]))
        return failf(Code::invalid_argument, "invalid field selector: invalid escape sequence: {}",
                     text.substr(i, 2));
      ++i;
    }
    out += text[i];
  }
  return out;
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == ',' || c == '=') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector selector;
  const std::string_view whole = text;
  while (!text.empty()) {
    const std::string_view term = take_term(text);
    if (term.empty()) continue;
    const auto equals = term.find('=');
    if (equals == term.npos)
      return failf(Code::invalid_argument, "invalid selector: '{}'; can't understand '{}'", whole,
                   term);
    const bool negated = equals > 0 && term[equals - 1] == '!';
    const std::size_t value_at = term.substr(equals).starts_with("==") ? equals + 2 : equals + 1;
    TRY(std::string value, unescape(term.substr(negated ? equals + 1 : value_at)));
    selector.requirements_.push_back(
        {.path = std::string(term.substr(0, negated ? equals - 1 : equals)),
         .value = std::move(value),
         .negated = negated});
  }
  return selector;
}

Result<void> FieldSelector::check_supported(std::span<const std::string> paths) const {
  for (const Requirement& requirement : requirements_) {
    const std::string& path = requirement.path;
    if (path == "metadata.name" || path == "metadata.namespace") continue;
    if (std::ranges::find(paths, path) == paths.end())
      return failf(Code::invalid_argument, "field label not supported: {}", path);
  }
  return {};
}

bool FieldSelector::matches(const json::object& object) const {
  return std::ranges::all_of(requirements_, [&](const Requirement& requirement) {
    const json::value* field = find(object, requirement.path);
    const std::string& wanted = requirement.value;
    const bool equal = field == nullptr ? wanted.empty() || wanted == "false" || wanted == "0"
                                        : scalar_text(*field) == wanted;
    return equal != requirement.negated;
  });
}

std::optional<std::string_view> FieldSelector::exact_value(std::string_view path) const {
  for (const Requirement& requirement : requirements_)
    if (!requirement.negated && requirement.path == path) return requirement.value;
  return std::nullopt;
}

std::string FieldSelector::to_string() const {
  std::string text;
  for (const Requirement& requirement : requirements_) {
    if (!text.empty()) text += ',';
    text += requirement.path + (requirement.negated ? "!=" : "=") + escape(requirement.value);
  }
  return text;
}

}  // namespace tulle::kube
