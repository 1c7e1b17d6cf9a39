// A core in a box for unit tests: virtual time, a store in memory, a fake cloud. Everything on the
// test's thread.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/task_key.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "daemon/core/core.h"
#include "daemon/core/testing/plain_naming.h"
#include "providers/testing/fake_provider.h"
#include "store/inline_task_store.h"

namespace boxkeeper::daemon::testing {

namespace asio = boost::asio;
using providers::testing::Verb;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A valid submission; a test says only what matters to it.
class TaskMaker {
 public:
  explicit TaskMaker(uint64_t number) {
    item_.submission_id.id.bytes[0] = static_cast<uint8_t>(number);
    item_.submission_id.id.bytes[1] = static_cast<uint8_t>(number >> 8);
    item_.digest = std::string(32, 'd');
    item_.record.mutable_command()->set_shell("sim");
    item_.record.mutable_spec()->add_provider("fake");
    Key(absl::StrCat("task", number));
  }
  TaskMaker& Key(const std::string& name) {
    item_.record.mutable_key()->set_name(name);
    *item_.record.mutable_key() = base::NormalKey(item_.record.key());
    item_.key = base::KeyString(item_.record.key());
    return *this;
  }
  TaskMaker& Command(const std::string& text) {
    item_.record.mutable_command()->set_shell(text);
    return *this;
  }
  TaskMaker& Owner(const std::string& owner) {
    item_.record.set_owner(owner);
    return *this;
  }
  TaskMaker& Priority(int32_t priority) {
    item_.record.mutable_spec()->set_priority(priority);
    return *this;
  }
  TaskMaker& OnLiveKey(v1::OnLiveKey policy) {
    item_.on_live_key = policy;
    return *this;
  }
  TaskMaker& Digest(char fill) {
    item_.digest = std::string(32, fill);
    return *this;
  }
  TaskMaker& Label(const std::string& key, const std::string& value) {
    (*item_.record.mutable_labels())[key] = value;
    return *this;
  }
  TaskMaker& Lease(int64_t ttl_seconds) {
    item_.record.mutable_lease()->mutable_ttl()->set_seconds(ttl_seconds);
    item_.record.mutable_lease()->set_on_lapse(v1::Lease::CANCEL);
    return *this;
  }
  TaskMaker& Deadline(absl::Time at) {
    item_.record.mutable_spec()->mutable_start_deadline()->set_seconds(absl::ToUnixSeconds(at));
    return *this;
  }
  TaskMaker& LogPath(const std::string& layout, const std::string& path) {
    item_.record.mutable_spec()->mutable_log()->set_layout(layout);
    item_.record.mutable_spec()->mutable_log()->set_path(path);
    return *this;
  }
  TaskMaker& Blob(const std::string& path, const std::string& blob) {
    v1::TaskFile& file = *item_.record.add_files();
    file.set_path(path);
    file.set_blob(blob);
    return *this;
  }
  TaskMaker& Timeout(int64_t seconds) {
    item_.record.mutable_spec()->mutable_timeout()->set_seconds(seconds);
    return *this;
  }
  PackedTask Build() const { return Pack(item_); }

 private:
  PreparedTask item_;
};

class CoreTest : public ::testing::Test {
 protected:
  CoreTest() {
    EXPECT_TRUE(fs_.MakeDirectories("/state", 0700).ok());
    options_.deployment_id = "test";
    options_.providers["fake"] = ProviderLimits{};
  }
  ~CoreTest() override { Stop(); }

