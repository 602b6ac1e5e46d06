#include "kube/kinds.h"

#include "kube/data.h"
#include "kube/object.h"
#include "kube/rules.h"
#include "kube/schema_text.h"
#include "kube/types.h"

#include <algorithm>
#include <charconv>
#include <span>

namespace tulle::kube {
namespace {

using Words = std::span<const std::string_view>;

const std::vector<std::string> usual_verbs = {"create", "delete", "deletecollection", "get",
                                              "list",   "patch",  "update",           "watch"};
const std::vector<std::string> status_verbs = {"get", "patch", "update"};

class KindLoader final {
 public:
  KindLoader(Scheme& scheme, const std::shared_ptr<SchemaSet>& schemas)
      : scheme_(scheme), schemas_(schemas) {}

  // An error is only the reason; the caller adds the place.
  Result<void> take(const TextLine& line) {
    std::string_view text = line.text;
    std::string_view comment = cut(text, " -- ");
    std::vector<std::string_view> words = split_words(text);
    if (line.indented) {
      if (!kind_) return fail(Code::internal, "an attribute before the first kind");
      return attribute(words[0], Words(words).subspan(1), comment);
    }
    TRY_VOID(finish());
    if (words.size() != 4) return fail(Code::internal, "expected WHAT APIVERSION KIND TYPE");
    const ObjectType* type = schemas_->find_type(words[3]);
    if (type == nullptr) return fail(Code::internal, "unknown type");
    if (words[0] == "payload") {
      scheme_.add_payload(words[1] == "*" ? "" : words[1], words[2], root_of(*type), schemas_);
      return {};
    }
    if (words[0] != "kind") return fail(Code::internal, "neither kind nor payload");
    start(words[1], words[2], *type);
    return {};
  }

  // Adds the kind that the last lines described.
  Result<void> finish() {
    if (!kind_) return {};
    if (kind_->columns.empty()) {
      std::span<const Column> columns = columns_of(kind_->group, kind_->kind);
      kind_->columns.assign(columns.begin(), columns.end());
    }
    KindDefinition done = std::move(*kind_);
    kind_.reset();
    return scheme_.add(std::move(done));
  }

 private:
  const Schema& root_of(const ObjectType& type) {
    Schema& root = schemas_->add_schema();
    root.type = SchemaType::object;
    root.object = &type;
    return root;
  }

  void start(std::string_view api_version, std::string_view kind, const ObjectType& type) {
    auto [group, version] = split_api_version(api_version);
    kind_.emplace();
    kind_->group = group;
    kind_->version = version;
    kind_->kind = kind;
    kind_->list_kind = std::string(kind) + "List";
    kind_->verbs = usual_verbs;
    kind_->builtin = true;
    kind_->schema = &root_of(type);
    kind_->schemas = schemas_;
  }

  Result<void> attribute(std::string_view name, Words words, std::string_view comment) {
    auto append = [&](std::vector<std::string>& to) {
      to.insert(to.end(), words.begin(), words.end());
    };
    if (words.empty()) return fail(Code::internal, "an attribute without a value");
    if (name == "names" && words.size() >= 2) {
      kind_->plural = words[0];
      kind_->singular = words[1];
      kind_->short_names.assign(words.begin() + 2, words.end());
    } else if (name == "scope") {
      kind_->namespaced = words[0] == "namespaced";
    } else if (name == "categories") {
      append(kind_->categories);
    } else if (name == "format") {
      kind_->name_format = words[0];
    } else if (name == "generation") {
      kind_->generation = words[0] == "spec" ? Generation::spec : Generation::none;
    } else if (name == "verbs") {
      kind_->verbs.clear();
      append(kind_->verbs);
      kind_->stored = words.size() > 1 && std::ranges::find(words, "create") != words.end();
    } else if (name == "subresource") {
      return subresource(words);
    } else if (name == "scale" && words.size() == 3) {
      kind_->scale = ScalePaths{.spec_replicas = std::string(words[0]),
                                .status_replicas = std::string(words[1]),
                                .selector = std::string(words[2])};
    } else if (name == "select") {
      append(kind_->selectable_fields);
    } else if (name == "storage") {
      return storage(words);
    } else if (name == "column") {
      return column(words, comment);
    } else {
      return fail(Code::internal, "unknown attribute");
    }
    return {};
  }

  Result<void> subresource(Words words) {
    if (words.size() == 1) {
      kind_->subresources.push_back({.name = std::string(words[0]),
                                     .group = kind_->group,
                                     .version = kind_->version,
                                     .kind = kind_->kind,
                                     .verbs = status_verbs});
      return {};
    }
    if (words.size() < 4) return fail(Code::internal, "expected NAME APIVERSION KIND VERB...");
    auto [group, version] = split_api_version(words[1]);
    kind_->subresources.push_back({.name = std::string(words[0]),
                                   .group = std::string(group),
                                   .version = std::string(version),
                                   .kind = std::string(words[2]),
                                   .verbs = {words.begin() + 3, words.end()}});
    return {};
  }

  Result<void> storage(Words words) {
    auto [group, version] = split_api_version(words[0]);
    kind_->storage_group = group;
    kind_->storage_version = version;
    for (std::string_view rename : words.subspan(1)) {
      std::size_t equals = rename.find('=');
      if (equals == std::string_view::npos) return fail(Code::internal, "expected HERE=THERE");
      kind_->storage_renames.emplace_back(rename.substr(0, equals), rename.substr(equals + 1));
    }
    return {};
  }

  Result<void> column(Words words, std::string_view description) {
    if (words.size() != 4) return fail(Code::internal, "expected NAME TYPE PRIORITY SOURCE");
    int priority = 0;
    std::from_chars(words[2].data(), words[2].data() + words[2].size(), priority);
    kind_->columns.push_back({.name = std::string(words[0]),
                              .type = std::string(words[1]),
                              .source = std::string(words[3]),
                              .priority = priority,
                              .format = words[0] == "Name" ? "name" : "",
                              .description = std::string(description)});
    return {};
  }

  Scheme& scheme_;
  const std::shared_ptr<SchemaSet>& schemas_;
  std::optional<KindDefinition> kind_;
};

}  // namespace

Result<void> load_kinds(Scheme& scheme, const std::shared_ptr<SchemaSet>& schemas,
                        std::string_view file, std::string_view text) {
  KindLoader loader(scheme, schemas);
  std::vector<TextLine> lines = split_lines(text);
  for (const TextLine& line : lines) {
    Result<void> taken = loader.take(line);
    if (!taken) return line_error(file, line, taken.error().message);
  }
  return loader.finish();
}

Result<std::unique_ptr<Scheme>> make_builtin_scheme() {
  auto schemas = std::make_shared<SchemaSet>();
  auto scheme = std::make_unique<Scheme>();
  TRY_VOID(load_types(*schemas, "types.txt", data::types));
  TRY_VOID(load_types(*schemas, "tulle_types.txt", data::tulle_types));
  TRY_VOID(load_defaults(*schemas, "defaults.txt", data::defaults));
  TRY_VOID(load_validations(*schemas, "validation.txt", data::validation));
  TRY_VOID(load_descriptions(*schemas, "descriptions.txt", data::descriptions));
  TRY_VOID(load_kinds(*scheme, schemas, "kinds.txt", data::kinds));
  return scheme;
}

}  // namespace tulle::kube
