#include "kube/validate_format.h"

#include "base/text.h"
#include "codec/http_message.h"
#include "kube/cron.h"
#include "kube/names.h"
#include "kube/object.h"
#include "kube/quantity.h"
#include "kube/time.h"
#include "kube/time_zone.h"

#include <arpa/inet.h>
#include <boost/json.hpp>

#include <algorithm>
#include <cctype>
#include <optional>

namespace tulle::kube {
namespace {

using Complaints = std::vector<std::string>;

bool is_ip(const std::string& text) {
  unsigned char buffer[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

Complaints check_ip(std::string_view text) {
  if (is_ip(std::string(text))) return {};
  return {"must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"};
}

Complaints check_cluster_ip(std::string_view text) {
  if (text.empty() || text == "None") return {};
  if (is_ip(std::string(text))) return {};
  return {"must be empty, \"None\", or a valid IP address"};
}

// A key of a ConfigMap or Secret.
Complaints check_config_key(std::string_view text) {
  Complaints complaints;
  if (text.size() > 253) complaints.emplace_back("must be no more than 253 characters");
  bool good = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  if (!good) {
    complaints.emplace_back(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
        "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
        "'[-._a-zA-Z0-9]+')");
  }
  if (text == ".") complaints.emplace_back("must not be '.'");
  if (text.starts_with("..")) complaints.emplace_back("must not start with '..'");
  return complaints;
}

// Annotation keys are compared without regard to case.
Complaints check_annotation_name(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return check_qualified_name(lower);
}

Complaints check_wildcard_host(std::string_view text) {
  if (text.empty()) return {};
  if (is_ip(std::string(text))) return {"must be a DNS name, not an IP address"};
  if (text.find('*') == std::string_view::npos) return check_dns1123_subdomain(text);
  if (!text.starts_with("*.")) {
    return {
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain,"
        " which must consist of lower case alphanumeric characters, '-' or '.' and end with an"
        " alphanumeric character (e.g. '*.example.com', regex used for validation is"
        " '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"};
  }
  return check_dns1123_subdomain(text.substr(2));
}

Complaints check_http_token(std::string_view text) {
  if (codec::is_token(text)) return {};
  return {"must be a token of HTTP: letters, digits and any of !#$%&'*+-.^_`|~"};
}

Complaints check_positive_duration(std::string_view text) {
  const auto duration = parse_duration(text);
  if (!duration) return {duration.error().message};
  if (duration->count() == 0) return {"must be longer than 0"};
  return {};
}

Complaints check_absolute_path(std::string_view text) {
  if (text.empty()) return {};
  if (!text.starts_with('/')) return {"must be an absolute path"};
  for (std::string_view bad : {"//", "/./", "/../", "%2f", "%2F"}) {
    if (text.find(bad) != std::string_view::npos) {
      return {"must not contain '" + std::string(bad) + "'"};
    }
  }
  return {};
}

Complaints check_quantity(std::string_view text) {
  if (Result<Quantity> parsed = Quantity::parse(text); !parsed) return {parsed.error().message};
  if (text.starts_with('-')) return {"must be greater than or equal to 0"};
  return {};
}

Complaints check_cron_schedule(std::string_view text) {
  if (text.contains("TZ")) {
    return {"cannot use TZ or CRON_TZ in schedule, use timeZone field instead"};
  }
  const auto schedule = CronSchedule::parse(text);
  return schedule ? Complaints() : Complaints{schedule.error().message};
}

Complaints check_time_zone(std::string_view text) {
  if (text.empty()) return {"timeZone must be nil or non-empty string"};
  if (to_lower(text) == "local") {
    return {"timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"};
  }
  const auto zone = TimeZone::find(text);
  return zone ? Complaints() : Complaints{zone.error().message};
}

struct TextFormat {
  std::string_view name;
  Complaints (*check)(std::string_view);
};

constexpr TextFormat formats[] = {
    {"absolute_path", check_absolute_path},
    {"annotation_name", check_annotation_name},
    {"cluster_ip", check_cluster_ip},
    {"config_key", check_config_key},
    {"cron_schedule", check_cron_schedule},
    {"dns1035_label", check_dns1035_label},
    {"dns_label", check_dns1123_label},
    {"dns_subdomain", check_dns1123_subdomain},
    {"env_name", check_env_var_name},
    {"http_token", check_http_token},
    {"ip", check_ip},
    {"label_value", check_label_value},
    {"path_segment", check_path_segment},
    {"port_name", check_port_name},
    {"positive_duration", check_positive_duration},
    {"qualified_name", check_qualified_name},
    {"quantity", check_quantity},
    {"time_zone", check_time_zone},
    {"wildcard_host", check_wildcard_host},
};

std::optional<std::int64_t> integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  return std::nullopt;
}

// A port's number or name.
Complaints check_port(const json::value& value) {
  if (std::optional<std::int64_t> number = integer(value)) {
    if (*number >= 1 && *number <= 65535) return {};
    return {"must be between 1 and 65535, inclusive"};
  }
  return check_port_name(string_or(value));
}

Complaints check_int_or_percent(const json::value& value) {
  if (std::optional<std::int64_t> number = integer(value)) {
    if (*number >= 0) return {};
    return {"must be greater than or equal to 0"};
  }
  std::string_view text = string_or(value);
  bool good = text.size() >= 2 && text.ends_with('%') &&
              std::ranges::all_of(text.substr(0, text.size() - 1),
                                  [](unsigned char c) { return std::isdigit(c) != 0; });
  if (good) return {};
  return {
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  "
      "or '93%', regex used for validation is '[0-9]+%')"};
}

Complaints check_not_zero(const json::value& value) {
  std::string text = scalar_text(value);
  if (text == "0" || text == "0%") return {"may not be 0"};
  return {};
}

}  // namespace

bool is_text_format(std::string_view format) {
  return format == "port" || format == "int_or_percent" || format == "not_zero" ||
         std::ranges::find(formats, format, &TextFormat::name) != std::end(formats);
}

std::vector<std::string> check_text_format(std::string_view format, const json::value& value) {
  if (format == "port") return check_port(value);
  if (format == "int_or_percent") return check_int_or_percent(value);
  if (format == "not_zero") return check_not_zero(value);
  auto found = std::ranges::find(formats, format, &TextFormat::name);
  if (found == std::end(formats)) return {};
  if (value.is_string()) return found->check(string_or(value));
  return value.is_number() ? found->check(scalar_text(value)) : Complaints{};
}

}  // namespace tulle::kube