  // A new daemon on what the old one left. Tests that change options call it themselves; others at
  // their beginning.
  void Boot() {
    io_ = std::make_unique<asio::io_context>(1);
    clock_ = std::make_unique<base::FakeClock>(*io_);
    for (int i = 0; i < reboots_; ++i) clock_->Reboot(absl::ZeroDuration());
    if (now_ > clock_->Boot()) clock_->JumpTo(now_);
    if (wall_ != absl::Time()) clock_->SetWall(wall_);
    if (world_ == nullptr)
      world_ = std::make_unique<providers::testing::FakeWorld>(*clock_, world_options_);
    world_->Rebind(*clock_);
    auto store = store::InlineTaskStore::Create(
        *clock_, fs_, {.log = {.path = "/state/state.db"}, .delay = commit_delay_});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    faults_.name = "fake";
    provider_ = std::make_shared<providers::testing::FakeProvider>(io_->get_executor(), *clock_,
                                                                   *rng_, *world_, faults_);
    registry_ = {{"fake", provider_}};
    if (wrap_) registry_["fake"] = wrap_(provider_);
    metrics_ = std::make_unique<Metrics>();
    CoreDeps deps{.executor = io_->get_executor(),
                  .clock = *clock_,
                  .rng = *rng_,
                  .store = *store_,
                  .providers = registry_,
                  .naming = naming_,
                  .metrics = *metrics_,
                  .unseal = [](const std::string& box, const base::SubmissionId&) { return box; },
                  .fatal = [this](absl::Status status) { fatal_ = std::move(status); },
                  .decorate_status = nullptr};
    auto core = Core::Create(std::move(deps), options_);
    ASSERT_TRUE(core.ok()) << core.status();
    core_ = *std::move(core);
    core_->SetBlobPins(blob_pins_);
    const absl::Status recovered = Await(core_->Recover());
    ASSERT_TRUE(recovered.ok()) << recovered;
    if (make_log_port_) core_->SetLogPort(make_log_port_());
    const absl::Status started = Await(core_->Start());
    ASSERT_TRUE(started.ok()) << started;
    clock_->Advance(milliseconds(10));
  }

  // kill -9.
  void Stop() {
    if (clock_ != nullptr) {
      now_ = clock_->Boot();
      wall_ = clock_->Now();
    }
    core_.reset();
    if (drop_log_port_) drop_log_port_();
    registry_.clear();
    provider_.reset();
    clock_.reset();
    io_.reset();
    store_.reset();
    fs_.KillProcess();
  }

  void Restart() {
    Stop();
    Boot();
  }

  // The machine restarts: boot time begins anew, wall time goes on.
  void Reboot() {
    world_->Reboot();
    Stop();
    ++reboots_;
    now_ = base::BootTime{};
    Boot();
  }

  // True if the hand-over ends within a minute after `limit`.
  bool HandOver(milliseconds limit) {
    auto done = std::make_shared<bool>(false);
    asio::co_spawn(*io_, core_->HandOver(clock_->Boot() + limit),
                   [done](std::exception_ptr) { *done = true; });
    const base::BootTime last = clock_->Boot() + limit + seconds(60);
    while (!*done && clock_->Boot() < last) clock_->Advance(milliseconds(10));
    return *done;
  }

  void Acknowledge(const std::string& owner, const std::string& cursor) {
    v1::AckEventsRequest ack;
    ack.set_owner(owner);
    ack.set_cursor(cursor);
    const auto acknowledged = Await(core_->AckEvents(ack));
    EXPECT_TRUE(acknowledged.ok()) << acknowledged.status();
  }

  // The process does not run for `time`, while the world goes on (SIGSTOP): whatever became due
  // meanwhile comes at once.
  void Suspend(milliseconds time) {
    clock_->RunUntilIdle();
    clock_->Suspend(time);
    clock_->Advance(milliseconds(0));
  }

  int Executions(const std::string& id) {
    world_->Settle();
    const auto all = world_->ExecutionsByExecId();
    const auto found = all.find(id);
    return found == all.end() ? 0 : found->second;
  }

  bool IsKept(const std::string& id) {
    v1::GetTaskRequest get;
    get.mutable_task()->set_id(id);
    return Await(core_->GetTask(get)).ok();
  }

