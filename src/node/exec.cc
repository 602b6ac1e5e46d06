// GET .../pods/NAME/exec as a WebSocket with the messages of channels.h.
#include "base/format.h"
#include "kube/object.h"
#include "node/channels.h"
#include "node/container_command.h"
#include "node/copy_progress.h"
#include "node/stream_request.h"
#include "rt/combine.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <csignal>

namespace tulle::node {

namespace {

namespace json = boost::json;

// How long pipes may stay open and silent when the command has ended, held by its own children.
constexpr Duration kSilence = std::chrono::milliseconds(200);

// Our ends and the command's ends of what is its stdin, stdout and stderr.
struct CommandStreams {
  std::unique_ptr<net::Stream> input;   // null: closed, or the terminal
  std::unique_ptr<net::Stream> output;  // of a terminal: both directions
  std::unique_ptr<net::Stream> errors;  // null with a terminal
  OwnedFd terminal;                     // to set its size
  std::vector<OwnedFd> theirs;
  std::vector<rt::SpawnOptions::Descriptor> descriptors;
};

// One stream between us and descriptor `child` of the command.
Result<std::unique_ptr<net::Stream>> make_stream(net::KernelNetwork& network, int child,
                                                 CommandStreams& streams) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error(errno, "pipe");
  const bool input = child == STDIN_FILENO;
  OwnedFd ours(input ? ends[1] : ends[0]);
  OwnedFd their_end(input ? ends[0] : ends[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  streams.descriptors.push_back({.child = child, .ours = their_end.get()});
  streams.theirs.push_back(std::move(their_end));
  return network.adopt(std::move(ours));
}

Result<CommandStreams> make_pipes(net::KernelNetwork& network, bool with_input) {
  CommandStreams streams;
  if (with_input) {
    TRY(streams.input, make_stream(network, STDIN_FILENO, streams));
  }
  TRY(streams.output, make_stream(network, STDOUT_FILENO, streams));
  TRY(streams.errors, make_stream(network, STDERR_FILENO, streams));
  return streams;
}

Result<CommandStreams> make_terminal(net::KernelNetwork& network) {
  CommandStreams streams;
  int ours = -1;
  int theirs = -1;
  if (::openpty(&ours, &theirs, nullptr, nullptr, nullptr) != 0) {
    return os_error(errno, "make a terminal");
  }
  OwnedFd our_end(ours);
  OwnedFd their_end(theirs);
  ::fcntl(ours, F_SETFD, FD_CLOEXEC);
  ::fcntl(theirs, F_SETFD, FD_CLOEXEC);
  ::fcntl(ours, F_SETFL, O_NONBLOCK);
  streams.terminal = OwnedFd(::fcntl(ours, F_DUPFD_CLOEXEC, 0));
  for (int standard = 0; standard <= 2; ++standard) {
    streams.descriptors.push_back({.child = standard, .ours = their_end.get()});
  }
  streams.theirs.push_back(std::move(their_end));
  TRY(streams.output, network.adopt(std::move(our_end)));
  return streams;
}

rt::Task<void> send_output(http::WebSocket& socket, net::Stream& from, Channel channel,
                           CopyProgress& progress) {
  std::string message(32 * 1024 + 1, static_cast<char>(channel));
  for (;;) {
    const auto count = co_await net::read(from, std::span(message).subspan(1));
    // A terminal whose other end has gone gives EIO.
    if (!count || *count == 0) co_return;
    const CopyProgress::Piece piece(progress);
    if (!co_await socket.send_binary(std::string_view(message).substr(0, *count + 1))) co_return;
  }
}

// Until the client goes.
rt::Task<void> take_input(http::WebSocket& socket, CommandStreams& streams,
                          ContainerCommand& command) {
  for (;;) {
    const auto message = co_await socket.receive();
    if (!message) co_return;
    const auto said = parse_channel_message(message->payload);
    if (!said) continue;
    net::Stream* to = streams.terminal ? streams.output.get() : streams.input.get();
    if (said->channel == Channel::input && !said->bytes.empty() && to != nullptr) {
      // A command that has closed its input does not end the session.
      if (!co_await net::write_all(*to, said->bytes) && !streams.terminal) streams.input.reset();
    }
    if (said->channel == Channel::resize && streams.terminal) {
      resize_terminal(streams.terminal.get(), said->bytes);
      command.signal_runtime(SIGWINCH);
    }
    if (ends_input(*said)) streams.input.reset();
  }
}

json::object final_status(const Result<rt::ExitStatus>& status) {
  if (!status) return kube::to_json(kube::internal_error(status.error().message));
  if (status->success()) return channel_success();
  const int code = status->signal != 0 ? 128 + status->signal : status->code;
  return {
      {"metadata", json::object()},
      {"status", "Failure"},
      {"message", fmt::format("command terminated with non-zero exit code: exit status {}", code)},
      {"reason", "NonZeroExitCode"},
      {"details",
       {{"causes",
         json::array{json::object{{"reason", "ExitCode"}, {"message", std::to_string(code)}}}}}}};
}

// Until the command has ended, and all that it wrote is sent.
rt::Task<void> run_session(Node& node, http::WebSocket& socket, CommandStreams& streams,
                           ContainerCommand& command) {
  CopyProgress progress;
  rt::Scope senders(node.loop);
  senders.spawn(send_output(socket, *streams.output, Channel::output, progress));
  if (streams.errors) {
    senders.spawn(send_output(socket, *streams.errors, Channel::errors, progress));
  }
  const auto status = co_await command.exited();
  co_await copied_or_silent(senders, progress, kSilence);
  senders.cancel();
  co_await finish_channels(socket, final_status(status));
}

}  // namespace

rt::Task<void> serve_exec(StreamRequest request, Random& random) {
  auto place = current_run(request);
  std::vector<std::string> arguments;
  for (const std::string_view each : request.query.get_all("command")) {
    arguments.emplace_back(each);
  }
  if (place && arguments.empty()) {
    place = kube::bad_request("you must specify at least 1 container command");
  }
  if (!place) co_return co_await send_failure(request.exchange, place.error());

  Node& node = request.node;
  const auto socket = co_await http::WebSocket::accept(node.loop, random, request.request,
                                                       request.exchange, kChannelProtocols);
  if (!socket) co_return;
  const bool tty = flag_in(request.query, "tty");
  auto streams =
      tty ? make_terminal(node.network) : make_pipes(node.network, flag_in(request.query, "stdin"));
  auto command = streams ? ContainerCommand::start(node, {.container_id = place->id(),
                                                          .arguments = std::move(arguments),
                                                          .descriptors = streams->descriptors,
                                                          .tty = tty})
                         : Result<std::unique_ptr<ContainerCommand>>(streams.error());
  if (!command) {
    co_return co_await finish_channels(**socket, final_status(command.error()));
  }
  streams->theirs.clear();
  co_await rt::race(run_session(node, **socket, *streams, **command),
                    take_input(**socket, *streams, **command));
}

}  // namespace tulle::node
