#include "providers/testing/fake_provider.h"

#include <algorithm>
#include <utility>

#include "providers/spec_fields.h"
#include "providers/testing/fault_plan.h"

namespace boxkeeper::providers::testing {
namespace {

using std::chrono::nanoseconds;

absl::Status Cancelled() { return absl::CancelledError("the call was cancelled"); }

}  // namespace

struct FakeProvider::State {
  State(boost::asio::any_io_executor on, base::Clock& a_clock, base::Rng& a_rng, FakeWorld& a_world,
        FakeProviderOptions some_options)
      : executor(on),
        clock(a_clock),
        rng(a_rng),
        world(a_world),
        options(std::move(some_options)),
        faults(clock, rng, options) {}

  boost::asio::any_io_executor executor;
  base::Clock& clock;
  base::Rng& rng;
  FakeWorld& world;
  FakeProviderOptions options;
  FaultPlanner faults;
  std::string type = "fake";
  Reach reach = Reach::kUp;
  bool closed = false;
  std::array<int64_t, static_cast<size_t>(Verb::kCount)> calls{};
  std::function<void(ProviderHint)> hint;
  std::unique_ptr<base::Alarm> alarm;
  int observer = -1;

  FaultPlan MakePlan(Verb verb);
  void Arm();
  void OnWorld(const std::string& name);

