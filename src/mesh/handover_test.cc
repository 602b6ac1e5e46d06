#include "mesh/handover.h"

#include <gtest/gtest.h>

namespace tulle::mesh {
namespace {

TEST(Handover, messages_survive_the_way_there_and_back) {
  const HandoverMessage messages[] = {
      {.type = HandoverType::offer,
       .uid = "u1",
       .pod = {.namespace_name = "default", .name = "hello-1"},
       .address = IpAddress::v4(10, 244, 0, 9)},
      {.type = HandoverType::withdraw, .uid = "u1"},
      {.type = HandoverType::synced},
      {.type = HandoverType::drain, .uid = "u1"},
      {.type = HandoverType::drained, .uid = "u1"},
      {.type = HandoverType::accepted, .uid = "u1"},
      {.type = HandoverType::withdrawn, .uid = "u1"},
      {.type = HandoverType::retired},
      {.type = HandoverType::failed, .uid = "u1", .message = "no \"descriptor\" came along"},
  };
  for (const auto& message : messages) {
    const auto decoded = decode_handover(encode(message));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, message);
  }
}

TEST(Handover, refuses_what_it_does_not_understand) {
  for (const std::string_view text : {"", "[]", "{}", R"({"type":"dance"})", R"({"type":"offer"})",
                                      R"({"type":"offer","uid":"u","address":"10.0.0.256"})"}) {
    EXPECT_FALSE(decode_handover(text)) << text;
  }
}

}  // namespace
}  // namespace tulle::mesh
