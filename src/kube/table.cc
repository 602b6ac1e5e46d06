#include "kube/table.h"

#include "kube/object.h"
#include "kube/table_cells.h"
#include "kube/table_path.h"

#include <boost/json.hpp>

#include <charconv>

namespace tulle::kube {

namespace {

constexpr std::string_view meta_version = "meta.k8s.io/v1";

json::value absent_cell(const Column& column) {
  if (column.absent.empty()) return nullptr;
  if (column.type != "integer") return json::value(column.absent);
  std::int64_t number = 0;
  std::from_chars(column.absent.data(), column.absent.data() + column.absent.size(), number);
  return number;
}

// As text: lists and objects as JSON, several results joined.
json::value text_cell(const std::vector<const json::value*>& values, const Column& column) {
  std::string text;
  for (const json::value* value : values) {
    if (value->is_null()) continue;
    if (!text.empty()) text += ',';
    text += value->is_structured() ? json::serialize(*value) : scalar_text(*value);
  }
  return text.empty() ? absent_cell(column) : json::value(text);
}

json::value path_cell(const Column& column, const json::object& object, Time now) {
  const auto values = evaluate_path(object, column.source);
  if (values.empty()) return absent_cell(column);
  const json::value& first = *values.front();
  if (column.type == "date")
    return first.is_string() ? json::value(age(string_or(first), now)) : absent_cell(column);
  if (column.type == "integer") return first.is_number() ? first : absent_cell(column);
  if (column.type == "number") return first.is_number() ? first : absent_cell(column);
  if (column.type == "boolean") return first.is_bool() ? first : absent_cell(column);
  return text_cell(values, column);
}

json::value cell(const Column& column, const json::object& object, Time now) {
  if (!column.source.starts_with('@')) return path_cell(column, object, now);
  const CellFunction function = find_cell_function(std::string_view(column.source).substr(1));
  return function == nullptr ? absent_cell(column) : function(object, now);
}

json::array column_definitions(std::span<const Column> columns) {
  json::array definitions;
  for (const Column& column : columns)
    definitions.push_back({{"name", column.name},
                           {"type", column.type},
                           {"format", column.format},
                           {"description", column.description},
                           {"priority", column.priority}});
  return definitions;
}

json::value row_object(const json::object& object, IncludeObject include) {
  switch (include) {
    case IncludeObject::none: return nullptr;
    case IncludeObject::object: return object;
    case IncludeObject::metadata: break;
  }
  return partial_metadata(object);
}

}  // namespace

std::optional<IncludeObject> parse_include_object(std::string_view text) {
  if (text.empty() || text == "Metadata") return IncludeObject::metadata;
  if (text == "None") return IncludeObject::none;
  if (text == "Object") return IncludeObject::object;
  return std::nullopt;
}

json::object table_row(const json::object& object, const TableOptions& options) {
  json::array cells;
  for (const Column& column : options.columns) cells.push_back(cell(column, object, options.now));
  return {{"cells", std::move(cells)}, {"object", row_object(object, options.include)}};
}

json::object table_head(const json::object& list_metadata, const TableOptions& options) {
  return {{"kind", "Table"},
          {"apiVersion", meta_version},
          {"metadata", list_metadata},
          {"columnDefinitions", column_definitions(options.columns)},
          {"rows", json::array()}};
}

json::object make_table(const json::object& list_metadata,
                        std::span<const json::object* const> objects, const TableOptions& options) {
  json::object table = table_head(list_metadata, options);
  json::array& rows = table["rows"].get_array();
  rows.reserve(objects.size());
  for (const json::object* object : objects) rows.emplace_back(table_row(*object, options));
  return table;
}

json::object watch_table(const json::object& object, bool with_columns,
                         const TableOptions& options) {
  const json::object* const objects[] = {&object};
  json::object table =
      make_table({{"resourceVersion", resource_version_of(object)}}, objects, options);
  if (!with_columns) table["columnDefinitions"] = json::array();
  return table;
}

json::object partial_metadata(const json::object& object) {
  return {{"kind", "PartialObjectMetadata"},
          {"apiVersion", meta_version},
          {"metadata", object_at(object, "metadata")}};
}

json::object partial_metadata_list(const json::object& list_metadata,
                                   std::span<const json::object* const> objects) {
  json::array items;
  items.reserve(objects.size());
  for (const json::object* object : objects) items.emplace_back(partial_metadata(*object));
  return {{"kind", "PartialObjectMetadataList"},
          {"apiVersion", meta_version},
          {"metadata", list_metadata},
          {"items", std::move(items)}};
}

}  // namespace tulle::kube
