#include "app/control_role.h"
#include "app/explain_manifests.h"
#include "app/proxy_role.h"
#include "app/report.h"
#include "app/up.h"
#include "base/log.h"
#include "cli/completion.h"
#include "cli/explain.h"
#include "cli/image_command.h"
#include "cli/status.h"
#include "cli/upgrade.h"
#include "node/shim.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace {

using namespace tulle;
using namespace tulle::app;

// What any of the commands may be given.
struct Flags {
  std::string data_dir = kDefaultDataDir;
  std::vector<std::string> manifests;
  std::uint16_t api_port = 6443;
  std::uint16_t ingress_port = 80;
  std::uint16_t ingress_tls_port = 443;
  std::uint16_t admin_port = 15020;
  bool ingress_proxy_protocol = false;
  std::string runtime;
  std::string program;
  std::vector<std::string> arguments;  // as main() got them
  std::size_t workers = 0;
  std::string fast_path = "auto";
  std::string dns_address;
  std::vector<std::string> dns_stubs;
  std::vector<std::string> explain_namespaces;
  cli::ExplainOptions explain;
  std::vector<std::string> explain_words;
  std::string kubeconfig;
  std::string node;
  std::string zone;
  int ready_fd = -1;
  int sockets_fd = -1;
  int resume_fd = -1;
  bool verbose = false;

  Instance instance() const {
    std::error_code error;
    const auto absolute = std::filesystem::absolute(data_dir, error);
    return {.data_dir = (error ? std::filesystem::path(data_dir) : absolute).lexically_normal()};
  }
};

void add_data_dir(CLI::App& command, Flags& flags) {
  command.add_option("--data-dir", flags.data_dir, "where everything of the instance is kept")
      ->envname("TULLE_DATA_DIR")
      ->capture_default_str();
}

CLI::Option* add_manifests(CLI::App& command, Flags& flags) {
  return command
      .add_option("-f,--filename", flags.manifests,
                  "a manifest, or a folder of manifests; may be given again")
      ->type_name("FILE|FOLDER");
}

void add_api_port(CLI::App& command, Flags& flags) {
  command.add_option("--api-port", flags.api_port, "port of the API on 127.0.0.1; 0: a free one")
      ->capture_default_str();
}

void add_ports(CLI::App& command, Flags& flags) {
  command.add_option("--ingress-port", flags.ingress_port, "port of Ingress on 127.0.0.1")
      ->capture_default_str();
  command
      .add_option("--ingress-tls-port", flags.ingress_tls_port,
                  "port of Ingress over TLS on 127.0.0.1, where an Ingress has it; 0: none")
      ->capture_default_str();
  command
      .add_option("--admin-port", flags.admin_port,
                  "port of /metrics on 127.0.0.1; 0: only the Unix socket")
      ->capture_default_str();
}

void add_fast_path(CLI::App& command, Flags& flags) {
  command
      .add_option("--fast-path", flags.fast_path,
                  "kernel fast path between programs of this machine and the proxy. auto: where "
                  "this kernel keeps the meaning of all they may call; on: where streams stay "
                  "whole, though not splice(2), MSG_WAITALL and FIONREAD")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->envname("TULLE_FAST_PATH")
      ->capture_default_str();
}

void add_ingress_proxy_protocol(CLI::App& command, Flags& flags) {
  command.add_flag("--ingress-proxy-protocol", flags.ingress_proxy_protocol,
                   "what comes to the Ingress, with TLS or without, begins with a PROXY header, as "
                   "a load balancer before it writes it; the rest is refused");
}

void add_dns_stubs(CLI::App& command, Flags& flags) {
  command
      .add_option("--dns-stub", flags.dns_stubs,
                  "names of DOMAIN are asked of these resolvers; may be given again")
      ->type_name("DOMAIN=ADDRESS[,ADDRESS]")
      ->delimiter('\0')
      ->check([](const std::string& text) {
        const auto stub = dns::parse_stub_domain(text);
        return stub ? std::string() : stub.error().message;
      });
}

void add_explain_namespaces(CLI::App& command, Flags& flags) {
  command
      .add_option(
          "--explain-namespace", flags.explain_namespaces,
          "pods of this namespace, too, may ask by the header x-tulle-explain why a request "
          "went where it went; may be given again")
      ->type_name("NAMESPACE");
}

fastpath::Mode fast_path_mode(const Flags& flags) {
  if (flags.fast_path == "on") return fastpath::Mode::on;
  return flags.fast_path == "off" ? fastpath::Mode::off : fastpath::Mode::automatic;
}

