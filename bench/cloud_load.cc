// Creates sandboxes at a FakeCloud through its adapter and the provider runtime, and prints one
// JSON object: how many a second, and how many calls were refused.
#include <CLI/CLI.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "providers/fakecloud/fakecloud_provider.h"
#include "providers/runtime/managed_provider.h"

namespace boxkeeper::bench {
namespace {

namespace asio = boost::asio;
namespace pb = provider::v1;
using base::BootTime;
using std::chrono::duration;

// For the calls that are under way at the end: they are not counted, but must not fail either.
constexpr std::chrono::seconds kLastAnswers{10};

struct Flags {
  std::string url;
  int in_flight = 64;
  double warm_up = 2;  // seconds before counting begins
  double seconds = 5;
};

class Load {
 public:
  explicit Load(Flags flags) : flags_(std::move(flags)) {}

  int Run() {
    providers::fakecloud::FakeCloudOptions options;
    auto url = base::http::ParseBaseUrl(flags_.url);
    if (!url.ok()) return Say(url.status());
    options.remote.base_url = *std::move(url);
    options.events = false;
    providers::CallRunnerOptions runner;
    runner.limits.create = flags_.in_flight;
    auto made = providers::fakecloud::FakeCloudProvider::Create({executor_, *clock_, rng_}, "cloud",
                                                                options);
    if (!made.ok()) return Say(made.status());
    provider_ = std::make_unique<providers::ManagedProvider>(
        providers::ManagedProvider::Deps{executor_, *clock_, rng_}, *std::move(made), runner);
    const BootTime begin = clock_->Boot() + Seconds(flags_.warm_up);
    end_ = begin + Seconds(flags_.seconds);
    for (int i = 0; i < flags_.in_flight; ++i) {
      group_.Spawn("creator", [this, i] { return CreateUntilTheEnd(i); });
    }
    providers::CallCounters before;
    group_.Spawn("warm-up", [this, begin, &before]() -> asio::awaitable<void> {
      const absl::Status slept = co_await clock_->SleepUntil(begin);
      if (slept.ok()) before = provider_->runner().counters(providers::CallClass::kCreate);
      counting_ = true;
    });
    context_.run();
    const providers::CallCounters after =
        provider_->runner().counters(providers::CallClass::kCreate);
    const auto calls = after.tries - before.tries;
    std::printf(
        "{\"creates_per_s\": %.1f, \"calls\": %lld, \"refused_share\": %.5f, \"failed\": %lld, "
        "\"rate\": %.2f}\n",
        static_cast<double>(made_) / flags_.seconds, static_cast<long long>(calls),
        calls == 0
            ? 0.0
            : static_cast<double>(after.refused - before.refused) / static_cast<double>(calls),
        static_cast<long long>(after.failed - before.failed),
        provider_->runner().rate(providers::CallClass::kCreate));
    return 0;
  }

 private:
  static BootTime::duration Seconds(double seconds) {
    return std::chrono::duration_cast<BootTime::duration>(duration<double>(seconds));
  }
  static int Say(const absl::Status& status) {
    std::fprintf(stderr, "cloud_load: %s\n", status.ToString().c_str());
    return 1;
  }

  asio::awaitable<void> CreateUntilTheEnd(int number) {
    for (int i = 0; clock_->Boot() < end_; ++i) {
      pb::CreateRequest request;
      request.set_name(absl::StrCat("b", number, "x", i));
      (*request.mutable_labels())["boxkeeper.deployment"] = "bench";
      bool created = false;
      auto done = [&created](size_t, const pb::CreateOutcome& outcome) {
        created = outcome.has_handle() && !outcome.adopted();
      };
      std::vector<pb::CreateRequest> requests(1, request);
      co_await provider_->Create(std::move(requests), end_ + kLastAnswers, done);
      if (created && counting_ && clock_->Boot() <= end_) ++made_;
    }
  }

  const Flags flags_;
  asio::io_context context_{1};
  const asio::any_io_executor executor_ = context_.get_executor();
  const std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  const std::shared_ptr<base::Rng> rng_ = base::MakeSystemRng();
  std::unique_ptr<providers::ManagedProvider> provider_;
  BootTime end_;
  bool counting_ = false;
  int64_t made_ = 0;
  base::TaskGroup group_{*clock_, executor_};
};

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Creates sandboxes at a FakeCloud as fast as it lets");
  app.add_option("--url", flags.url, "of a fresh fakecloudd")->required();
  app.add_option("--in_flight", flags.in_flight);
  app.add_option("--warm_up", flags.warm_up, "seconds before counting begins");
  app.add_option("--seconds", flags.seconds, "that are counted");
  CLI11_PARSE(app, argc, argv);
  return Load(std::move(flags)).Run();
}

}  // namespace
}  // namespace boxkeeper::bench

int main(int argc, char** argv) { return boxkeeper::bench::Main(argc, argv); }
