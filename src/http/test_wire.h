// For tests: a loop on simulated time and the far end of a connection, spoken to in plain text.
#pragma once

#include "net/memory_network.h"
#include "rt/loop.h"
#include "rt/scope.h"
#include "rt/sim_driver.h"
#include "rt/sleep.h"

#include <memory>
#include <string>
#include <string_view>

namespace tulle::http {

struct Sim {
  // Until nothing is left to do at this time.
  void settle() {
    while (loop.turn_once()) {
    }
  }
  void advance(Duration duration) {
    settle();
    loop.run(wait(loop, duration));
    settle();
  }
  static rt::Task<void> wait(rt::Loop& on, Duration duration) { co_await rt::sleep(on, duration); }

  rt::SimDriver driver;
  rt::Loop loop{driver};
};

// What the peer of the thing under test says and hears.
class Wire final {
 public:
  Wire(Sim& sim, std::unique_ptr<net::Stream> stream) : sim_(sim), stream_(std::move(stream)) {}

  // Sends now; what does not fit into the pipe is lost.
  void say(std::string_view text) {
    static_cast<void>(stream_->try_write(std::span(&text, 1)));
    sim_.settle();
  }
  void say_byte_by_byte(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) say(text.substr(i, 1));
  }
  // All that has arrived since the last call.
  std::string hear() {
    sim_.settle();
    std::string heard;
    char bytes[4096];
    for (;;) {
      const auto attempt = stream_->try_read(bytes);
      if (!attempt) return heard;
      if (!*attempt || **attempt == 0) {
        ended_ = true;
        failed_ = !*attempt;
        return heard;
      }
      heard.append(bytes, **attempt);
      sim_.settle();
    }
  }
  // Whether hear() came to the end of the connection.
  bool ended() const { return ended_; }
  // Whether that was not an orderly end: a reset.
  bool failed() const { return failed_; }
  void half_close() {
    static_cast<void>(stream_->shutdown_write());
    sim_.settle();
  }
  void close() {
    stream_.reset();
    sim_.settle();
  }

 private:
  Sim& sim_;
  std::unique_ptr<net::Stream> stream_;
  bool ended_ = false;
  bool failed_ = false;
};

}  // namespace tulle::http
