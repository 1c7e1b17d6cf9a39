#include "daemon/wiring/check_connect.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/real_clock.h"
#include "base/rng.h"
#include "daemon/service/authenticator.h"
#include "daemon/wiring/config_options.h"
#include "daemon/wiring/log_store.h"
#include "providers/registry.h"

namespace boxkeeper::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kOpenLimit{30};

bool Say(const std::string& what, const absl::Status& status) {
  std::printf("%s: %s\n", what.c_str(), status.ok() ? "good" : status.ToString().c_str());
  return status.ok();
}

absl::Status Await(asio::io_context& loop, asio::awaitable<absl::Status> call) {
  auto done = asio::co_spawn(loop, std::move(call), asio::use_future);
  loop.restart();
  // Not until the loop has no work: an open connection is always some.
  const auto limit = std::chrono::steady_clock::now() + kOpenLimit * 2;
  while (done.wait_for(std::chrono::seconds(0)) != std::future_status::ready &&
         std::chrono::steady_clock::now() < limit) {
    loop.run_one_until(limit);
  }
  if (done.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    return absl::DeadlineExceededError("no answer");
  }
  return done.get();
}

}  // namespace

std::vector<std::string> CheckSecurityFiles(const config::v1::Config& config) {
  std::vector<std::string> mistakes;
  if (const auto tls = MakeTlsFiles(config)) {
    if (auto loaded = LoadTls(*tls); !loaded.ok()) {
      mistakes.push_back(absl::StrCat("server.tls: ", std::string(loaded.status().message())));
    }
  }
  if (const std::string& file = config.server().auth().tokens_file(); !file.empty()) {
    if (auto loaded = LoadTokens(file); !loaded.ok()) {
      mistakes.push_back(
          absl::StrCat("server.auth.tokens_file: ", std::string(loaded.status().message())));
    }
  }
  return mistakes;
}

bool CheckConnections(const config::v1::Config& config, const std::string& launcher_path) {
  asio::io_context loop;
  asio::thread_pool pool(1);
  const auto clock = base::MakeRealClock();
  const auto files = base::MakeRealFileSystem();
  bool good = Say("state_dir", files->MakeDirectories(config.state_dir(), 0700));
  for (const config::v1::Provider& section : config.providers()) {
    const std::string what = absl::StrCat("providers.", section.name());
    providers::ProviderDeps deps{loop.get_executor(), *clock, config.state_dir(), launcher_path};
    auto provider =
        providers::MakeProvider(section.name(), section.type(), section.options(), deps);
    if (!provider.ok()) {
      good = Say(what, provider.status()) && good;
      continue;
    }
    (*provider)->SetLimits(MakeCallLimits(section));
    absl::Status opened = Await(loop, (*provider)->Open(clock->Boot() + kOpenLimit));
    opened.Update((*provider)->Check());
    good = Say(what, opened) && good;
  }
  const auto rng = base::MakeSystemRng();
  auto store =
      MakeLogStore(config.logs(), {*clock, *rng, *files, loop.get_executor(), pool.get_executor()});
  if (store.ok()) {
    good = Say("logs.url", Await(loop, (*store)->Check())) && good;
  } else {
    good = Say("logs.url", store.status()) && good;
  }
  pool.join();
  return good;
}

}  // namespace boxkeeper::daemon
