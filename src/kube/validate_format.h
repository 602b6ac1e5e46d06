// Text formats that validation rules name, checked in upstream's words.
#pragma once

#include <boost/json/fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace tulle::kube {

// Whether there is a format of that name.
bool is_text_format(std::string_view format);

// What is wrong with `value`, one sentence per violated rule; empty if nothing.
// REQUIRES: is_text_format(format).
std::vector<std::string> check_text_format(std::string_view format,
                                           const boost::json::value& value);

}  // namespace tulle::kube
