#include "node/port_forward.h"

#include "codec/spdy_transcript.h"
#include "http/test_wire.h"

#include <gtest/gtest.h>

#include <vector>

namespace tulle::node {
namespace {

using codec::SpdyReset;

// A client's session, and a pod that listens on port 80 of its own loopback.
struct Session : http::Sim {
  Session() {
    tasks.spawn(listen());
    tasks.spawn(session.run());
    settle();
  }

  rt::Task<void> listen() {
    auto listener =
        network.listen({.at = {.ip = IpAddress::v4(127, 0, 0, 1), .port = 80}, .in = space});
    for (;;) {
      auto accepted = co_await (*listener)->accept();
      if (!accepted) co_return;
      pod.push_back(std::make_unique<http::Wire>(*this, *std::move(accepted)));
    }
  }

  // Opens the two streams of a connection; the ids are `first` and the next odd one.
  void open(std::uint32_t first, std::string_view request, std::string_view port = "80") {
    std::string frames;
    encoder.append_open(frames, first,
                        {{"streamtype", "error"}, {"port", port}, {"requestid", request}});
    codec::append_spdy_data(frames, first, "", true);
    encoder.append_open(frames, first + 2,
                        {{"streamtype", "data"}, {"port", port}, {"requestid", request}});
    client.say(frames);
  }
  void send(std::uint32_t stream, std::string_view bytes, bool fin = false) {
    std::string frame;
    codec::append_spdy_data(frame, stream, bytes, fin);
    client.say(frame);
  }
  void reset(std::uint32_t stream) {
    std::string frame;
    codec::append_spdy_reset(frame, stream, SpdyReset::cancel);
    client.say(frame);
  }
  // All that the client has heard so far.
  std::string events() {
    heard += client.hear();
    return codec::spdy_transcript(heard, heard.size());
  }

  net::NamespacePtr space = std::make_shared<net::Namespace>("pod", OwnedFd());
  net::MemoryNetwork network{loop, Random(1)};
  net::StreamPair pipe = net::memory_pipe(loop);
  http::Wire client{*this, std::move(pipe.a)};
  codec::SpdyEncoder encoder;
  std::string heard;
  std::vector<std::unique_ptr<http::Wire>> pod;  // what the pod has accepted
  PortForwardSession session{
      loop, network, {.space = space, .pod = "web"}, make_spdy_transport(std::move(pipe.b))};
  rt::Scope tasks{loop};
};

TEST(PortForward, carries_bytes_both_ways_and_both_ends) {
  Session session;
  session.open(1, "0");
  session.send(3, "GET /");
  ASSERT_EQ(session.pod.size(), 1U);
  EXPECT_EQ(session.pod[0]->hear(), "GET /");
  session.send(3, "", true);
  EXPECT_EQ(session.pod[0]->hear(), "");
  EXPECT_TRUE(session.pod[0]->ended());
  session.pod[0]->say("200 OK");
  session.pod[0]->close();
  EXPECT_EQ(session.events(), "reply 1\nreply 3\ndata 3 200 OK fin\ndata 1  fin\n");
}

TEST(PortForward, carries_several_connections_at_once) {
  Session session;
  session.open(1, "0");
  session.open(5, "1");
  session.send(7, "second");
  session.send(3, "first");
  ASSERT_EQ(session.pod.size(), 2U);
  EXPECT_EQ(session.pod[0]->hear(), "first");
  EXPECT_EQ(session.pod[1]->hear(), "second");
}

TEST(PortForward, says_why_there_is_no_connection) {
  Session session;
  session.open(1, "0", "81");
  const std::string events = session.events();
  EXPECT_TRUE(
      events.starts_with("reply 1\nreply 3\ndata 3  fin\ndata 1 error forwarding port 81 "
                         "to pod web: "))
      << events;
}

TEST(PortForward, closes_the_pods_connection_when_the_client_resets_it) {
  Session session;
  session.open(1, "0");
  session.reset(3);
  session.pod.at(0)->hear();
  EXPECT_TRUE(session.pod[0]->ended());
  EXPECT_EQ(session.events(), "reply 1\nreply 3\ndata 1  fin\n");
}

TEST(PortForward, answers_pings_and_refuses_what_it_does_not_know) {
  Session session;
  std::string frames;
  codec::append_spdy_ping(frames, 9);
  session.encoder.append_open(frames, 1, {{"streamtype", "data"}, {"port", "80"}});
  session.encoder.append_open(frames, 3,
                              {{"streamtype", "data"}, {"port", "0"}, {"requestid", "0"}});
  session.encoder.append_open(frames, 5,
                              {{"streamtype", "input"}, {"port", "80"}, {"requestid", "0"}});
  session.client.say(frames);
  EXPECT_EQ(session.events(), "ping 9\nreset 1\nreset 3\nreset 5\n");
}

TEST(PortForward, takes_no_data_for_half_a_connection) {
  Session session;
  std::string frames;
  session.encoder.append_open(frames, 1,
                              {{"streamtype", "data"}, {"port", "80"}, {"requestid", "0"}});
  session.client.say(frames);
  session.send(1, "early");
  EXPECT_EQ(session.events(), "reply 1\nreset 1\n");
}

TEST(PortForward, refuses_streams_beyond_the_limit) {
  Session session;
  std::string expected;
  for (std::uint32_t i = 0; i < kForwardStreamsMax + 1; ++i) {
    std::string frame;
    session.encoder.append_open(
        frame, 2 * i + 1,
        {{"streamtype", "data"}, {"port", "80"}, {"requestid", std::to_string(i)}});
    session.client.say(frame);
    expected += i < kForwardStreamsMax ? "reply " : "reset ";
    expected += std::to_string(2 * i + 1) + "\n";
  }
  EXPECT_EQ(session.events(), expected);
}

TEST(PortForward, ends_with_its_client) {
  Session session;
  session.open(1, "0");
  session.client.close();
  session.pod.at(0)->hear();
  EXPECT_TRUE(session.pod[0]->ended());
  EXPECT_EQ(session.tasks.size(), 1U);  // what listens
}

TEST(PortForward, ends_when_the_client_breaks_the_protocol) {
  Session session;
  session.open(1, "0");
  session.client.say("\x80\x07 another version");
  session.pod.at(0)->hear();
  EXPECT_TRUE(session.pod[0]->ended());
}

}  // namespace
}  // namespace tulle::node
