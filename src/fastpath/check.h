// Asks the kernel that runs, with connections of our own, how it treats joined sockets. Kernels
// differ, and a stream that is cut or out of order is worse than a slow one. Takes some
// milliseconds.
#pragma once

#include "fastpath/fast_path.h"

namespace tulle::fastpath {

// Streams arrive whole and in order both ways, a reader that stalls is waited for, and what was
// sent before an end is read before it. The error says which of these does not hold.
Result<void> check_streams(const FastPath& fast_path);

// The calls that do more than read what is there mean what they mean on other sockets: FIONREAD,
// splice(2), MSG_WAITALL. The error names the first that does not.
Result<void> check_calls(const FastPath& fast_path);

}  // namespace tulle::fastpath
