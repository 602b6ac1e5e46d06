#include "mesh/handover.h"

#include "codec/json.h"

#include <boost/json.hpp>

#include <array>

namespace tulle::mesh {

namespace {

constexpr std::array<std::string_view, 9> kTypeNames = {"offer",   "withdraw", "synced",
                                                        "drain",   "accepted", "withdrawn",
                                                        "drained", "failed",   "retired"};

std::string text_of(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  const auto* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string(*text) : std::string();
}

}  // namespace

std::string encode(const HandoverMessage& message) {
  boost::json::object object;
  object["type"] = kTypeNames.at(static_cast<std::size_t>(message.type));
  if (!message.uid.empty()) object["uid"] = message.uid;
  if (!message.pod.empty()) {
    object["namespace"] = message.pod.namespace_name;
    object["name"] = message.pod.name;
    object["address"] = message.address.to_string();
  }
  if (!message.message.empty()) object["message"] = message.message;
  return codec::to_json(object);
}

Result<HandoverMessage> decode_handover(std::string_view text) {
  TRY(const auto value, codec::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::malformed, "a handover message must be an object");
  HandoverMessage message;
  const std::string type = text_of(*object, "type");
  std::size_t index = 0;
  while (index < kTypeNames.size() && kTypeNames.at(index) != type) ++index;
  if (index == kTypeNames.size()) {
    return fail(Code::malformed, "unknown type of handover message \"" + type + "\"");
  }
  message.type = static_cast<HandoverType>(index);
  message.uid = text_of(*object, "uid");
  message.pod = {.namespace_name = text_of(*object, "namespace"), .name = text_of(*object, "name")};
  if (const std::string address = text_of(*object, "address"); !address.empty()) {
    TRY(message.address, IpAddress::parse(address));
  }
  message.message = text_of(*object, "message");
  const bool of_a_pod =
      message.type != HandoverType::synced && message.type != HandoverType::retired;
  if (of_a_pod && message.uid.empty()) {
    return fail(Code::malformed, "a handover message of type " + type + " needs a uid");
  }
  return message;
}

}  // namespace tulle::mesh
