#include "kube/names.h"

#include "base/random.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <initializer_list>

namespace tulle::kube {

namespace {

constexpr std::string_view safe_alphabet = "bcdfghjklmnpqrstvwxz2456789";
constexpr std::size_t generated_base_max = 58;
constexpr std::size_t generated_suffix_size = 5;
constexpr std::size_t label_max = 63;
constexpr std::size_t subdomain_max = 253;
constexpr std::size_t port_name_max = 15;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_alnum(char c) { return is_lower(c) || is_digit(c); }
bool is_alnum(char c) { return is_lower_alnum(c) || is_upper(c); }

// Starts and ends with `edge`, `edge` or one of `inner` between.
bool has_shape(std::string_view value, bool (*edge)(char), std::string_view inner) {
  return !value.empty() && edge(value.front()) && edge(value.back()) &&
         std::ranges::all_of(value, [&](char c) { return edge(c) || inner.find(c) != inner.npos; });
}

bool is_dns1123_label(std::string_view value) { return has_shape(value, is_lower_alnum, "-"); }
bool is_qualified_part(std::string_view value) { return has_shape(value, is_alnum, "-_."); }

std::string too_long(std::size_t max) { return fmt::format("must be no more than {} bytes", max); }

// Upstream's wording, its double blanks included.
std::string regex_error(std::string_view message, std::string_view regex,
                        std::initializer_list<std::string_view> examples) {
  std::string text = fmt::format("{} (e.g. ", message);
  for (bool first = true; const std::string_view example : examples) {
    text += fmt::format("{}'{}', ", first ? "" : " or ", example);
    first = false;
  }
  return text + fmt::format("regex used for validation is '{}')", regex);
}

std::string qualified_part_error() {
  return regex_error(
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
      "alphanumeric character",
      "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", {"MyName", "my.name", "123-abc"});
}

// FNV-1a over a document with its keys in order, so that equal documents hash alike.
class DocumentHash final {
 public:
  void add(const boost::json::value& value) {
    if (const auto* object = value.if_object()) return add_object(*object);
    if (const auto* array = value.if_array()) {
      add_text("[");
      for (const auto& element : *array) add(element);
      return add_text("]");
    }
    add_text(boost::json::serialize(value));
    add_text(",");
  }

  void add_text(std::string_view text) {
    for (const char c : text) sum_ = (sum_ ^ static_cast<unsigned char>(c)) * 16777619U;
  }

  std::uint32_t sum() const { return sum_; }

 private:
  void add_object(const boost::json::object& object) {
    std::vector<const boost::json::key_value_pair*> members;
    for (const auto& member : object) members.push_back(&member);
    std::ranges::sort(members, {}, [](const auto* member) {
      return std::string_view(member->key().data(), member->key().size());
    });
    add_text("{");
    for (const auto* member : members) {
      add_text(member->key());
      add_text(":");
      add(member->value());
    }
    add_text("}");
  }

  std::uint32_t sum_ = 2166136261U;
};

}  // namespace

std::string generate_name(std::string_view base, Random& random) {
  std::string name(base.substr(0, generated_base_max));
  for (std::size_t i = 0; i < generated_suffix_size; ++i)
    name += safe_alphabet[random.below(safe_alphabet.size())];
  return name;
}

std::string generate_uid(Random& random) {
  const std::uint64_t high = (random.next() & ~0xf000ULL) | 0x4000ULL;
  const std::uint64_t low = (random.next() & ~(3ULL << 62)) | (2ULL << 62);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                     high & 0xffff, low >> 48, low & 0xffff'ffff'ffffULL);
}

std::string safe_encode(std::string_view text) {
  std::string encoded;
  for (const char c : text)
    encoded += safe_alphabet[static_cast<unsigned char>(c) % safe_alphabet.size()];
  return encoded;
}

