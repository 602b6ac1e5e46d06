#include "node/image_reference.h"

#include "base/format.h"
#include "node/digest.h"

#include <algorithm>

namespace tulle::node {
namespace {

constexpr std::string_view official = "library/";
constexpr std::size_t tag_bytes_max = 128;

bool is_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_word(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= tag_bytes_max && is_word(text.front()) &&
         std::ranges::all_of(text, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

// Lower-case words joined by separators: one '.', one or two '_', any number of '-'.
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower(text.front()) || !is_lower(text.back())) return false;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_lower(text[end])) ++end;
    const std::size_t separator = end;
    while (end < text.size() && !is_lower(text[end])) ++end;
    const std::string_view between = text.substr(separator, end - separator);
    const bool dashes = between.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && between != "." && between != "_" && between != "__") return false;
    i = end;
  }
  return true;
}

bool is_repository(std::string_view text) {
  while (true) {
    const std::size_t slash = text.find('/');
    if (!is_path_component(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool is_registry(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || port.size() > 5) return false;
    if (port.find_first_not_of("0123456789") != std::string_view::npos) return false;
    text = text.substr(0, colon);
  }
  return !text.empty() && text.front() != '-' && text.front() != '.' &&
         std::ranges::all_of(
             text, [](char c) { return (is_word(c) && c != '_') || c == '.' || c == '-'; });
}

// The first part of a name is a registry only if it cannot be part of a repository's name.
bool looks_like_registry(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:") != std::string_view::npos;
}

}  // namespace

std::string ImageReference::normalized() const {
  std::string text = registry + '/' + repository;
  if (!tag.empty()) text += ':' + tag;
  if (!digest.empty()) text += '@' + digest;
  return text;
}

std::string ImageReference::familiar() const {
  std::string text = normalized();
  if (registry != default_registry) return text;
  text.erase(0, registry.size() + 1);
  if (text.starts_with(official)) text.erase(0, official.size());
  return text;
}

Result<ImageReference> parse_image_reference(std::string_view text) {
  const auto wrong = [whole = text](std::string_view why) {
    return failf(Code::invalid_argument, "image name '{}': {}",
                 whole.substr(0, reference_bytes_max), why);
  };
  if (text.empty()) return fail(Code::invalid_argument, "an image name is empty");
  if (text.size() > reference_bytes_max) return wrong("longer than 512 bytes");

  ImageReference reference;
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    reference.digest = text.substr(at + 1);
    text = text.substr(0, at);
    if (!is_sha256_digest(reference.digest)) return wrong("the digest is not sha256:<64 digits>");
  }
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos && looks_like_registry(text.substr(0, slash))) {
    reference.registry = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  } else {
    reference.registry = default_registry;
  }
  if (!is_registry(reference.registry)) return wrong("the registry is not a host[:port]");
  if (reference.registry == "index.docker.io") reference.registry = default_registry;

  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    reference.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_tag(reference.tag)) return wrong("the tag may hold letters, digits, '_', '.' and '-'");
  } else if (reference.digest.empty()) {
    reference.tag = "latest";
  }
  if (!is_repository(text)) {
    return wrong("the name may hold lower-case letters, digits and single '.', '_', '-', '/'");
  }
  const bool short_name =
      reference.registry == default_registry && text.find('/') == std::string_view::npos;
  reference.repository = short_name ? std::string(official).append(text) : std::string(text);
  return reference;
}

}  // namespace tulle::node
