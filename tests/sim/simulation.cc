#include "tests/sim/simulation.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <iostream>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/task_key.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "daemon/core/core.h"
#include "daemon/core/states.h"
#include "daemon/core/task_table.h"
#include "daemon/core/testing/plain_naming.h"
#include "providers/testing/fake_provider.h"
#include "store/inline_task_store.h"

namespace boxkeeper::sim {
namespace {

namespace asio = boost::asio;
using daemon::Core;
using daemon::IsTerminal;
using providers::testing::Verb;
using std::chrono::milliseconds;

constexpr char kDatabase[] = "/state/state.db";
constexpr char kProvider[] = "fake";
// After the last fault everything must come to rest within this (virtual) time: the longest
// back-off, several times.
constexpr std::chrono::hours kQuietMax{2};

// A store that answers one batch too early: what a kill then loses was acknowledged.
class HastyStore : public store::TaskStore {
 public:
  explicit HastyStore(store::TaskStore& store) : store_(store) {}

  asio::awaitable<absl::Status> Commit(const store::Batch& batch) override {
    const store::Batch late = std::exchange(late_, batch);
    absl::Status status = co_await store_.Commit(late);
    co_return status;
  }
  absl::Status Load(
      const std::function<absl::Status(store::Position, std::string_view)>& visit) override {
    return store_.Load(visit);
  }
  store::Position last_position() const override { return store_.last_position(); }
  asio::awaitable<absl::StatusOr<std::string>> Read(store::Position position) override {
    return store_.Read(position);
  }
  bool HasRoomForNewTasks() const override { return store_.HasRoomForNewTasks(); }

 private:
  store::TaskStore& store_;
  store::Batch late_;
};

// A scheduler's event stream. Lives through every crash.
struct Subscriber {
  std::string owner;
  std::string cursor;
  int64_t last_position = 0;
  bool resumes = false;  // events up to `last_position` may come once more
  std::shared_ptr<daemon::EventReader> reader;
};

// What the clients know of one submission. Lives through every crash.
struct Submission {
  base::SubmissionId submission_id;
  std::string key;
  store::v1::Accepted record;
  v1::OnLiveKey on_live_key = v1::ON_LIVE_KEY_REJECT;
  int exit_code = 0;
  int signal = 0;
  bool start_fails = false;
  bool acknowledged = false;  // some answer said ACCEPTED or DUPLICATE
  bool refused = false;       // the last answer was neither
  std::string id;
  bool cancelled_before_start = false;  // an answer said CANCELLED: user code must never start
  std::map<int64_t, v1::Event> events;  // that the subscribers received, by position
  std::optional<v1::Task> told;         // an answer said that it ended
};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options)
      : options_(options),
        rng_(base::MakeSeededRng(options.seed)),
        world_rng_(base::MakeSeededRng(rng_->Next())) {
    subscribers_[0].owner = "sim";
    subscribers_[1].owner = "other";
    DrawFaults();
    Boot();
  }

  ~Simulation() { Kill(); }

  SimulationResult Run() {
    for (int step = 0; step < options_.steps && result_.failures.empty(); ++step) Step();
    ComeToRest();
    CheckEnd();
    Mix(core_ == nullptr ? "" : core_->Fingerprint());
    result_.trace_hash = hash_;
    return result_;
  }

 private:
  // --- the world of this seed ---

  bool Chance(double probability) { return rng_->Unit() < probability; }
  milliseconds Between(int64_t low, int64_t high) {
    return milliseconds(low + static_cast<int64_t>(rng_->Below(high - low + 1)));
  }

