#include "node/image_index.h"

#include "codec/json.h"
#include "node/digest.h"

#include <boost/json.hpp>

namespace tulle::node {
namespace {

namespace json = boost::json;

constexpr std::int64_t version = 1;

Result<ImageIndex::Entry> read_entry(const json::value& value) {
  const json::object* object = value.if_object();
  const json::value* image = object == nullptr ? nullptr : object->if_contains("image");
  const json::value* local = object == nullptr ? nullptr : object->if_contains("local");
  const bool valid = image != nullptr && image->is_string() && local != nullptr &&
                     local->is_bool() && is_sha256_digest(*image->if_string());
  if (!valid) return fail(Code::malformed, "references: an entry is damaged");
  ImageIndex::Entry entry{.image = std::string(*image->if_string()), .local = *local->if_bool()};
  if (const json::value* pulled = object->if_contains("pulled")) {
    if (!pulled->is_string() || !is_sha256_digest(*pulled->if_string())) {
      return fail(Code::malformed, "references: an entry is damaged");
    }
    entry.pulled = *pulled->if_string();
  }
  return entry;
}

}  // namespace

Result<ImageIndex> parse_image_index(std::string_view text) {
  TRY(const json::value value, codec::parse_json(text));
  const json::object* root = value.if_object();
  const json::value* written = root == nullptr ? nullptr : root->if_contains("version");
  if (written == nullptr || written->if_int64() == nullptr || *written->if_int64() != version) {
    return fail(Code::malformed, "version: not one that this program knows");
  }
  const json::value* references = root->if_contains("references");
  if (references == nullptr || !references->is_object()) {
    return fail(Code::malformed, "references: not an object");
  }
  ImageIndex index;
  for (const auto& [name, entry] : *references->if_object()) {
    TRY(index.references[std::string(name)], read_entry(entry));
  }
  return index;
}

std::string write_image_index(const ImageIndex& index) {
  json::object references;
  for (const auto& [name, entry] : index.references) {
    json::object written{{"image", entry.image}, {"local", entry.local}};
    if (!entry.pulled.empty()) written["pulled"] = entry.pulled;
    references[name] = std::move(written);
  }
  return codec::to_json(json::object{{"version", version}, {"references", std::move(references)}});
}

}  // namespace tulle::node