void add_up(CLI::App& app, Flags& flags, int& exit_code) {
  CLI::App* up =
      app.add_subcommand("up", "Start an instance, apply manifests to it, and run until Ctrl-C");
  up->footer(
      "Example: tulle up -f examples/hello-world\n"
      "kubectl finds the instance by the file kubeconfig in the data directory.");
  add_manifests(*up, flags);
  add_data_dir(*up, flags);
  add_api_port(*up, flags);
  add_ports(*up, flags);
  add_ingress_proxy_protocol(*up, flags);
  add_fast_path(*up, flags);
  add_dns_stubs(*up, flags);
  add_explain_namespaces(*up, flags);
  up->add_option("--runtime", flags.runtime, "OCI runtime; default: crun or runc, which works");
  up->add_option("--resume-fd", flags.resume_fd, "what an upgrade has left")->group("");
  up->callback([&flags, &exit_code] {
    exit_code = run_up({.instance = flags.instance(),
                        .manifests = flags.manifests,
                        .api_port = flags.api_port,
                        .ingress_port = flags.ingress_port,
                        .ingress_tls_port = flags.ingress_tls_port,
                        .admin_port = flags.admin_port,
                        .fast_path = flags.fast_path,
                        .ingress_proxy_protocol = flags.ingress_proxy_protocol,
                        .dns_stubs = flags.dns_stubs,
                        .explain_namespaces = flags.explain_namespaces,
                        .runtime = flags.runtime,
                        .arguments = flags.arguments,
                        .resume_fd = flags.resume_fd});
  });
}

// What `up` gives the processes that it starts.
void add_supervision(CLI::App& command, Flags& flags) {
  command.add_option("--ready-fd", flags.ready_fd, "a descriptor to write to when it serves")
      ->group("");
  command.add_option("--sockets-fd", flags.sockets_fd, "a channel to who keeps its sockets")
      ->group("");
}

// A process that `up` starts; of no use by hand.
void add_control(CLI::App& app, Flags& flags, int& exit_code) {
  CLI::App* control = app.add_subcommand("control", "API server, controllers and node agent");
  control->group("");
  add_data_dir(*control, flags);
  add_api_port(*control, flags);
  add_ports(*control, flags);
  control->add_option("--runtime", flags.runtime);
  add_supervision(*control, flags);
  control->callback([&flags, &exit_code] {
    log::configure(flags.verbose ? log::Level::debug : log::Level::info, "control");
    exit_code = run_control({.instance = flags.instance(),
                             .api_port = flags.api_port,
                             .ingress_port = flags.ingress_port,
                             .runtime = flags.runtime,
                             .ready_fd = flags.ready_fd,
                             .sockets_fd = flags.sockets_fd});
  });
}

// Where the proxy finds what it serves: manifests, or an API with the pods of an instance.
ProxyOptions proxy_source(const Flags& flags) {
  if (!flags.manifests.empty()) return {.manifests = flags.manifests};
  const Instance instance = flags.instance();
  return {.kubeconfig = flags.kubeconfig.empty() ? instance.proxy_kubeconfig() : flags.kubeconfig,
          .handover_socket = instance.handover_socket(),
          .admin_socket = instance.admin_socket()};
}

// Alone by hand, or started by `up`.
void add_proxy(CLI::App& app, Flags& flags, int& exit_code) {
  CLI::App* proxy =
      app.add_subcommand("proxy", "Serve what manifests declare: the data plane alone");
  proxy->footer(
      "Example: tulle proxy -f FOLDER --ingress-port 8080\n"
      "Serves Services (nodePort, LoadBalancer) with their EndpointSlices, and Ingresses, and\n"
      "follows changes of the files. No API server, no pods; no root for ports above 1024.");
  add_manifests(*proxy, flags);
  add_data_dir(*proxy, flags);
  add_ports(*proxy, flags);
  add_ingress_proxy_protocol(*proxy, flags);
  add_fast_path(*proxy, flags);
  add_dns_stubs(*proxy, flags);
  add_explain_namespaces(*proxy, flags);
  proxy
      ->add_option("--dns-address", flags.dns_address,
                   "answer DNS for the host, too, at this address: 127.0.0.1:5353")
      ->check([](const std::string& text) {
        const auto address = SocketAddress::parse(text);
        return address ? std::string() : address.error().message;
      });
  proxy->add_option("--node", flags.node,
                    "the node that this proxy is on; default: the host's name");
  proxy->add_option("--zone", flags.zone,
                    "the zone that this proxy is in; default: that of its Node");
  proxy->add_option("--kubeconfig", flags.kubeconfig,
                    "without -f: the API to follow; default: that of the data directory");
  proxy->add_option("--workers", flags.workers, "event loops; 0: one per core")
      ->capture_default_str();
  add_supervision(*proxy, flags);
  proxy->callback([&flags, &exit_code] {
    log::configure(flags.verbose ? log::Level::debug : log::Level::info, "proxy");
    const IpAddress loopback = IpAddress::v4(127, 0, 0, 1);
    ProxyOptions options = proxy_source(flags);
    options.workers = flags.workers;
    options.ingress_proxy_protocol = flags.ingress_proxy_protocol;
    options.fast_path = fast_path_mode(flags);
    options.explain_namespaces = flags.explain_namespaces;
    options.ready_fd = flags.ready_fd;
    options.sockets_fd = flags.sockets_fd;
    options.here = {.node = flags.node.empty() ? host_name() : flags.node, .zone = flags.zone};
    if (!flags.dns_address.empty()) options.host_dns = *SocketAddress::parse(flags.dns_address);
    for (const std::string& text : flags.dns_stubs) {
      options.stub_domains.push_back(*dns::parse_stub_domain(text));
    }
    if (flags.admin_port != 0) options.admin = {.ip = loopback, .port = flags.admin_port};
    if (flags.ingress_tls_port != 0) {
      options.ingress_tls = {.ip = loopback, .port = flags.ingress_tls_port};
    }
    if (flags.ingress_port != 0) options.ingress = {.ip = loopback, .port = flags.ingress_port};
    exit_code = run_proxy(options);
  });
}