  void DrawFaults() {
    faults_.name = kProvider;
    faults_.page_size = 1 + static_cast<int>(rng_->Below(20));
    providers::testing::VerbFaults verb;
    verb.latency.min = milliseconds(0);
    verb.latency.max = Between(0, 200);
    if (Chance(0.5)) {
      providers::testing::ErrorFault error;
      error.probability = rng_->Unit() * 0.3;
      error.proves_no_effect = Chance(0.5);
      verb.errors.push_back(error);
    }
    if (Chance(0.5)) verb.answer_lost = rng_->Unit() * 0.2;
    faults_.SetAll(verb);
    faults_[Verb::kOpen] = {};
    if (Chance(0.3)) faults_.vanish = rng_->Unit() * 0.2;
    if (Chance(0.3)) faults_.hint_lost = rng_->Unit();
    if (Chance(0.3)) faults_.duplicate_row = 0.3;
    if (Chance(0.3)) {
      providers::testing::ErrorFault capacity;
      capacity.probability = 0.2;
      capacity.error_class = provider::v1::CAPACITY;
      faults_[Verb::kCreate].errors.push_back(capacity);
    }
    world_options_.host_bound = Chance(0.3);
    reboot_probability_ = world_options_.host_bound ? 0.02 : 0;
    disk_full_probability_ = Chance(0.2) ? 0.02 : 0;
    outage_probability_ = Chance(0.3) ? 0.02 : 0;
    kill_probability_ = Chance(0.8) ? 0.08 : 0;
    power_probability_ = Chance(0.3) ? 0.04 : 0;
    handover_probability_ = Chance(0.5) ? 0.04 : 0;
    world_options_.create_list_lag = Chance(0.3) ? Between(0, 1'000) : milliseconds(0);
    world_options_.delete_list_lag = Chance(0.3) ? Between(0, 1'000) : milliseconds(0);
    world_options_.kill_latency = Between(0, 300);
    core_options_.max_running = 1 + static_cast<int64_t>(rng_->Below(20));
    core_options_.max_queued = 40;
    core_options_.handover_grace = Between(100, 5'000);
    core_options_.cancel_grace = Between(0, 2'000);
    core_options_.poll_interval = Between(200, 5'000);
    core_options_.deployment_id = "sim";
    core_options_.providers[kProvider].call_timeout = milliseconds(5'000);
    core_options_.providers[kProvider].create_concurrency = 1 + static_cast<int>(rng_->Below(16));
    core_options_.create_timeout = milliseconds(10'000);
    core_options_.start_timeout = milliseconds(10'000);
    if (Chance(0.3)) core_options_.retention = Between(1'000, 30'000);
  }

  // --- the daemon's life ---

  void Boot() {
    io_ = std::make_unique<asio::io_context>(1);
    clock_ = std::make_unique<base::FakeClock>(*io_);
    for (int i = 0; i < reboots_; ++i) clock_->Reboot(absl::ZeroDuration());
    if (now_ > clock_->Boot()) clock_->JumpTo(now_);
    clock_->SetWall(wall_);
    if (world_ == nullptr) {
      if (!fs_.MakeDirectories("/state", 0700).ok()) Fail("cannot make /state");
      world_ = std::make_unique<providers::testing::FakeWorld>(*clock_, world_options_);
    }
    world_->Rebind(*clock_);
    core_rng_ = base::MakeSeededRng(rng_->Next());
    store::InlineTaskStoreOptions store_options;
    store_options.log.path = kDatabase;
    store_options.delay = [this] { return base::BootClock::duration(core_rng_->Below(2'000'000)); };
    auto store = store::InlineTaskStore::Create(*clock_, fs_, store_options);
    if (!store.ok()) return Fail("store does not open: " + store.status().ToString());
    store_ = *std::move(store);
    provider_ = std::make_shared<providers::testing::FakeProvider>(io_->get_executor(), *clock_,
                                                                   *world_rng_, *world_, faults_);
    registry_ = {{kProvider, provider_}};
    metrics_ = std::make_unique<daemon::Metrics>();
    hasty_ = std::make_unique<HastyStore>(*store_);
    store::TaskStore& used =
        options_.answer_before_sync ? static_cast<store::TaskStore&>(*hasty_) : *store_;
    daemon::CoreDeps deps{
        .executor = io_->get_executor(),
        .clock = *clock_,
        .rng = *core_rng_,
        .store = used,
        .providers = registry_,
        .naming = naming_,
        .metrics = *metrics_,
        .unseal = [](const std::string& box, const base::SubmissionId&) { return box; },
        .fatal = [this](absl::Status status) { Fail("store failed: " + status.ToString()); },
        .decorate_status = nullptr};
    auto core = Core::Create(std::move(deps), core_options_);
    if (!core.ok()) return Fail(core.status().ToString());
    core_ = *std::move(core);
    ++incarnation_;
    absl::Status recovered = Await(core_->Recover());
    if (!recovered.ok()) return Fail("recover: " + recovered.ToString());
    if (!handed_over_.empty() && core_->Fingerprint() != handed_over_) {
      Fail("I9: replay differs from the memory that was handed over\n--- before\n" + handed_over_ +
           "--- after\n" + core_->Fingerprint());
    }
    handed_over_.clear();
    absl::Status started = Await(core_->Start());
    if (!started.ok()) return Fail("start: " + started.ToString());
    for (Subscriber& subscriber : subscribers_) Subscribe(subscriber);
  }

  // Leaves coroutines where they are: nothing of the old process runs again.
  void Kill() {
    if (clock_ != nullptr) {
      now_ = clock_->Boot();
      wall_ = clock_->Now();
    }
    core_.reset();
    registry_.clear();
    provider_.reset();
    clock_.reset();
    io_.reset();
    store_.reset();
    fs_.KillProcess();
  }

  template <typename T>
  T Await(asio::awaitable<T> awaitable) {
    auto result = std::make_shared<std::optional<T>>();
    asio::co_spawn(*io_, std::move(awaitable), [result](std::exception_ptr error, T value) {
      if (error == nullptr) *result = std::move(value);
    });
    for (int i = 0; i < 100'000 && !result->has_value(); ++i) clock_->Advance(milliseconds(1));
    if (!result->has_value()) {
      Fail("a call did not come back");
      return T(absl::DeadlineExceededError("simulation"));
    }
    return **std::move(result);
  }

  // Calls the core now; `then` runs if the answer comes before the process dies.
  template <typename T>
  void Call(asio::awaitable<T> awaitable, std::function<void(T)> then) {
    auto life = std::make_shared<int64_t>(incarnation_);
    asio::co_spawn(*io_, std::move(awaitable), [then](std::exception_ptr error, T value) {
      if (error == nullptr && then) then(std::move(value));
    });
  }

  void Subscribe(Subscriber& subscriber) {
    v1::WatchEventsRequest request;
    request.set_owner(subscriber.owner);
    // Now and then it knows only what it acknowledged.
    if (!Chance(0.2)) request.set_cursor(subscriber.cursor);
    subscriber.resumes = request.cursor().empty();
    auto reader = core_->WatchEvents(request);
    if (!reader.ok()) return Fail("watch: " + reader.status().ToString());
    subscriber.reader = std::shared_ptr<daemon::EventReader>(*std::move(reader));
    asio::co_spawn(*io_, ReadEvents(subscriber, subscriber.reader), [](std::exception_ptr) {});
  }

  asio::awaitable<void> ReadEvents(Subscriber& subscriber,
                                   std::shared_ptr<daemon::EventReader> reader) {
    while (true) {
      auto batch = co_await reader->Next(7, std::chrono::seconds(15));
      if (absl::IsOutOfRange(batch.status())) {
        // A client would list, and go on from there; here: from what it acknowledged.
        ++result_.sometimes["cursor gone"];
        v1::WatchEventsRequest request;
        request.set_owner(subscriber.owner);
        subscriber.resumes = true;
        auto again = core_->WatchEvents(request);
        if (!again.ok()) co_return;
        reader = *std::move(again);
        batch = co_await reader->Next(7, std::chrono::seconds(15));
      }
      if (!batch.ok()) {
        if (absl::IsOutOfRange(batch.status())) {
          Fail("I7: gone, although acknowledged: " + subscriber.owner);
        }
        co_return;
      }
      for (const v1::Event& event : batch->events()) OnEvent(subscriber, event);
    }
  }

  void OnEvent(Subscriber& subscriber, const v1::Event& event) {
    const int64_t position = std::stoll(event.cursor().substr(1));
    if (position <= subscriber.last_position) {
      if (!subscriber.resumes) Fail("I7: an event came twice or out of order: " + event.cursor());
      return;
    }
    subscriber.last_position = position;
    subscriber.cursor = event.cursor();
    Trace(absl::StrCat("event ", event.cursor(), " ", event.task().id(), " ",
                       std::string(daemon::StateName(event.task().state()))));
    for (auto& submission : submissions_) {
      if (submission->submission_id.id.ToUuid() != event.task().submission_id()) continue;
      submission->id = event.task().id();
      if (event.type() == v1::EVENT_TYPE_STATE) submission->events[position] = event;
    }
  }

  // An answer told of an end: it never changes (I1).
  void OnTold(Submission& submission, const v1::Task& task) {
    if (!IsTerminal(task.state())) return;
    if (submission.told.has_value() &&
        (submission.told->state() != task.state() || submission.told->reason() != task.reason())) {
      Fail("I1: the end of " + task.id() + " changed");
    }
    submission.told = task;
  }

  // --- actions ---

  void Step() {
    const double dice = rng_->Unit();
    if (Chance(kill_probability_)) return CrashNow(false);
    if (Chance(power_probability_)) return CrashNow(true);
    if (Chance(handover_probability_)) return HandOverNow();
    if (Chance(reboot_probability_)) return RebootNow();
    if (Chance(disk_full_probability_)) return FillDisk();
    if (Chance(outage_probability_)) return Outage();
    if (Chance(0.3)) fs_.SetCapacity(std::nullopt);
    if (Chance(0.3)) provider_->SetReach(providers::testing::FakeProvider::Reach::kUp);
    if (Chance(0.05)) CheckReplay();
    if (dice < 0.45) return SubmitNew();
    if (dice < 0.55) return SubmitAgain();
    if (dice < 0.65) return CancelOne();
    if (dice < 0.70) return Acknowledge();
    if (dice < 0.72) return SetDrain();
    if (dice < 0.75) return WaitForOne();
    if (dice < 0.77) return GetOne();
    if (dice < 0.79) return AdoptOne();
    clock_->Advance(Between(0, Chance(0.2) ? 5'000 : 200));
  }

  void CrashNow(bool power) {
    // Somewhere within what is going on.
    for (uint64_t i = rng_->Below(20); i > 0; --i) io_->poll_one();
    Trace(power ? "power cut" : "kill -9");
    ++result_.sometimes[power ? "power cut" : "kill -9"];
    Kill();
    fs_.SetCapacity(std::nullopt);
    if (power) fs_.Crash(*rng_);
    Later();
    Boot();
  }

  // The host goes down, and every sandbox on it.
  void RebootNow() {
    Trace("reboot");
    ++result_.sometimes["reboot"];
    world_->Reboot();
    Kill();
    fs_.Crash(*rng_);
    fs_.SetCapacity(std::nullopt);
    ++reboots_;
    now_ = base::BootTime{};
    Later();
    Boot();
  }

  void FillDisk() {
    Trace("disk full");
    ++result_.sometimes["disk full"];
    fs_.SetCapacity(fs_.used_bytes() + rng_->Below(20'000));
  }

  void Outage() {
    using Reach = providers::testing::FakeProvider::Reach;
    Trace("outage");
    ++result_.sometimes["outage"];
    provider_->SetReach(Chance(0.5) ? Reach::kRefuses : Reach::kHangs);
  }

  // I9: memory is a function of the store.
  void CheckReplay() {
    if (!core_->AllDurable() || options_.answer_before_sync) return;
    ++result_.sometimes["replay compared"];
    daemon::TaskTable replayed;
    absl::Status loaded =
        store_->Load([&replayed](store::Position position, std::string_view bytes) {
          store::v1::Record record;
          if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
            return absl::DataLossError("a record");
          }
          return replayed.Apply(position, record);
        });
    if (!loaded.ok()) return Fail("I9: " + loaded.ToString());
    if (replayed.Fingerprint() == core_->Fingerprint()) return;
    Fail("I9: replay differs\n--- memory\n" + core_->Fingerprint() + "--- replayed\n" +
         replayed.Fingerprint());
  }

  void HandOverNow() {
    fs_.SetCapacity(std::nullopt);
    ++result_.sometimes["hand-over"];
    Trace("hand-over");
    auto done = std::make_shared<bool>(false);
    asio::co_spawn(*io_, core_->HandOver(clock_->Boot() + std::chrono::seconds(20)),
                   [done](std::exception_ptr) { *done = true; });
    for (int i = 0; i < 30'000 && !*done; ++i) clock_->Advance(milliseconds(1));
    if (!*done) return Fail("hand-over does not end");
    handed_over_ = core_->Fingerprint();
    Kill();
    Later();
    Boot();
  }

  void Later() {
    const milliseconds down = Between(0, 3'000);
    now_ += down;
    wall_ += absl::FromChrono(down);
  }

  std::string Command(Submission& submission) {
    std::string command = absl::StrCat("sim run=", rng_->Below(3'000), "ms");
    const double dice = rng_->Unit();
    if (dice < 0.2) {
      submission.exit_code = 1 + static_cast<int>(rng_->Below(100));
      absl::StrAppend(&command, " exit=", submission.exit_code);
    } else if (dice < 0.3) {
      submission.signal = 9;
      absl::StrAppend(&command, " signal=9");
    } else if (dice < 0.35) {
      submission.start_fails = true;
      absl::StrAppend(&command, " start_fails");
    } else if (dice < 0.4) {
      absl::StrAppend(&command, " ignore_term");
    } else if (dice < 0.42) {
      command = "sim run=24h start_silent";
    }
    return command;
  }

  void SubmitNew() {
    auto submission = std::make_shared<Submission>();
    submission->submission_id = {rng_->NewId()};
    v1::TaskKey key;
    key.set_name(absl::StrCat("task", rng_->Below(25)));
    key = base::NormalKey(key);
    submission->key = base::KeyString(key);
    store::v1::Accepted& record = submission->record;
    *record.mutable_key() = key;
    record.set_owner("sim");
    record.mutable_command()->set_shell(Command(*submission));
    record.mutable_spec()->add_provider(kProvider);
    record.mutable_spec()->set_priority(static_cast<int32_t>(rng_->Below(3)));
    // Above 1 KiB a spec is not kept in memory.
    if (Chance(0.2)) (*record.mutable_spec()->mutable_env())["BIG"] = std::string(1'500, 'x');
    if (Chance(0.2)) {
      *record.mutable_spec()->mutable_start_deadline() =
          Timestamp(clock_->Now() + absl::Milliseconds(rng_->Below(5'000)));
    }
    if (Chance(0.1)) {
      record.mutable_lease()->mutable_ttl()->set_seconds(2);
      record.mutable_lease()->set_on_lapse(v1::Lease::CANCEL);
    }
    const double dice = rng_->Unit();
    if (dice < 0.3) submission->on_live_key = v1::ON_LIVE_KEY_AFTER;
    if (dice < 0.1) submission->on_live_key = v1::ON_LIVE_KEY_REPLACE;
    submissions_.push_back(submission);
    Send(submission);
  }

  static google::protobuf::Timestamp Timestamp(absl::Time time) {
    google::protobuf::Timestamp out;
    out.set_seconds(absl::ToUnixSeconds(time));
    return out;
  }

  // One client, or several at once.
  void SubmitAgain() {
    if (submissions_.empty()) return;
    const auto submission = submissions_[rng_->Below(submissions_.size())];
    for (uint64_t i = 1 + rng_->Below(4); i > 0; --i) Send(submission);
  }

  std::shared_ptr<Submission> KnownSubmission() {
    if (submissions_.empty()) return nullptr;
    const auto submission = submissions_[rng_->Below(submissions_.size())];
    return submission->id.empty() ? nullptr : submission;
  }

  void WaitForOne() {
    const auto submission = KnownSubmission();
    if (submission == nullptr) return;
    v1::WaitTaskRequest request;
    request.add_ids(submission->id);
    request.mutable_timeout()->set_seconds(static_cast<int64_t>(rng_->Below(20)));
    Call<absl::StatusOr<v1::WaitTaskResponse>>(
        core_->WaitTask(request),
        [this, submission](absl::StatusOr<v1::WaitTaskResponse> response) {
          if (!response.ok()) return;
          ++result_.sometimes[response->timed_out() ? "wait timed out" : "wait told an end"];
          OnTold(*submission, response->tasks(0));
          if (!response->timed_out() && !IsTerminal(response->tasks(0).state())) {
            Fail("a wait came back before the end of " + submission->id);
          }
        });
  }

  void GetOne() {
    const auto submission = KnownSubmission();
    if (submission == nullptr) return;
    v1::GetTaskRequest request;
    request.mutable_task()->set_id(submission->id);
    Call<absl::StatusOr<v1::Task>>(core_->GetTask(request),
                                   [this, submission](absl::StatusOr<v1::Task> task) {
                                     if (task.ok()) OnTold(*submission, *task);
                                   });
  }

  void AdoptOne() {
    // What the old owner did not acknowledge is compacted with the task: it would have to list.
    if (core_options_.retention < std::chrono::hours(1)) return;
    const auto submission = KnownSubmission();
    if (submission == nullptr) return;
    v1::AdoptTasksRequest request;
    request.set_new_owner(subscribers_[rng_->Below(subscribers_.size())].owner);
    request.add_tasks()->set_id(submission->id);
    Call<absl::StatusOr<v1::AdoptTasksResponse>>(
        core_->AdoptTasks(request), [this](absl::StatusOr<v1::AdoptTasksResponse> response) {
          if (!response.ok()) return;
          const auto outcome = response->results(0).outcome();
          ++result_.sometimes[absl::StrCat("adopt ", v1::AdoptResult::Outcome_Name(outcome))];
        });
  }

  void Send(const std::shared_ptr<Submission>& submission) {
    daemon::PreparedTask item;
    item.submission_id = submission->submission_id;
    item.digest = submission->submission_id.ToString();
    item.key = submission->key;
    item.record = submission->record;
    item.on_live_key = submission->on_live_key;
    std::vector<daemon::PackedTask> items;
    items.push_back(daemon::Pack(std::move(item)));
    core_->Submit(std::move(items), [this,
                                     submission](absl::StatusOr<v1::SubmitTasksResponse> response) {
      if (!response.ok()) return;
      const v1::SubmitResult& result = response->results(0);
      ++result_
            .sometimes[absl::StrCat("submit ", v1::SubmitResult::Outcome_Name(result.outcome()))];
      const bool known = result.outcome() == v1::SubmitResult::ACCEPTED ||
                         result.outcome() == v1::SubmitResult::DUPLICATE;
      if (!known) return;
      if (!submission->id.empty() && submission->id != result.id())
        Fail("I2: one submission, two tasks");
      if (submission->acknowledged && result.outcome() == v1::SubmitResult::ACCEPTED) {
        Fail("I2: accepted twice");
      }
      submission->acknowledged = true;
      submission->id = result.id();
      Trace("accepted " + result.id());
    });
  }

  void CancelOne() {
    if (submissions_.empty()) return;
    auto submission = submissions_[rng_->Below(submissions_.size())];
    if (submission->id.empty()) return;
    v1::CancelTasksRequest request;
    request.add_tasks()->set_id(submission->id);
    request.set_force(Chance(0.2));
    Call<absl::StatusOr<v1::CancelTasksResponse>>(
        core_->CancelTasks(request),
        [this, submission](absl::StatusOr<v1::CancelTasksResponse> response) {
          if (!response.ok()) return;
          const auto outcome = response->results(0).outcome();
          ++result_.sometimes[absl::StrCat("cancel ", v1::CancelResult::Outcome_Name(outcome))];
          if (outcome == v1::CancelResult::CANCELLED) submission->cancelled_before_start = true;
        });
  }

  void Acknowledge() {
    const Subscriber& subscriber = subscribers_[rng_->Below(subscribers_.size())];
    if (subscriber.cursor.empty()) return;
    v1::AckEventsRequest request;
    request.set_owner(subscriber.owner);
    request.set_cursor(subscriber.cursor);
    Call<absl::StatusOr<v1::AckEventsResponse>>(core_->AckEvents(request), nullptr);
  }

  void SetDrain() {
    v1::DrainRequest request;
    drained_ = !drained_;
    request.set_off(!drained_);
    Call<absl::StatusOr<v1::DrainResponse>>(core_->Drain(request), nullptr);
  }

  // --- the end ---

  // No more faults: everything accepted must reach its end, every sandbox must go.
  void ComeToRest() {
    if (core_ == nullptr || !result_.failures.empty()) return;
    providers::testing::FakeProviderOptions calm;
    calm.name = kProvider;
    faults_ = calm;
    provider_->options() = calm;
    provider_->SetReach(providers::testing::FakeProvider::Reach::kUp);
    fs_.SetCapacity(std::nullopt);
    drained_ = true;
    SetDrain();
    const base::BootTime limit = clock_->Boot() + kQuietMax;
    while (clock_->Boot() < limit && !AtRest()) clock_->Advance(milliseconds(500));
    clock_->Advance(std::chrono::seconds(20));
  }

  bool AtRest() {
    for (const auto& submission : submissions_) {
      if (submission->acknowledged && !Ended(*submission)) return false;
    }
    const v1::GetStatusResponse status = core_->GetStatus();
    for (const char* state : {"QUEUED", "CREATING", "STARTING", "RUNNING", "STOPPING"}) {
      if (status.tasks().at(state) > 0) return false;
    }
    return status.live_sandboxes() == 0 && world_->SandboxNames().empty();
  }

  static bool Ended(const Submission& submission) {
    if (submission.events.empty()) return false;
    return IsTerminal(submission.events.rbegin()->second.task().state());
  }

  // What really happened to the sandboxes in which `exec_id` was started.
  std::string Audit(const std::string& exec_id) const {
    std::set<std::string> names;
    for (const auto& entry : world_->audit()) {
      if (entry.exec_id == exec_id) names.insert(entry.name);
    }
    constexpr std::array kKinds{"create",  "start", "execute", "signal",
                                "destroy", "fence", "vanish",  "reboot"};
    std::string out;
    for (const auto& entry : world_->audit()) {
      if (!names.contains(entry.name) && !entry.name.empty()) continue;
      absl::StrAppend(&out, "\n  ", entry.at.time_since_epoch().count(), " ", kKinds[entry.kind],
                      " ", entry.name, " ", entry.exec_id, " ", entry.detail);
    }
    return out;
  }

  void CheckEnd() {
    if (!result_.failures.empty()) return;
    std::map<std::string, int> executions;
    for (const auto& [exec_id, count] : world_->ExecutionsByExecId()) executions[exec_id] = count;
    for (const auto& [exec_id, count] : executions) {
      if (count > 1) {
        Fail(
            absl::StrCat("I3: user code of ", exec_id, " began ", count, " times", Audit(exec_id)));
      }
    }
    for (const std::string& name : world_->SandboxNames()) Fail("I5: leaked sandbox " + name);
    for (const auto& submission : submissions_) CheckSubmission(*submission, executions);
  }

  static bool IsEdge(v1::TaskState from, v1::TaskState to) {
    for (const daemon::Edge& edge : daemon::Edges()) {
      if (edge.from == from && edge.to == to) return true;
    }
    return false;
  }

  void CheckSubmission(const Submission& submission, const std::map<std::string, int>& executions) {
    if (!submission.acknowledged) return;
    const std::string& id = submission.id;
    if (!Ended(submission)) return Fail("I1: no end of " + id);
    int terminal = 0;
    v1::TaskState before = v1::TASK_STATE_UNSPECIFIED;
    for (const auto& [position, event] : submission.events) {
      const v1::TaskState state = event.task().state();
      if (before == v1::TASK_STATE_UNSPECIFIED && state != v1::TASK_STATE_QUEUED)
        Fail("I7: first event of " + id);
      if (before != v1::TASK_STATE_UNSPECIFIED && !IsEdge(before, state)) {
        Fail(absl::StrCat("I7: a gap in the events of ", id, ": ",
                          std::string(daemon::StateName(before)), " to ",
                          std::string(daemon::StateName(state))));
      }
      if (IsTerminal(before)) Fail("I7: an event after the end of " + id);
      if (IsTerminal(state)) ++terminal;
      before = state;
    }
    if (terminal != 1) Fail(absl::StrCat("I1: ", terminal, " terminal events of ", id));
    const v1::Task& end = submission.events.rbegin()->second.task();
    if (submission.told.has_value() &&
        (submission.told->state() != end.state() || submission.told->reason() != end.reason())) {
      Fail("I1: an answer told another end of " + id);
    }
    ++result_.sometimes[absl::StrCat("end ", std::string(daemon::ReasonName(end.reason())))];
    const bool ran = executions.contains(id);
    if (ran && end.reason() == v1::REASON_START_FAILED) ++result_.sometimes["silent start ended"];
    const bool succeeded = end.state() == v1::TASK_STATE_SUCCEEDED;
    const bool would_succeed =
        submission.exit_code == 0 && submission.signal == 0 && !submission.start_fails;
    if (succeeded && (!ran || !would_succeed || end.exit_code() != 0))
      Fail("I11: success without an exit code 0: " + id);
    if (end.reason() == v1::REASON_EXIT_CODE && end.exit_code() != submission.exit_code) {
      Fail("the exit code of " + id + " is wrong");
    }
    if (end.user_code_started() == v1::USER_CODE_STARTED_NO && ran)
      Fail("said that user code of " + id + " did not start");
    if (submission.cancelled_before_start && ran)
      Fail("I12: ran after its cancel was acknowledged: " + id);
  }

  // --- bookkeeping ---

  void Fail(const std::string& what) {
    result_.failures.push_back(absl::StrCat("seed ", options_.seed, ": ", what));
  }

  void Mix(const std::string& text) {
    for (const unsigned char c : text) hash_ = (hash_ ^ c) * 1099511628211ULL;
  }

  void Trace(const std::string& text) {
    const std::string line =
        absl::StrCat(clock_ == nullptr ? 0 : clock_->Boot().time_since_epoch().count(), " ", text);
    Mix(line);
    if (options_.trace) std::cerr << line << "\n";
  }

  const SimulationOptions options_;
  SimulationResult result_;
  uint64_t hash_ = 14695981039346656037ULL;
  std::unique_ptr<base::Rng> rng_;
  std::unique_ptr<base::Rng> world_rng_;  // requests that outlive the daemon still draw from it

  base::FaultyFileSystem fs_;
  daemon::testing::PlainNaming naming_;
  providers::testing::FakeProviderOptions faults_;
  providers::testing::FakeWorldOptions world_options_;
  daemon::CoreOptions core_options_;
  double kill_probability_ = 0;
  double power_probability_ = 0;
  double handover_probability_ = 0;
  double reboot_probability_ = 0;
  double disk_full_probability_ = 0;
  double outage_probability_ = 0;
  int reboots_ = 0;
  base::BootTime now_{};
  absl::Time wall_ = absl::FromUnixSeconds(1'800'000'000);
  int64_t incarnation_ = 0;
  bool drained_ = false;
  std::string handed_over_;

  std::unique_ptr<store::InlineTaskStore> store_;
  std::unique_ptr<HastyStore> hasty_;
  std::unique_ptr<base::Rng> core_rng_;
  std::unique_ptr<asio::io_context> io_;
  std::unique_ptr<base::FakeClock> clock_;
  std::unique_ptr<providers::testing::FakeWorld> world_;
  std::shared_ptr<providers::testing::FakeProvider> provider_;
  providers::ProviderRegistry registry_;
  std::unique_ptr<daemon::Metrics> metrics_;
  std::unique_ptr<Core> core_;

  std::vector<std::shared_ptr<Submission>> submissions_;
  std::array<Subscriber, 2> subscribers_;
};

}  // namespace

SimulationResult RunSimulation(const SimulationOptions& options) {
  Simulation simulation(options);
  return simulation.Run();
}

}  // namespace boxkeeper::sim
