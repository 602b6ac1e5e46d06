#include "apiserver/service_allocator.h"

#include "base/check.h"
#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

constexpr std::string_view bucket = "/services";
constexpr std::string_view headless = "None";

// FNV-1a: the same Service gets the same address wherever it is tried first.
std::uint64_t hash_of(const store::Key& key, std::uint64_t salt) {
  std::uint64_t hash = 14695981039346656037u ^ salt;
  for (std::string_view part :
       {std::string_view(key.namespace_), std::string_view("/"), std::string_view(key.name)}) {
    for (char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  return hash ^ (hash >> 29);
}

std::string_view type_of(const json::object& service) {
  return kube::string_at(service, "spec.type", "ClusterIP");
}

bool wants_node_ports(const json::object& service) {
  std::string_view type = type_of(service);
  if (type == "NodePort") return true;
  return type == "LoadBalancer" &&
         kube::bool_at(service, "spec.allocateLoadBalancerNodePorts", true);
}

template <class Index, class What>
bool taken_by_other(const Index& index, const What& what, const store::Key& self) {
  auto found = index.find(what);
  return found != index.end() &&
         std::ranges::any_of(found->second, [&](const store::Key& key) { return key != self; });
}

template <class Index, class What>
void erase_one(Index& index, const What& what, const store::Key& key) {
  auto found = index.find(what);
  if (found == index.end()) return;
  if (auto one = found->second.find(key); one != found->second.end()) found->second.erase(one);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

class ServiceAllocator::Admission final {
 public:
  Admission(const ServiceAllocator& owner, const store::Key& key, const json::object* old,
            json::object& service)
      : owner_(owner),
        key_(key),
        old_(old),
        service_(service),
        spec_(kube::ensure_object(service, "spec")) {}

  kube::ApiResult<void> run() {
    if (old_ != nullptr) drop_what_the_old_type_needed();
    if (type_of(service_) == "ExternalName") {
      for (const char* field :
           {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"}) {
        spec_.erase(field);
      }
    } else {
      TRY_VOID(settle_address());
    }
    // What the client named comes first, so that nothing of ours takes its place.
    TRY_VOID(settle_named_ports());
    TRY_VOID(settle_health_check_port());
    return give_ports();
  }

 private:
  kube::ApiStatus invalid(std::string field, std::string message) const {
    return kube::invalid("", "Service", key_.name,
                         {{.reason = "FieldValueInvalid",
                           .message = "Invalid value: " + std::move(message),
                           .field = std::move(field)}});
  }
  kube::ApiStatus bad_address(std::string_view text, std::string_view why) const {
    return invalid("spec.clusterIPs",
                   fmt::format("[\"{}\"]: failed to allocate IP {}: {}", text, text, why));
  }

  // A client that changes the type alone sends fields along that only the old type could have.
  void drop_what_the_old_type_needed() {
    std::string_view type = type_of(service_);
    auto drop_unless = [&](bool needed, std::string_view field) {
      const json::value* before = kube::object_at(*old_, "spec").if_contains(field);
      const json::value* now = spec_.if_contains(field);
      if (!needed && before != nullptr && now != nullptr && *before == *now) spec_.erase(field);
    };
    bool balanced = type == "LoadBalancer";
    drop_unless(balanced || type == "NodePort", "externalTrafficPolicy");
    drop_unless(balanced, "allocateLoadBalancerNodePorts");
    drop_unless(balanced, "loadBalancerClass");
    drop_unless(balanced, "healthCheckNodePort");
  }

  kube::ApiResult<void> settle_address() {
    std::string text(kube::string_at(service_, "spec.clusterIP"));
    if (text.empty()) {
      const json::array& list = kube::array_at(service_, "spec.clusterIPs");
      if (!list.empty()) text = kube::string_or(list[0]);
    }
    std::string before;
    if (old_ != nullptr) before = kube::string_at(*old_, "spec.clusterIP");
    if (text.empty()) text = before;
    if (!before.empty() && text != before) {
      return invalid("spec.clusterIPs[0]", fmt::format("[\"{}\"]: may not change once set", text));
    }
    if (text.empty()) {
      TRY(text, free_address());
    } else if (text != headless && text != before) {
      TRY_VOID(check_address(text));
    }
    spec_["clusterIP"] = text;
    spec_["clusterIPs"] = json::array{json::value(text)};
    if (!spec_.contains("ipFamilies")) spec_["ipFamilies"] = json::array{"IPv4"};
    if (!spec_.contains("ipFamilyPolicy")) spec_["ipFamilyPolicy"] = "SingleStack";
    return {};
  }

  kube::ApiResult<void> check_address(const std::string& text) const {
    auto address = IpAddress::parse(text);
    if (!address) return bad_address(text, "it is not a valid IP address");
    if (!owner_.options_.cluster_addresses.contains(*address)) {
      return bad_address(text, fmt::format("the provided IP ({}) is not in the valid range. The "
                                           "range of valid IPs is {}",
                                           text, owner_.options_.cluster_addresses.to_string()));
    }
    if (taken_by_other(owner_.addresses_, *address, key_)) {
      return bad_address(text, "provided IP is already allocated");
    }
    return {};
  }

  kube::ApiResult<std::string> free_address() const {
    const Cidr& range = owner_.options_.cluster_addresses;
    const auto& reserved = owner_.options_.reserved;
    std::uint64_t usable = range.size() - 2;  // neither the network's own nor broadcast
    std::uint64_t start = hash_of(key_, 0) % usable;
    for (std::uint64_t i = 0; i < usable; ++i) {
      IpAddress address = range.at(1 + (start + i) % usable);
      if (std::ranges::find(reserved, address) != reserved.end()) continue;
      if (!taken_by_other(owner_.addresses_, address, key_)) return address.to_string();
    }
    return kube::internal_error("failed to allocate a serviceIP: range is full");
  }

  kube::ApiResult<void> settle_named_ports() {
    json::array* ports = kube::find_array(spec_, "ports");
    if (ports == nullptr) return {};
    bool wanted = wants_node_ports(service_);
    for (std::size_t i = 0; i < ports->size(); ++i) {
      json::object* port = (*ports)[i].if_object();
      if (port == nullptr) continue;
      std::int64_t given = kube::integer_at(*port, "nodePort");
      std::int64_t before = node_port_before(*port);
      if (!wanted && given == before) port->erase("nodePort");
      if (!wanted) continue;
      if (given == 0 && before != 0) port->insert_or_assign("nodePort", given = before);
      if (given != 0 && given != before) {
        TRY_VOID(check_port(fmt::format("spec.ports[{}].nodePort", i), given));
      }
      if (given != 0) chosen_.insert(given);
    }
    return {};
  }

  kube::ApiResult<void> give_ports() {
    json::array* ports = kube::find_array(spec_, "ports");
    if (ports == nullptr || !wants_node_ports(service_)) return {};
    for (std::size_t i = 0; i < ports->size(); ++i) {
      json::object* port = (*ports)[i].if_object();
      if (port == nullptr || kube::integer_at(*port, "nodePort") != 0) continue;
      TRY(std::uint16_t free, free_port(i + 1));
      chosen_.insert(free);
      port->insert_or_assign("nodePort", std::int64_t{free});
    }
    return {};
  }

  // What the old Service had for the same protocol and port.
  std::int64_t node_port_before(const json::object& port) const {
    if (old_ == nullptr) return 0;
    for (const json::value& value : kube::array_at(*old_, "spec.ports")) {
      const json::object& other = kube::object_or_empty(value);
      if (kube::integer_at(other, "port") == kube::integer_at(port, "port") &&
          kube::string_at(other, "protocol", "TCP") == kube::string_at(port, "protocol", "TCP")) {
        return kube::integer_at(other, "nodePort");
      }
    }
    return 0;
  }

  // Where a load balancer asks whether the Service is on a node: only where that matters.
  kube::ApiResult<void> settle_health_check_port() {
    constexpr std::string_view name = "healthCheckNodePort";
    const std::string field = "spec.healthCheckNodePort";
    const bool wanted = type_of(service_) == "LoadBalancer" &&
                        kube::string_at(service_, "spec.externalTrafficPolicy") == "Local";
    std::int64_t given = kube::integer_at(spec_, name);
    const std::int64_t before = old_ == nullptr ? 0 : kube::integer_at(*old_, field);
    if (!wanted) {
      if (given != 0 && given != before) {
        return invalid(field, fmt::format("{}: may only be set when `type` is 'LoadBalancer' and "
                                          "`externalTrafficPolicy` is 'Local'",
                                          given));
      }
      spec_.erase(name);
      return {};
    }
    if (given == 0) given = before;
    if (given == 0) {
      TRY(given, free_port(0));
    } else if (before != 0 && given != before) {
      return invalid(field, fmt::format("{}: field is immutable", given));
    } else if (given != before) {
      TRY_VOID(check_port(field, given));
    }
    if (chosen_.contains(given)) {
      return invalid(field, fmt::format("{}: provided port is already allocated", given));
    }
    chosen_.insert(given);
    spec_[name] = given;
    return {};
  }

  kube::ApiResult<void> check_port(const std::string& field, std::int64_t port) const {
    if (port < node_port_first || port > node_port_last) {
      return invalid(field, fmt::format("{}: provided port is not in the valid range. The range of "
                                        "valid ports is {}-{}",
                                        port, node_port_first, node_port_last));
    }
    if (taken_by_other(owner_.ports_, static_cast<std::uint16_t>(port), key_)) {
      return invalid(field, fmt::format("{}: provided port is already allocated", port));
    }
    return {};
  }

  // `salt`: another one for each port of a Service.
  kube::ApiResult<std::uint16_t> free_port(std::size_t salt) const {
    constexpr std::uint64_t count = node_port_last - node_port_first + 1;
    std::uint64_t start = hash_of(key_, salt) % count;
    for (std::uint64_t i = 0; i < count; ++i) {
      auto port = static_cast<std::uint16_t>(node_port_first + (start + i) % count);
      if (chosen_.contains(port) || taken_by_other(owner_.ports_, port, key_)) continue;
      return port;
    }
    return kube::internal_error("failed to allocate a nodePort: range is full");
  }

  const ServiceAllocator& owner_;
  const store::Key& key_;
  const json::object* old_;
  json::object& service_;
  json::object& spec_;
  std::set<std::int64_t> chosen_;  // node ports of this Service
};

ServiceAllocator::ServiceAllocator(store::Store& store, Options options)
    : store_(store), options_(std::move(options)) {}

kube::ApiResult<void> ServiceAllocator::admit(const store::Key& key, const json::object* old,
                                              json::object& service) {
  catch_up();
  TRY_VOID(Admission(*this, key, old, service).run());
  Holding holding = holding_of(service);
  drop(admitted_, key);
  auto stored = stored_.find(key);
  if (stored == stored_.end() || stored->second != holding) {
    hold(admitted_, key, std::move(holding));
  }
  return {};
}

void ServiceAllocator::release(const store::Key& key) { drop(admitted_, key); }

ServiceAllocator::Holding ServiceAllocator::holding_of(const json::object& service) {
  Holding holding;
  for (const json::value& text : kube::array_at(service, "spec.clusterIPs")) {
    auto address = IpAddress::parse(kube::string_or(text));
    if (address) holding.addresses.push_back(*address);
  }
  const auto add_port = [&](std::int64_t number) {
    if (number > 0 && number <= 65535) {
      holding.ports.push_back(static_cast<std::uint16_t>(number));
    }
  };
  for (const json::value& port : kube::array_at(service, "spec.ports")) {
    add_port(kube::integer_at(kube::object_or_empty(port), "nodePort"));
  }
  add_port(kube::integer_at(service, "spec.healthCheckNodePort"));
  return holding;
}

// Reads what became of Services since the last call; all of them where the log is too short.
void ServiceAllocator::catch_up() {
  if (!watch_) reload();
  for (;;) {
    auto event = watch_->try_next();
    if (!event) {
      reload();
      continue;
    }
    if (!*event) return;
    learn(**event);
  }
}

void ServiceAllocator::reload() {
  while (!stored_.empty()) drop(stored_, store::Key(stored_.begin()->first));
  auto watch = store_.watch({.bucket = bucket, .from = store_.revision()});
  auto listing = store_.list({.bucket = bucket});
  CHECK(watch && listing);  // the current revision is never expired
  watch_ = *std::move(watch);
  for (const store::ItemRef& item : listing->items) {
    learn({.deleted = false, .item = item, .previous = nullptr});
  }
}

void ServiceAllocator::learn(const store::Event& event) {
  const store::Key& key = event.item->key;
  drop(stored_, key);
  Holding holding;
  auto value = codec::parse_json(event.item->value);
  if (!event.deleted && value && value->is_object()) holding = holding_of(value->get_object());
  auto admitted = admitted_.find(key);
  if (admitted != admitted_.end() && (event.deleted || admitted->second == holding)) {
    drop(admitted_, key);
  }
  if (!event.deleted) hold(stored_, key, std::move(holding));
}

void ServiceAllocator::hold(Holdings& holdings, const store::Key& key, Holding holding) {
  for (const IpAddress& address : holding.addresses) addresses_[address].insert(key);
  for (std::uint16_t port : holding.ports) ports_[port].insert(key);
  holdings[key] = std::move(holding);
}

void ServiceAllocator::drop(Holdings& holdings, const store::Key& key) {
  auto found = holdings.find(key);
  if (found == holdings.end()) return;
  for (const IpAddress& address : found->second.addresses) erase_one(addresses_, address, key);
  for (std::uint16_t port : found->second.ports) erase_one(ports_, port, key);
  holdings.erase(found);
}

}  // namespace tulle::apiserver
