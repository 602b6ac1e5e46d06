// Events are news: an hour after they were last seen they are removed, as upstream does.
#pragma once

#include "apiserver/context.h"
#include "rt/task.h"

namespace tulle::apiserver {

inline constexpr Duration event_lifetime = std::chrono::hours(1);
inline constexpr Duration event_expiry_interval = std::chrono::minutes(5);

// Removes old Events again and again, until dropped.
rt::Task<void> expire_events(Context& context);

}  // namespace tulle::apiserver