std::string template_hash(const boost::json::value& pod_template,
                          std::optional<std::int32_t> collision_count) {
  DocumentHash hash;
  hash.add(pod_template);
  if (collision_count) hash.add_text(std::to_string(*collision_count));
  return safe_encode(std::to_string(hash.sum()));
}

std::vector<std::string> check_dns1123_label(std::string_view value) {
  std::vector<std::string> problems;
  if (value.size() > label_max) problems.push_back(too_long(label_max));
  if (!is_dns1123_label(value))
    problems.push_back(regex_error(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character",
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?", {"my-name", "123-abc"}));
  return problems;
}

std::vector<std::string> check_dns1123_subdomain(std::string_view value) {
  std::vector<std::string> problems;
  if (value.size() > subdomain_max) problems.push_back(too_long(subdomain_max));
  bool good = true;
  for (std::string_view rest = value; good;) {
    const auto dot = rest.find('.');
    good = is_dns1123_label(rest.substr(0, dot));
    if (dot == rest.npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (!good)
    problems.push_back(regex_error(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "
        "or '.', and must start and end with an alphanumeric character",
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", {"example.com"}));
  return problems;
}

std::vector<std::string> check_dns1035_label(std::string_view value) {
  std::vector<std::string> problems;
  if (value.size() > label_max) problems.push_back(too_long(label_max));
  if (!is_dns1123_label(value) || is_digit(value.front()))
    problems.push_back(regex_error(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
        "an alphabetic character, and end with an alphanumeric character",
        "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"}));
  return problems;
}

std::vector<std::string> check_qualified_name(std::string_view value) {
  std::vector<std::string> problems;
  std::string_view name = value;
  if (const auto slash = value.find('/'); slash != value.npos) {
    const std::string_view prefix = value.substr(0, slash);
    name = value.substr(slash + 1);
    if (name.contains('/')) {
      return {"a qualified name " + qualified_part_error() +
              " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"};
    }
    if (prefix.empty())
      problems.push_back("prefix part must be non-empty");
    else
      for (const std::string& problem : check_dns1123_subdomain(prefix))
        problems.push_back("prefix part " + problem);
  }
  if (name.empty())
    problems.push_back("name part must be non-empty");
  else if (name.size() > label_max)
    problems.push_back("name part " + too_long(label_max));
  if (!is_qualified_part(name)) problems.push_back("name part " + qualified_part_error());
  return problems;
}

std::vector<std::string> check_label_value(std::string_view value) {
  std::vector<std::string> problems;
  if (value.size() > label_max) problems.push_back(too_long(label_max));
  if (!value.empty() && !is_qualified_part(value))
    problems.push_back(regex_error(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
        "'.', and must start and end with an alphanumeric character",
        "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", {"MyValue", "my_value", "12345"}));
  return problems;
}

std::vector<std::string> check_path_segment(std::string_view value) {
  if (value == "." || value == "..") return {fmt::format("may not be '{}'", value)};
  std::vector<std::string> problems;
  for (const char c : {'/', '%'})
    if (value.contains(c)) problems.push_back(fmt::format("may not contain '{}'", c));
  return problems;
}

std::vector<std::string> check_env_var_name(std::string_view value) {
  if (value.empty()) return {"must be non-empty"};
  if (std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '~' && c != '='; }))
    return {};
  return {
      "a valid environment variable name must consist only of printable ASCII characters other "
      "than '='"};
}

std::vector<std::string> check_port_name(std::string_view value) {
  std::vector<std::string> problems;
  if (value.size() > port_name_max) problems.push_back(too_long(port_name_max));
  if (!std::ranges::all_of(value, [](char c) { return is_lower_alnum(c) || c == '-'; }))
    problems.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (std::ranges::none_of(value, is_lower))
    problems.push_back("must contain at least one letter (a-z)");
  if (value.contains("--")) problems.push_back("must not contain consecutive hyphens");
  if (value.starts_with('-') || value.ends_with('-'))
    problems.push_back("must not begin or end with a hyphen");
  return problems;
}

}  // namespace tulle::kube
