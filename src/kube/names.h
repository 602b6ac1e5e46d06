// Names of objects: how they are generated and what makes one valid.
//
// The check_ functions return upstream's messages, one per violated rule; none means valid.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle {
class Random;
}

namespace tulle::kube {

// `base` (metadata.generateName) cut to 58 characters, and five random characters without vowels.
std::string generate_name(std::string_view base, Random& random);

// A random version 4 UUID (RFC 9562), for metadata.uid.
std::string generate_uid(Random& random);

// Maps each byte to one of 27 letters and digits that cannot spell a word.
std::string safe_encode(std::string_view text);

// The pod-template-hash of a template: equal for equal documents whatever the order of keys, else
// different with high probability. A collision count gives another hash for the same template.
std::string template_hash(const boost::json::value& pod_template,
                          std::optional<std::int32_t> collision_count = std::nullopt);

// Lower case letters, digits and '-', at most 63: the names of namespaces and containers.
std::vector<std::string> check_dns1123_label(std::string_view value);
// Labels joined by dots, at most 253: the names of most objects.
std::vector<std::string> check_dns1123_subdomain(std::string_view value);
// As a DNS-1123 label but starting with a letter: the names of services.
std::vector<std::string> check_dns1035_label(std::string_view value);
// [prefix/]name of a label, annotation or finalizer.
std::vector<std::string> check_qualified_name(std::string_view value);
std::vector<std::string> check_label_value(std::string_view value);
// What may be one segment of a URL's path: not "." or "..", no '/' or '%'.
std::vector<std::string> check_path_segment(std::string_view value);
// An environment variable's name.
std::vector<std::string> check_env_var_name(std::string_view value);
// A port's name (IANA service name): lower case letters, digits and '-', with a letter, at most 15.
std::vector<std::string> check_port_name(std::string_view value);

}  // namespace tulle::kube
