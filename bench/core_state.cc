// The core's own costs with many tasks, without processes and network: a store with N of them is
// written, and a core takes it up. Prints one JSON object: how long until it is ready, how long it
// held its loop at most, memory per task, and what a cycle of the watcher costs.
//
//   core_state --dir DIR [--tasks 100000] [--state running|queued] [--cycles 5]
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/identity/deployment.h"
#include "base/log.h"
#include "base/real_clock.h"
#include "base/rng.h"
#include "base/task_key.h"
#include "daemon/core/core.h"
#include "daemon/wiring/identity_adapter.h"
#include "store/threaded_task_store.h"

namespace boxkeeper::bench {
namespace {

namespace asio = boost::asio;
namespace pb = ::boxkeeper::provider::v1;
namespace rec = ::boxkeeper::store::v1;
using Clock = std::chrono::steady_clock;

constexpr char kProvider[] = "far";
constexpr int kPageSize = 1'000;

double Micros(Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

int64_t ResidentBytes() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string Bytes(const base::Id128& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

// One sandbox as its provider lists it. Compact: they are not part of what is measured.
struct Listed {
  base::SandboxId id;
  std::string handle;
};

// Lists what it was given, all of it running, and answers nothing else.
class ListingProvider final : public providers::Provider {
 public:
  ListingProvider(const daemon::Naming& naming, const std::vector<Listed>& listed)
      : naming_(naming), listed_(listed) {
    capabilities_.set_launch(pb::Capabilities::TWO_STEP);
    capabilities_.set_list_shows_end(true);
    capabilities_.set_labels(true);
    capabilities_.set_name_unique_incl_ended(true);
    capabilities_.set_page_size(kPageSize);
  }

  // Before each cycle that is measured: what an adapter would have parsed. Given away whole, since
  // a copy would be charged to the watcher.
  void Refill() {
    pages_.clear();
    for (size_t i = 0; i < listed_.size(); ++i) {
      if (i % kPageSize == 0) pages_.emplace_back();
      pb::SandboxView& view = *pages_.back().add_sandboxes();
      view.set_state(pb::SandboxView::RUNNING);
      view.set_handle(listed_[i].handle);
      view.set_name(naming_.Name(listed_[i].id));
      const base::Birth birth{.incarnation = 7, .position = static_cast<int64_t>(i) + 1};
      for (const auto& [key, value] : naming_.Labels(listed_[i].id, kProvider, 0, 1, birth)) {
        (*view.mutable_labels())[key] = value;
      }
      view.set_started_marker(true);
    }
    for (size_t i = 0; i + 1 < pages_.size(); ++i) pages_[i].set_next_cursor(std::to_string(i + 1));
  }

  int lists = 0;

  const std::string& name() const override { return name_; }
  const std::string& type() const override { return name_; }
  const pb::Capabilities& capabilities() const override { return capabilities_; }
  std::vector<providers::FieldViolation> Validate(const v1::SandboxSpec&) const override {
    return {};
  }
  asio::awaitable<absl::Status> Open(base::BootTime) override { co_return absl::OkStatus(); }
  asio::awaitable<void> Create(std::vector<pb::CreateRequest>, base::BootTime,
                               std::function<void(size_t, pb::CreateOutcome)>) override {
    co_return;
  }
  asio::awaitable<pb::StartOutcome> Start(std::string, pb::LaunchRequest, base::BootTime) override {
    co_return pb::StartOutcome();
  }
  asio::awaitable<absl::StatusOr<pb::SandboxView>> Find(std::string, base::BootTime) override {
    co_return absl::UnavailableError("bench");
  }
  asio::awaitable<absl::StatusOr<pb::ListPage>> List(std::string cursor, base::BootTime) override {
    ++lists;
    // As an answer from elsewhere: other handlers run in between.
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    const size_t page = cursor.empty() ? 0 : std::stoul(cursor);
    if (page >= pages_.size()) co_return pb::ListPage();
    pb::ListPage out;
    out.Swap(&pages_[page]);
    co_return out;
  }
  asio::awaitable<absl::StatusOr<pb::SandboxView>> Inspect(std::string, base::BootTime) override {
    co_return absl::UnavailableError("bench");
  }
  asio::awaitable<absl::Status> Signal(std::string, providers::SignalRequest,
                                       base::BootTime) override {
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Destroy(std::string, base::BootTime) override {
    co_return absl::OkStatus();
  }
  asio::awaitable<absl::Status> Fence(std::string, base::BootTime) override {
    co_return absl::OkStatus();
  }

 private:
  const std::string name_ = kProvider;
  const daemon::Naming& naming_;
  const std::vector<Listed>& listed_;
  pb::Capabilities capabilities_;
  std::vector<pb::ListPage> pages_;
};

// Writes what a daemon would have journalled for `tasks` of them.
class StoreWriter {
 public:
  StoreWriter(base::Rng& rng, const base::Clock& clock) : rng_(rng), clock_(clock) {}

  void AddTask(int64_t generation, bool running, std::vector<Listed>& listed) {
    const int64_t now = absl::ToUnixMillis(clock_.Now());
    rec::Record record;
    rec::Accepted& accepted = *record.mutable_accepted();
    accepted.set_generation(generation);
    accepted.set_id(Bytes(rng_.NewId()));
    accepted.set_submission_id(Bytes(rng_.NewId()));
    accepted.set_digest(std::string(32, 'd'));
    v1::TaskKey key;
    key.set_namespace_("bench");
    key.set_group("a_flow_of_some_length");
    key.set_run("scheduled__2026-11-21T00:00:00");
    key.set_name(absl::StrCat("task_", generation));
    *accepted.mutable_key() = base::NormalKey(key);
    accepted.set_owner("airflow:prod:job-17");
    accepted.mutable_command()->set_shell("python -m work --step 17 --date 2026-11-21 --verbose");
    accepted.mutable_spec()->add_provider(kProvider);
    (*accepted.mutable_spec()->mutable_env())["AIRFLOW_CTX_TASK_ID"] = "task_of_some_length";
    accepted.set_accepted_at_ms(now);
    Put(record);
    if (!running) return;
    const base::SandboxId id{rng_.NewId()};
    Listed one{id, absl::StrCat("v1:", id.ToString(), ":region-1")};
    rec::Record transition;
    transition.mutable_transition()->set_generation(generation);
    transition.mutable_transition()->set_at_ms(now);
    transition.mutable_transition()->set_event(v1::EVENT_TYPE_STATE);
    rec::TaskStatus& status = *transition.mutable_transition()->mutable_status();
    status.set_attempt(1);
    status.set_sandbox_id(Bytes(id.id));
    for (const v1::TaskState state :
         {v1::TASK_STATE_CREATING, v1::TASK_STATE_STARTING, v1::TASK_STATE_RUNNING}) {
      status.set_state(state);
      if (state == v1::TASK_STATE_RUNNING) {
        status.set_started_at_ms(now);
        status.set_user_code_started(v1::USER_CODE_STARTED_YES);
        status.set_isolation("bubblewrap");
      }
      Put(transition);
    }
    rec::Record sandbox;
    sandbox.mutable_sandbox()->set_id(Bytes(id.id));
    sandbox.mutable_sandbox()->set_provider(kProvider);
    sandbox.mutable_sandbox()->set_generation(generation);
    sandbox.mutable_sandbox()->set_attempt(1);
    sandbox.mutable_sandbox()->set_state(rec::SandboxRecord::START_INTENDED);
    sandbox.mutable_sandbox()->set_handle(one.handle);
    sandbox.mutable_sandbox()->set_epoch(1);
    sandbox.mutable_sandbox()->set_at_ms(now);
    Put(sandbox);
    listed.push_back(std::move(one));
  }

  absl::Status Write(store::SqliteLog& log) {
    constexpr size_t kBatch = 10'000;
    while (!pending_.empty()) {
      store::Batch batch;
      const size_t count = std::min(kBatch, pending_.size());
      for (size_t i = 0; i < count; ++i) batch.puts.push_back(std::move(pending_[i]));
      pending_.erase(pending_.begin(), pending_.begin() + static_cast<int64_t>(count));
      const absl::Status committed = log.Commit(batch);
      if (!committed.ok()) return committed;
    }
    return log.Checkpoint();
  }

 private:
  void Put(const rec::Record& record) {
    pending_.push_back({++position_, record.SerializeAsString()});
  }

  base::Rng& rng_;
  const base::Clock& clock_;
  store::Position position_ = 0;
  std::vector<store::PutRecord> pending_;
};

// Runs handlers one by one.
struct Loop {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  Clock::duration longest{};  // that one handler held it
  Clock::duration busy{};

  void RunOne() {
    const Clock::time_point before = Clock::now();
    if (io.poll_one() > 0) {
      const Clock::duration took = Clock::now() - before;
      longest = std::max(longest, took);
      busy += took;
      return;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }

  absl::Status Await(asio::awaitable<absl::Status> awaitable) {
    std::optional<absl::Status> result;
    asio::co_spawn(io, std::move(awaitable), [&result](std::exception_ptr, absl::Status value) {
      result = std::move(value);
    });
    while (!result.has_value()) RunOne();
    return *std::move(result);
  }
};

struct Options {
  std::string dir;
  int64_t tasks = 100'000;
  std::string state = "running";
  int cycles = 5;
};

void Die(const absl::Status& status) {
  std::cerr << "core_state: " << status << "\n";
  std::exit(1);
}

void Measure(const Options& options) {
  auto fs = base::MakeRealFileSystem();
  auto rng = base::MakeSystemRng();
  auto clock = base::MakeRealClock();
  auto deployment = base::Deployment::LoadOrCreate(*fs, *rng, {.state_dir = options.dir});
  if (!deployment.ok()) Die(deployment.status());
  const daemon::DeploymentNaming naming(**deployment);
  std::vector<Listed> listed;
  const std::string path = options.dir + "/state.db";
  {
    auto log = store::SqliteLog::Open(*fs, {.path = path});
    if (!log.ok()) Die(log.status());
    StoreWriter writer(*rng, *clock);
    for (int64_t i = 1; i <= options.tasks; ++i) {
      writer.AddTask(i, options.state == "running", listed);
    }
    const absl::Status written = writer.Write(**log);
    if (!written.ok()) Die(written);
  }
  auto provider = std::make_shared<ListingProvider>(naming, listed);
  provider->Refill();
  const int64_t before = ResidentBytes();
  const Clock::time_point begun = Clock::now();
  Loop loop;
  store::ThreadedTaskStoreOptions store_options;
  store_options.log.path = path;
  auto store = store::ThreadedTaskStore::Create(*fs, store_options);
  if (!store.ok()) Die(store.status());
  const providers::ProviderRegistry registry{{kProvider, provider}};
  daemon::Metrics metrics;
  const auto keep = [](const std::string& box, const base::SubmissionId&) { return box; };
  daemon::CoreDeps deps{.executor = loop.io.get_executor(),
                        .clock = *clock,
                        .rng = *rng,
                        .store = **store,
                        .providers = registry,
                        .naming = naming,
                        .metrics = metrics,
                        .unseal = keep,
                        .fatal = Die,
                        .decorate_status = nullptr};
  daemon::CoreOptions core_options;
  core_options.deployment_id = (*deployment)->id();
  core_options.poll_interval = std::chrono::milliseconds(500);
  core_options.max_running = options.state == "queued" ? 0 : options.tasks;
  core_options.max_queued = options.tasks;
  core_options.providers[kProvider] = {};
  auto core = daemon::Core::Create(std::move(deps), core_options);
  if (!core.ok()) Die(core.status());
  absl::Status recovered = loop.Await((*core)->Recover());
  if (!recovered.ok()) Die(recovered);
  const Clock::time_point replayed = Clock::now();
  loop.longest = {};
  absl::Status started = loop.Await((*core)->Start());
  if (!started.ok()) Die(started);
  const Clock::time_point ready = Clock::now();
  // What Start left to do: to open the provider, and to look at it.
  const int pages = std::max<int>(1, (listed.size() + kPageSize - 1) / kPageSize);
  while (provider->lists < pages) loop.RunOne();
  const Clock::time_point looked = Clock::now();
  const Clock::duration start_held = loop.longest;
  const int64_t resident = ResidentBytes() - before;
  // Cycles of the watcher when nothing happens.
  loop.busy = loop.longest = {};
  for (int cycle = 1; cycle <= options.cycles; ++cycle) {
    provider->Refill();
    while (provider->lists < (cycle + 1) * pages) loop.RunOne();
    const Clock::time_point settled = Clock::now() + std::chrono::milliseconds(100);
    while (Clock::now() < settled) loop.RunOne();
  }
  const int64_t rows = std::max<int64_t>(1, options.cycles * static_cast<int64_t>(listed.size()));
  std::cout << "{\"tasks\": " << options.tasks << ", \"state\": \"" << options.state << "\""
            << ", \"replay_ms\": " << Micros(replayed - begun) / 1'000
            << ", \"ready_ms\": " << Micros(ready - begun) / 1'000
            << ", \"first_look_ms\": " << Micros(looked - ready) / 1'000
            << ", \"start_held_loop_ms\": " << Micros(start_held) / 1'000
            << ", \"bytes_per_task\": " << resident / options.tasks << ", \"pages\": " << pages
            << ", \"list_calls\": " << provider->lists
            << ", \"watcher_us_per_sandbox\": " << Micros(loop.busy) / static_cast<double>(rows)
            << ", \"cycle_held_loop_ms\": " << Micros(loop.longest) / 1'000 << "}\n";
  core->reset();
}

}  // namespace
}  // namespace boxkeeper::bench

int main(int argc, char** argv) {
  boxkeeper::bench::Options options;
  CLI::App app{"The core's own costs with many tasks"};
  app.add_option("--dir", options.dir, "an empty directory for the store")->required();
  app.add_option("--tasks", options.tasks, "how many");
  app.add_option("--state", options.state, "running or queued");
  app.add_option("--cycles", options.cycles, "of the watcher");
  CLI11_PARSE(app, argc, argv);
  boxkeeper::base::SetLogLevel(boxkeeper::base::LogLevel::kWarning);
  boxkeeper::bench::Measure(options);
  return 0;
}