void add_explain(CLI::App& app, Flags& flags, int& exit_code) {
  CLI::App* explain = app.add_subcommand("explain", "Why a request goes where it goes");
  explain->footer(
      "Examples: tulle explain http://hello.localhost/\n"
      "          tulle explain --from hello-7d9c4 -H 'X-User: ann' POST http://world/cart\n"
      "          tulle explain --from hello-7d9c4 udp://game:7777\n"
      "          tulle explain -f manifests/ http://shop.example/cart\n"
      "Nothing is sent. With --from the name is looked up and the request caught as that pod's;\n"
      "without, it comes through the Ingress. With -f nothing needs to run: the manifests are all\n"
      "there is.");
  add_data_dir(*explain, flags);
  add_manifests(*explain, flags)->allow_extra_args(false);  // what follows is the request
  explain->add_option("--from", flags.explain.from, "the calling pod")
      ->type_name("[NAMESPACE/]POD");
  explain->add_option("-H,--header", flags.explain.headers, "of the request; may be given again")
      ->type_name("NAME: VALUE")
      ->allow_extra_args(false);
  explain
      ->add_option("request", flags.explain_words,
                   "http://HOST[:PORT]/PATH, tcp://HOST:PORT or udp://HOST:PORT; before it the "
                   "method, if it is not GET")
      ->type_name("[METHOD] URL")
      ->expected(1, 2)
      ->required();
  explain->callback([&flags, &exit_code] {
    flags.explain.data_dir = flags.instance().data_dir;
    flags.explain.url = flags.explain_words.back();
    if (flags.explain_words.size() > 1) flags.explain.method = flags.explain_words.front();
    exit_code = flags.manifests.empty() ? cli::run_explain(flags.explain)
                                        : explain_manifests(flags.explain, flags.manifests,
                                                            {.node = host_name(), .zone = ""});
  });
}

void add_upgrade(CLI::App& app, Flags& flags, int& exit_code) {
  CLI::App* upgrade =
      app.add_subcommand("upgrade", "Have a running instance go on as another version");
  upgrade->footer(
      "Example: ./tulle-new upgrade\n"
      "Control and proxy are replaced one after the other. No connection is refused meanwhile, "
      "and\n"
      "what is under way has 30 s to end. A program that does not start changes nothing.");
  add_data_dir(*upgrade, flags);
  upgrade->add_option("program", flags.program, "the new tulle; default: the one that is called")
      ->type_name("PROGRAM");
  upgrade->callback([&flags, &exit_code] {
    exit_code = cli::run_upgrade(flags.instance().data_dir, flags.program);
  });
}

void add_version(CLI::App& app) {
  app.add_subcommand("version", "Print the version")->callback([] {
    std::printf("tulle %s\n", TULLE_VERSION);
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // Not through CLI11: a shim stays as small as it can.
  if (argc > 1 && std::string_view(argv[1]) == "shim") return node::run_shim(argc, argv);
  log::configure(log::Level::info, "tulle");
  Flags flags;
  flags.arguments.assign(argv, argv + argc);
  int exit_code = 0;
  CLI::App app("Tulle: a service mesh and a Kubernetes-compatible control plane in one binary.",
               "tulle");
  app.require_subcommand(1);
  app.add_flag("-v,--verbose", flags.verbose, "log what is done, not only what went wrong");
  add_up(app, flags, exit_code);
  add_proxy(app, flags, exit_code);
  cli::add_image_commands(app, flags.data_dir, exit_code);
  CLI::App* image = app.get_subcommand("image");
  add_data_dir(*image, flags);
  for (CLI::App* command : image->get_subcommands({})) command->fallthrough();
  CLI::App* status = app.add_subcommand("status", "One screen: services, endpoints, health");
  add_data_dir(*status, flags);
  status->callback([&] { exit_code = cli::run_status(flags.instance().data_dir); });
  add_explain(app, flags, exit_code);
  add_upgrade(app, flags, exit_code);
  cli::add_completion_command(app, exit_code);
  add_version(app);
  add_control(app, flags, exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