  // One call: the effect happens in the world at its time, the answer is heard later or never.
  template <typename T>
  static boost::asio::awaitable<absl::StatusOr<T>> Call(std::shared_ptr<State> self, Verb verb,
                                                        base::BootTime deadline,
                                                        std::function<absl::StatusOr<T>()> effect);
  static boost::asio::awaitable<absl::Status> CallStatus(std::shared_ptr<State> self, Verb verb,
                                                         base::BootTime deadline,
                                                         std::function<absl::Status()> effect);
};

FaultPlan FakeProvider::State::MakePlan(Verb verb) {
  ++calls[static_cast<size_t>(verb)];
  FaultPlan plan = faults.Plan(verb);
  if (reach == Reach::kUp) return plan;
  plan.effect = false;
  plan.error.reset();
  if (reach == Reach::kRefuses) {
    plan.error = MakeProviderError(pb::TRANSIENT, "connection refused", true);
  } else {
    plan.answer_at = base::BootTime::max();
  }
  return plan;
}

void FakeProvider::State::Arm() {
  if (closed || !options.events) return;
  const std::optional<base::BootTime> next = world.NextDue();
  if (!next.has_value()) return;
  alarm->Set(*next, [this] { world.Settle(); });
}

void FakeProvider::State::OnWorld(const std::string& name) {
  if (closed) return;
  if (name.empty()) return Arm();
  if (!hint || !options.events || faults.Draw(options.hint_lost)) return;
  ProviderHint event;
  event.sandbox_name = name;
  if (faults.Draw(options.hint_with_view)) event.view = world.ViewByName(name);
  hint(event);
}

template <typename T>
boost::asio::awaitable<absl::StatusOr<T>> FakeProvider::State::Call(
    std::shared_ptr<State> self, Verb verb, base::BootTime deadline,
    std::function<absl::StatusOr<T>()> effect) {
  const FaultPlan plan = self->MakePlan(verb);
  auto result = std::make_shared<std::optional<absl::StatusOr<T>>>();
  if (plan.effect) {
    self->world.Schedule(plan.effect_at,
                         [result, effect = std::move(effect)] { *result = effect(); });
  }
  const absl::Status slept = co_await self->clock.SleepUntil(std::min(plan.answer_at, deadline));
  if (!slept.ok() || self->closed) co_return Cancelled();
  self->world.Settle();
  if (plan.answer_at > deadline) co_return absl::DeadlineExceededError("no answer in time");
  if (plan.error.has_value()) co_return MakeError(*plan.error);
  if (!result->has_value()) {
    co_return MakeError(MakeProviderError(pb::TRANSIENT, "the host rebooted", false));
  }
  co_return std::move(**result);
}

boost::asio::awaitable<absl::Status> FakeProvider::State::CallStatus(
    std::shared_ptr<State> self, Verb verb, base::BootTime deadline,
    std::function<absl::Status()> effect) {
  std::function<absl::StatusOr<bool>()> wrapped =
      [effect = std::move(effect)]() -> absl::StatusOr<bool> {
    absl::Status status = effect();
    if (!status.ok()) return status;
    return true;
  };
  auto answer = co_await Call<bool>(std::move(self), verb, deadline, std::move(wrapped));
  co_return answer.status();
}

FakeProvider::FakeProvider(boost::asio::any_io_executor executor, base::Clock& clock,
                           base::Rng& rng, FakeWorld& world, FakeProviderOptions options)
    : state_(std::make_shared<State>(executor, clock, rng, world, std::move(options))) {
  const FakeWorldOptions& cloud = world.options();
  capabilities_.set_launch(cloud.one_step ? pb::Capabilities::ONE_STEP
                                          : pb::Capabilities::TWO_STEP);
  capabilities_.set_start_idempotent(cloud.start_idempotent && !cloud.one_step);
  capabilities_.set_name_unique_incl_ended(cloud.name_unique_incl_ended);
  capabilities_.mutable_list_lag()->set_seconds(
      std::chrono::ceil<std::chrono::seconds>(cloud.create_list_lag).count());
  capabilities_.mutable_create_settle()->set_seconds(60);
  capabilities_.set_list_shows_end(true);
  capabilities_.set_live_output(true);
  capabilities_.set_output_replay(true);
  capabilities_.set_spool_is_native(static_cast<bool>(cloud.spool_writer));
  capabilities_.set_kill(true);
  capabilities_.set_labels(true);
  capabilities_.set_native_exit_code(true);
  capabilities_.set_events(state_->options.events);
  capabilities_.set_page_size(state_->options.page_size);
  capabilities_.set_host_bound(cloud.host_bound);
  for (const std::string& key : state_->options.spec_keys) capabilities_.add_spec_keys(key);
  state_->alarm = clock.NewAlarm(executor);
  state_->observer =
      world.Observe([state = state_.get()](const std::string& name) { state->OnWorld(name); });
  state_->Arm();
}

FakeProvider::~FakeProvider() {
  state_->closed = true;
  state_->alarm.reset();
  state_->hint = nullptr;
  state_->world.Unobserve(state_->observer);
}

FakeProviderOptions& FakeProvider::options() { return state_->options; }
void FakeProvider::SetReach(Reach reach) { state_->reach = reach; }
int64_t FakeProvider::calls(Verb verb) const { return state_->calls[static_cast<size_t>(verb)]; }
const std::string& FakeProvider::name() const { return state_->options.name; }
const std::string& FakeProvider::type() const { return state_->type; }

std::vector<FieldViolation> FakeProvider::Validate(const v1::SandboxSpec& spec) const {
  return UnhonouredKeys(spec, capabilities_);
}

boost::asio::awaitable<absl::Status> FakeProvider::Open(base::BootTime deadline) {
  std::function<absl::Status()> effect = [] { return absl::OkStatus(); };
  return State::CallStatus(state_, Verb::kOpen, deadline, std::move(effect));
}

boost::asio::awaitable<void> FakeProvider::Create(
    std::vector<pb::CreateRequest> requests, base::BootTime deadline,
    std::function<void(size_t, pb::CreateOutcome)> done) {
  // All requests are on their way at once; one loop hears the answers in the order of their times.
  struct Flight {
    size_t index;
    FaultPlan plan;
    std::shared_ptr<std::optional<absl::StatusOr<pb::CreateOutcome>>> result;
  };
  const std::shared_ptr<State> state = state_;
  std::vector<Flight> flights;
  for (size_t i = 0; i < requests.size(); ++i) {
    Flight flight{i, state->MakePlan(Verb::kCreate), {}};
    flight.result = std::make_shared<std::optional<absl::StatusOr<pb::CreateOutcome>>>();
    std::optional<nanoseconds> vanishes;
    if (state->faults.Draw(state->options.vanish)) {
      vanishes = state->faults.Between(nanoseconds(1), state->options.vanish_within);
    }
    if (flight.plan.effect) {
      state->world.Schedule(flight.plan.effect_at, [world = &state->world, result = flight.result,
                                                    request = requests[i], vanishes,
                                                    at = flight.plan.effect_at] {
        *result = world->Create(request);
        if (!(*result)->ok() || !vanishes.has_value()) return;
        world->Schedule(at + *vanishes, [world, name = request.name()] { world->Vanish(name); });
      });
    }
    flights.push_back(std::move(flight));
  }
  std::sort(flights.begin(), flights.end(), [](const Flight& a, const Flight& b) {
    return std::pair(a.plan.answer_at, a.index) < std::pair(b.plan.answer_at, b.index);
  });
  bool cancelled = false;
  for (const Flight& flight : flights) {
    if (!cancelled) {
      const absl::Status slept =
          co_await state->clock.SleepUntil(std::min(flight.plan.answer_at, deadline));
      if (state->closed) co_return;  // nobody is left to be told
      cancelled = !slept.ok();
      state->world.Settle();
    }
    absl::StatusOr<pb::CreateOutcome> outcome = Cancelled();
    if (!cancelled && flight.plan.answer_at > deadline) {
      outcome = absl::DeadlineExceededError("no answer in time");
    } else if (!cancelled && flight.plan.error.has_value()) {
      outcome = MakeError(*flight.plan.error);
    } else if (!cancelled && flight.result->has_value()) {
      outcome = std::move(**flight.result);
    }
    pb::CreateOutcome answer;
    if (outcome.ok()) {
      answer = *std::move(outcome);
    } else {
      *answer.mutable_error() = ErrorOf(outcome.status());
    }
    done(flight.index, std::move(answer));
  }
}

boost::asio::awaitable<pb::StartOutcome> FakeProvider::Start(std::string handle,
                                                             pb::LaunchRequest launch,
                                                             base::BootTime deadline) {
  if (capabilities_.launch() == pb::Capabilities::ONE_STEP) {
    pb::StartOutcome outcome;
    *outcome.mutable_error() =
        MakeProviderError(pb::INVALID, "Start is not declared: one-step launch", true);
    co_return outcome;
  }
  std::function<absl::StatusOr<pb::StartOutcome>()> effect =
      [world = &state_->world, handle = std::move(handle),
       launch = std::move(launch)]() -> absl::StatusOr<pb::StartOutcome> {
    return world->Start(handle, launch);
  };
  auto answer =
      co_await State::Call<pb::StartOutcome>(state_, Verb::kStart, deadline, std::move(effect));
  if (answer.ok()) co_return *std::move(answer);
  pb::StartOutcome outcome;
  *outcome.mutable_error() = ErrorOf(answer.status());
  co_return outcome;
}

boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> FakeProvider::Find(
    std::string name, base::BootTime deadline) {
  std::function<absl::StatusOr<pb::SandboxView>()> effect =
      [state = state_, name = std::move(name)]() -> absl::StatusOr<pb::SandboxView> {
    return state->faults.Seen(state->world.Find(name));
  };
  return State::Call<pb::SandboxView>(state_, Verb::kFind, deadline, std::move(effect));
}

boost::asio::awaitable<absl::StatusOr<pb::ListPage>> FakeProvider::List(std::string cursor,
                                                                        base::BootTime deadline) {
  std::function<absl::StatusOr<pb::ListPage>()> effect =
      [state = state_, cursor = std::move(cursor)]() -> absl::StatusOr<pb::ListPage> {
    return ListOnePage(state->world, state->faults, state->options, cursor);
  };
  return State::Call<pb::ListPage>(state_, Verb::kList, deadline, std::move(effect));
}

boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> FakeProvider::Inspect(
    std::string handle, base::BootTime deadline) {
  std::function<absl::StatusOr<pb::SandboxView>()> effect =
      [state = state_, handle = std::move(handle)]() -> absl::StatusOr<pb::SandboxView> {
    return state->faults.Seen(state->world.Inspect(handle));
  };
  return State::Call<pb::SandboxView>(state_, Verb::kInspect, deadline, std::move(effect));
}

boost::asio::awaitable<absl::StatusOr<pb::OutputChunk>> FakeProvider::ReadOutput(
    std::string handle, std::string exec_id, std::string stream, int64_t offset, int64_t max_bytes,
    base::BootTime deadline) {
  if (capabilities_.spool_is_native()) {
    co_return absl::UnimplementedError("fake: ReadOutput is not declared: the spool is native");
  }
  std::function<absl::StatusOr<pb::OutputChunk>()> effect = [world = &state_->world, handle,
                                                             exec_id, stream, offset, max_bytes] {
    return world->ReadOutput(handle, exec_id, stream, offset, max_bytes);
  };
  auto answer =
      co_await State::Call<pb::OutputChunk>(state_, Verb::kReadOutput, deadline, std::move(effect));
  co_return answer;
}

boost::asio::awaitable<absl::Status> FakeProvider::Signal(std::string handle, SignalRequest request,
                                                          base::BootTime deadline) {
  std::function<absl::Status()> effect = [world = &state_->world, handle = std::move(handle),
                                          request] {
    world->Signal(handle, request.force, request.grace);
    return absl::OkStatus();
  };
  return State::CallStatus(state_, Verb::kSignal, deadline, std::move(effect));
}

boost::asio::awaitable<absl::Status> FakeProvider::Destroy(std::string handle,
                                                           base::BootTime deadline) {
  std::function<absl::Status()> effect = [world = &state_->world, handle = std::move(handle)] {
    world->Destroy(handle);
    return absl::OkStatus();
  };
  return State::CallStatus(state_, Verb::kDestroy, deadline, std::move(effect));
}

boost::asio::awaitable<absl::Status> FakeProvider::Fence(std::string handle,
                                                         base::BootTime deadline) {
  std::function<absl::Status()> effect = [world = &state_->world, handle = std::move(handle)] {
    return world->Fence(handle);
  };
  return State::CallStatus(state_, Verb::kFence, deadline, std::move(effect));
}

void FakeProvider::OnHint(std::function<void(ProviderHint)> receiver) {
  state_->hint = std::move(receiver);
}

}  // namespace boxkeeper::providers::testing
