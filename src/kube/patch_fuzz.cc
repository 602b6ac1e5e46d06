// Two lines of JSON, a document and a patch: each format refuses the patch or yields an object.
#include "base/check.h"
#include "kube/patch.h"
#include "kube/schema.h"

#include <boost/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

using namespace tulle;

// Every list under "m" merges by "name", every one under "p" as primitives, at any depth.
class Recursive final {
 public:
  Recursive() {
    kube::ObjectType& type = set_.add_type("Any");
    root_ = &set_.add_schema();
    root_->type = kube::SchemaType::object;
    root_->object = &type;
    for (const std::string_view name : {"m", "p"}) {
      kube::Schema& list = set_.add_schema();
      list.type = kube::SchemaType::array;
      list.patch_merge = true;
      if (name == "m") list.patch_merge_key = "name";
      list.items = root_;
      type.properties.push_back({.name = name, .schema = &list, .description = {}});
    }
  }

  const kube::Schema& root() const { return *root_; }

 private:
  kube::SchemaSet set_;
  kube::Schema* root_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Recursive schema;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto line = text.find('\n');
  if (line == text.npos) return 0;
  boost::system::error_code error;
  const auto live = boost::json::parse(text.substr(0, line), error);
  if (error || !live.is_object()) return 0;
  const auto patch = boost::json::parse(text.substr(line + 1), error);
  if (error) return 0;

  static_cast<void>(kube::apply_json_patch(live.get_object(), patch));
  static_cast<void>(kube::apply_merge_patch(live.get_object(), patch));
  const auto merged = kube::apply_strategic_merge(schema.root(), live.get_object(), patch);
  if (const auto* object = patch.if_object(); merged && object->empty())
    CHECK(*merged == live.get_object());
  return 0;
}
