// Any bytes: decode_protobuf() must answer or refuse, and what it answers must survive the rest of
// a write: pruning, type checks, defaults and validation.
#include "kube/defaults.h"
#include "kube/protobuf.h"
#include "kube/prune.h"
#include "kube/validate.h"

#include <boost/json.hpp>

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::kube;
  static const std::unique_ptr<Scheme> scheme = make_builtin_scheme().value();
  auto decoded =
      decode_protobuf(*scheme, std::string_view(reinterpret_cast<const char*>(data), size));
  if (!decoded) return 0;
  const boost::json::object& head = decoded->get_object();
  KindRef kind =
      scheme->find_kind(boost::json::value_to<std::string>(*head.if_contains("apiVersion")),
                        boost::json::value_to<std::string>(*head.if_contains("kind")));
  if (!kind) return 0;
  prune(*kind->schema, *decoded);
  apply_defaults(*kind->schema, *decoded);
  if (!check_types(*kind->schema, kind->kind, kind->version, *decoded)) return 0;
  validate(*kind, decoded->get_object(), nullptr);
  return 0;
}
