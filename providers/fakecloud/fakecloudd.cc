// FakeCloud as a process of its own, so that it survives the daemons that tests kill. Prints its
// URL as the first line. See docs/providers/fakecloud.md.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "base/core/unique_fd.h"
#include "base/real_clock.h"
#include "base/rng.h"
#include "providers/fakecloud/server.h"
#include "providers/fakecloud/server_wire.h"
#include "providers/testing/fake_world.h"

namespace boxkeeper::providers::fakecloud {
namespace {

struct Flags {
  uint16_t port = 0;
  uint64_t seed = 1;
  std::string audit_file;
  std::string script;
  std::string token;
  bool one_step = false;
  bool names_free_at_end = false;
};

int Say(const std::string& what) {
  std::fprintf(stderr, "fakecloudd: %s\n", what.c_str());
  return 1;
}

// A line of JSON for each entry, written at once: complete whoever is killed.
std::function<void(const testing::AuditEntry&)> AuditInto(int fd) {
  return [fd](const testing::AuditEntry& entry) {
    const std::string line = boost::json::serialize(AuditToJson(entry)) + "\n";
    if (write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      Say(std::string("audit file: ") + std::strerror(errno));
      std::_Exit(1);  // without its audit log it proves nothing
    }
  };
}

int Run(const Flags& flags) {
  boost::asio::io_context context(1);
  const auto clock = base::MakeRealClock();
  const auto rng = base::MakeSeededRng(flags.seed);
  testing::FakeWorldOptions cloud;
  cloud.one_step = flags.one_step;
  cloud.name_unique_incl_ended = !flags.names_free_at_end;
  base::UniqueFd audit;
  if (!flags.audit_file.empty()) {
    audit.Reset(open(flags.audit_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (audit.get() < 0) return Say(flags.audit_file + ": " + std::strerror(errno));
    cloud.auditor = AuditInto(audit.get());
  }
  testing::FakeWorld world(*clock, std::move(cloud));
  ServerOptions options;
  options.port = flags.port;
  options.token = flags.token;
  auto server = FakeCloudServer::Create({context.get_executor(), *clock, *rng, world}, options);
  if (!server.ok()) return Say(server.status().ToString());
  if (!flags.script.empty()) {
    std::ifstream file(flags.script);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return Say(flags.script + ": cannot be read");
    const absl::Status applied = (*server)->SetScript(text.str());
    if (!applied.ok()) return Say(flags.script + ": " + applied.ToString());
  }
  std::printf("%s\n", (*server)->url().c_str());
  std::fflush(stdout);
  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code, int) { context.stop(); });
  context.run();
  return 0;
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Flags flags;
  CLI::App app("FakeCloud: a provider with the shape of a remote API, and its failures");
  app.add_option("--port", flags.port, "of 127.0.0.1; 0 = any free one");
  app.add_option("--seed", flags.seed, "of the draws");
  app.add_option("--audit_file", flags.audit_file, "is appended to: a line of JSON per entry");
  app.add_option("--script", flags.script, "the faults at the beginning");
  app.add_option("--token", flags.token, "that the API asks for");
  app.add_flag("--one_step", flags.one_step, "a create carries the command");
  app.add_flag("--names_free_at_end", flags.names_free_at_end, "an ended sandbox frees its name");
  CLI11_PARSE(app, argc, argv);
  return Run(flags);
}

}  // namespace
}  // namespace boxkeeper::providers::fakecloud

int main(int argc, char** argv) { return boxkeeper::providers::fakecloud::Main(argc, argv); }
