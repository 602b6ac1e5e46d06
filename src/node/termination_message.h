// What a container wants to be known of its end (terminationMessagePath, terminationMessagePolicy).
#pragma once

#include "node/container.h"
#include "node/places.h"

#include <boost/json/fwd.hpp>

#include <string>

namespace tulle::node {

inline constexpr std::size_t kTerminationMessageBytesMax = 4096;
inline constexpr std::size_t kTerminationLogBytesMax = 2048;
inline constexpr std::int64_t kTerminationLogLinesMax = 80;

// The end of what the run wrote to the file at its message path; where that is empty and the policy
// says so, the end of the log of a run that failed. Always UTF-8.
std::string termination_message(const RunPlace& place, const boost::json::object& container,
                                const ContainerEnd& end);

}  // namespace tulle::node
