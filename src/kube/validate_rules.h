// Carries out the validation rules of one object. Internal to validate.cc.
#pragma once

#include "kube/rules.h"
#include "kube/status.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace tulle::kube {

// Collects what is wrong, up to field_errors_max.
class FieldErrors final {
 public:
  void required(std::string_view field, std::string_view detail);
  void invalid(std::string_view field, const boost::json::value& value, std::string_view detail);
  void duplicate(std::string_view field, const boost::json::value& value);
  void not_found(std::string_view field, const boost::json::value& value);
  void forbidden(std::string_view field, std::string_view detail);
  void unsupported(std::string_view field, const boost::json::value& value,
                   const std::vector<std::string_view>& supported);
  void too_long(std::string_view field, std::string_view limit);
  void too_many(std::string_view field, std::size_t actual, std::string_view limit);
  void type_invalid(std::string_view field, const boost::json::value& value,
                    std::string_view detail);

  std::vector<StatusCause> take() { return std::move(causes_); }

 private:
  void add(std::string_view reason, std::string_view field, std::string message);

  std::vector<StatusCause> causes_;
};

struct RuleSubject {
  const boost::json::object& object;  // of the type that has the rule
  const boost::json::object* old;     // the same as stored, or null
  std::string_view field;             // where it is in the document
};

void check_rule(const ValidationRule& rule, const RuleSubject& subject, FieldErrors& errors);

}  // namespace tulle::kube