  // Virtual time moves on until the call has come back.
  template <typename T>
  T Await(asio::awaitable<T> awaitable) {
    std::optional<T> result;
    asio::co_spawn(*io_, std::move(awaitable), [&result](std::exception_ptr error, T value) {
      if (error == nullptr) result = std::move(value);
    });
    clock_->RunUntilIdle();
    for (int i = 0; i < 100'000 && !result.has_value(); ++i) clock_->Advance(milliseconds(1));
    if (!result.has_value()) {
      ADD_FAILURE() << "the call did not come back";
      return T(absl::DeadlineExceededError("test"));
    }
    return *std::move(result);
  }

  v1::SubmitResult Submit(const TaskMaker& task) {
    std::optional<absl::StatusOr<v1::SubmitTasksResponse>> answer;
    std::vector<PackedTask> items;
    items.push_back(task.Build());
    core_->Submit(std::move(items), [&answer](absl::StatusOr<v1::SubmitTasksResponse> response) {
      answer = std::move(response);
    });
    for (int i = 0; i < 1'000 && !answer.has_value(); ++i) clock_->RunUntilIdle();
    if (!answer.has_value() || !answer->ok()) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    return (*answer)->results(0);
  }

  v1::Task Get(const std::string& id) {
    v1::GetTaskRequest request;
    request.mutable_task()->set_id(id);
    auto task = Await(core_->GetTask(request));
    EXPECT_TRUE(task.ok()) << task.status();
    return task.ok() ? *task : v1::Task();
  }

  // The task after it ended.
  v1::Task WaitEnd(const std::string& id) {
    v1::WaitTaskRequest request;
    request.add_ids(id);
    auto response = Await(core_->WaitTask(request));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->tasks(0) : v1::Task();
  }

  v1::CancelResult::Outcome Cancel(const std::string& id) {
    v1::CancelTasksRequest request;
    request.add_tasks()->set_id(id);
    auto response = Await(core_->CancelTasks(request));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->results(0).outcome() : v1::CancelResult::OUTCOME_UNSPECIFIED;
  }

  // Everything a subscriber gets now.
  std::vector<v1::Event> Events(const std::string& owner, const std::string& cursor = "") {
    v1::WatchEventsRequest request;
    request.set_owner(owner);
    request.set_cursor(cursor);
    auto reader = core_->WatchEvents(request);
    EXPECT_TRUE(reader.ok()) << reader.status();
    std::vector<v1::Event> events;
    while (reader.ok() && !(*reader)->AtEnd()) {
      auto batch = Await((*reader)->Next(10, seconds(1)));
      EXPECT_TRUE(batch.ok()) << batch.status();
      if (!batch.ok()) break;
      for (const v1::Event& event : batch->events()) events.push_back(event);
    }
    return events;
  }

  base::FaultyFileSystem fs_;
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(7);
  PlainNaming naming_;
  providers::testing::FakeProviderOptions faults_;
  providers::testing::FakeWorldOptions world_options_;
  CoreOptions options_;
  std::function<base::BootClock::duration()> commit_delay_;  // of each half of a commit
  // What the core talks to instead of `provider_` itself, from the next Boot on.
  std::function<std::shared_ptr<providers::Provider>(std::shared_ptr<providers::Provider>)> wrap_;
  // Makes what the core gives its tasks' output to, and destroys it; null: nothing.
  std::function<LogPort*()> make_log_port_;
  std::function<void()> drop_log_port_;
  blobs::BlobPins* blob_pins_ = nullptr;
  base::BootTime now_{};
  absl::Time wall_;
  int reboots_ = 0;
  absl::Status fatal_;

  std::unique_ptr<store::InlineTaskStore> store_;
  std::unique_ptr<asio::io_context> io_;
  std::unique_ptr<base::FakeClock> clock_;
  std::unique_ptr<providers::testing::FakeWorld> world_;
  std::shared_ptr<providers::testing::FakeProvider> provider_;
  providers::ProviderRegistry registry_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Core> core_;
};

}  // namespace boxkeeper::daemon::testing
