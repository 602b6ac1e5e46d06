#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace tulle {

std::string_view name(Code code) {
  switch (code) {
    case Code::invalid_argument: return "invalid_argument";
    case Code::malformed: return "malformed";
    case Code::not_found: return "not_found";
    case Code::already_exists: return "already_exists";
    case Code::conflict: return "conflict";
    case Code::permission_denied: return "permission_denied";
    case Code::refused: return "refused";
    case Code::reset: return "reset";
    case Code::closed: return "closed";
    case Code::timed_out: return "timed_out";
    case Code::cancelled: return "cancelled";
    case Code::exhausted: return "exhausted";
    case Code::unavailable: return "unavailable";
    case Code::unsupported: return "unsupported";
    case Code::expired: return "expired";
    case Code::io: return "io";
    case Code::internal: return "internal";
  }
  return "unknown";
}

Error Error::context(std::string_view what) && {
  message.insert(0, ": ").insert(0, what);
  return std::move(*this);
}

namespace {

Code code_of_errno(int value) {
  switch (value) {
    case ENOENT: return Code::not_found;
    case EEXIST: return Code::already_exists;
    case EACCES:
    case EPERM: return Code::permission_denied;
    case ECONNREFUSED: return Code::refused;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED: return Code::reset;
    case ETIMEDOUT: return Code::timed_out;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOSPC:
    case ENOMEM: return Code::exhausted;
    case EADDRINUSE:
    case EAGAIN:
    case EHOSTUNREACH:
    case ENETUNREACH: return Code::unavailable;
    case EINVAL: return Code::invalid_argument;
    default: return Code::io;
  }
}

}  // namespace

Error os_error(int os_error, std::string_view what) {
  std::string message(what);
  message.append(": ").append(std::system_category().message(os_error));
  return {.code = code_of_errno(os_error), .message = std::move(message), .os_error = os_error};
}

}  // namespace tulle
