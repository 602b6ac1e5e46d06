// Whatever parses is written in a form that parses to the same value.
#include "base/address.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto ip = tulle::IpAddress::parse(text)) {
    CHECK(*tulle::IpAddress::parse(ip->to_string()) == *ip);
    CHECK(hash_value(*ip) == hash_value(*tulle::IpAddress::parse(ip->to_string())));
  }
  if (auto address = tulle::SocketAddress::parse(text)) {
    CHECK(*tulle::SocketAddress::parse(address->to_string()) == *address);
  }
  if (auto cidr = tulle::Cidr::parse(text)) {
    CHECK(*tulle::Cidr::parse(cidr->to_string()) == *cidr);
    CHECK(cidr->contains(cidr->network));
    CHECK(cidr->contains(cidr->at(cidr->size() - 1)));
  }
  return 0;
}
