#include "dns/message_stream.h"

#include <array>

namespace tulle::dns {

namespace {

rt::Task<Result<void>> read_exactly(net::Stream& stream, std::span<char> buffer) {
  while (!buffer.empty()) {
    CO_TRY(const std::size_t count, co_await net::read(stream, buffer));
    if (count == 0) co_return fail(Code::closed, "the connection ended");
    buffer = buffer.subspan(count);
  }
  co_return Result<void>();
}

}  // namespace

rt::Task<Result<std::string>> read_message(net::Stream& stream) {
  std::array<char, 2> length;
  CO_TRY_VOID(co_await read_exactly(stream, length));
  std::string message(static_cast<std::size_t>(static_cast<unsigned char>(length[0])) << 8 |
                          static_cast<unsigned char>(length[1]),
                      '\0');
  CO_TRY_VOID(co_await read_exactly(stream, message));
  co_return message;
}

rt::Task<Result<void>> write_message(net::Stream& stream, std::string message) {
  const std::array<char, 2> length{static_cast<char>(message.size() >> 8),
                                   static_cast<char>(message.size() & 0xff)};
  const std::array<std::string_view, 2> pieces{std::string_view(length.data(), length.size()),
                                               message};
  co_return co_await net::write_all(stream, pieces);
}

}  // namespace tulle::dns
