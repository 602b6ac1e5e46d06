// Documents that show objects instead of being them: Table (what `kubectl get` prints) and
// PartialObjectMetadata, both of meta.k8s.io/v1.
#pragma once

#include "kube/time.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::kube {

// One column. `source` says how a cell is computed from an object:
//   ".spec.replicas"   the scalar at a simple JSONPath: fields, ['quoted.keys'], [0], [*],
//                      [?(@.type=="Ready")]; several results are joined by ","
//   "@pod_status"      a named function; table_cells.cc lists them
// A column of type "date" shows the age of the timestamp found. An absent value is `absent`, or
// null where that is empty.
struct Column {
  std::string name;
  std::string type = "string";  // string, integer, number, boolean, date
  std::string source;
  int priority = 0;         // above 0: only with -o wide
  std::string format = {};  // "name" marks the column of the object's name
  std::string description = {};
  std::string absent = {};
};

enum class IncludeObject : std::uint8_t { metadata, none, object };
// The query parameter includeObject; "" is metadata. Nothing for any other text.
std::optional<IncludeObject> parse_include_object(std::string_view text);

// The columns of a built-in kind as kubectl get shows them; Name and Age for any other kind.
// `group` without the version. The span lives for ever.
std::span<const Column> columns_of(std::string_view group, std::string_view kind);
// Columns of a CRD version from additionalPrinterColumns: Name, then those; Name and Age if empty.
std::vector<Column> columns_from_printer_columns(const boost::json::array& printer_columns);

struct TableOptions {
  std::span<const Column> columns;
  IncludeObject include = IncludeObject::metadata;
  Time now;  // ages are up to here
};

// The row {cells, object} of one object.
boost::json::object table_row(const boost::json::object& object, const TableOptions& options);
// A Table without rows. `list_metadata` is the list's metadata {resourceVersion, continue, ...}.
boost::json::object table_head(const boost::json::object& list_metadata,
                               const TableOptions& options);
// Table of the objects; the same with one object is what a watch event carries.
boost::json::object make_table(const boost::json::object& list_metadata,
                               std::span<const boost::json::object* const> objects,
                               const TableOptions& options);
// A one-row Table for an event of a watch; its metadata holds the object's resourceVersion.
// Only the first Table of a watch carries column definitions.
boost::json::object watch_table(const boost::json::object& object, bool with_columns,
                                const TableOptions& options);

// {kind: PartialObjectMetadata, apiVersion: meta.k8s.io/v1, metadata}.
boost::json::object partial_metadata(const boost::json::object& object);
boost::json::object partial_metadata_list(const boost::json::object& list_metadata,
                                          std::span<const boost::json::object* const> objects);

}  // namespace tulle::kube
