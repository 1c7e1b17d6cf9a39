#include "providers/testing/fake_provider.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/testing/fake_clock.h"

namespace boxkeeper::providers::testing {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

pb::LaunchRequest Sim(const std::string& exec_id, std::vector<std::string> words) {
  pb::LaunchRequest launch;
  launch.set_exec_id(exec_id);
  launch.mutable_command()->mutable_argv()->add_args("sim");
  for (const std::string& word : words) launch.mutable_command()->mutable_argv()->add_args(word);
  return launch;
}

pb::CreateRequest Named(const std::string& name) {
  pb::CreateRequest request;
  request.set_name(name);
  request.set_sandbox_id("id-" + name);
  (*request.mutable_labels())["boxkeeper.deployment"] = "test";
  return request;
}

class FakeProviderTest : public ::testing::Test {
 protected:
  void Restart() {
    provider_.reset();
    provider_ =
        std::make_unique<FakeProvider>(context_.get_executor(), clock_, *rng_, world_, options_);
  }
  void SetUp() override { Restart(); }

  base::BootTime Deadline() { return clock_.Boot() + 30s; }

  // Runs one call; time moves until it completes.
  template <typename T>
  T Await(asio::awaitable<T> call) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(call), [&](std::exception_ptr error, T value) {
      ASSERT_FALSE(error);
      result.emplace(std::move(value));
    });
    clock_.RunUntilIdle();
    while (!result.has_value() && clock_.NextAlarm().has_value())
      clock_.JumpTo(*clock_.NextAlarm());
    EXPECT_TRUE(result.has_value());
    return std::move(*result);
  }
  std::vector<pb::CreateOutcome> Create(std::vector<pb::CreateRequest> requests) {
    std::vector<pb::CreateOutcome> outcomes(requests.size());
    bool completed = false;
    auto done = [&](size_t i, pb::CreateOutcome outcome) { outcomes[i] = std::move(outcome); };
    asio::co_spawn(context_, provider_->Create(std::move(requests), Deadline(), done),
                   [&](std::exception_ptr) { completed = true; });
    clock_.RunUntilIdle();
    while (!completed && clock_.NextAlarm().has_value()) clock_.JumpTo(*clock_.NextAlarm());
    EXPECT_TRUE(completed);
    return outcomes;
  }
  std::string CreateOne(const std::string& name) { return Create({Named(name)})[0].handle(); }
  pb::StartOutcome Start(const std::string& handle, pb::LaunchRequest launch) {
    return Await(provider_->Start(handle, std::move(launch), Deadline()));
  }
  pb::SandboxView Inspect(const std::string& handle) {
    return *Await(provider_->Inspect(handle, Deadline()));
  }

  asio::io_context context_;
  base::FakeClock clock_{context_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  FakeWorldOptions cloud_;
  FakeWorld world_{clock_, cloud_};
  FakeProviderOptions options_;
  std::unique_ptr<FakeProvider> provider_;
};

TEST_F(FakeProviderTest, RunsACommandAndAttestsItsExitCode) {
  const std::string handle = CreateOne("a");
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::CREATED);
  EXPECT_TRUE(Start(handle, Sim("e", {"run=5s", "exit=3", "out=100"})).has_started());
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::RUNNING);
  clock_.Advance(5s);
  const pb::SandboxView view = Inspect(handle);
  EXPECT_EQ(view.state(), pb::SandboxView::ENDED);
  EXPECT_EQ(view.exit().exit_code(), 3);
  EXPECT_FALSE(view.exit().has_signal());
  EXPECT_EQ(view.exit().stdout_bytes(), 100);
}

TEST_F(FakeProviderTest, RepeatedStartExecutesOnce) {
  const std::string handle = CreateOne("a");
  Start(handle, Sim("e", {"run=5s"}));
  EXPECT_TRUE(Start(handle, Sim("e", {"run=5s"})).started().repeated_call());
  clock_.Advance(6s);
  EXPECT_TRUE(Start(handle, Sim("e", {"run=5s"})).has_ended());
  EXPECT_EQ(world_.ExecutionsByExecId()["e"], 1);
}

TEST_F(FakeProviderTest, AuditShowsASecondExecutionWhereStartIsNotIdempotent) {
  world_.options().start_idempotent = false;
  Restart();
  EXPECT_FALSE(provider_->capabilities().start_idempotent());
  const std::string handle = CreateOne("a");
  Start(handle, Sim("e", {"run=5s"}));
  Start(handle, Sim("e", {"run=5s"}));
  EXPECT_EQ(world_.ExecutionsByExecId()["e"], 2);
}

TEST_F(FakeProviderTest, CreateIsAdoptedUnderItsNameAlsoAfterARestart) {
  const std::string handle = CreateOne("a");
  Restart();
  const auto outcome = Create({Named("a")})[0];
  EXPECT_TRUE(outcome.adopted());
  EXPECT_EQ(outcome.handle(), handle);
}

TEST_F(FakeProviderTest, LostCreateAnswerLeavesASandboxBehind) {
  provider_->options()[Verb::kCreate].answer_lost = 1;
  const auto outcome = Create({Named("a")})[0];
  EXPECT_EQ(outcome.error().error_class(), pb::TRANSIENT);
  EXPECT_FALSE(outcome.error().proves_no_effect());
  EXPECT_EQ(world_.SandboxNames(), std::vector<std::string>{"a"});
}

TEST_F(FakeProviderTest, ErrorWithProofHasNoEffect) {
  ErrorFault fault;
  fault.probability = 1;
  fault.error_class = pb::RATE;
  fault.retry_after = 3s;
  provider_->options()[Verb::kCreate].errors = {fault};
  const auto outcome = Create({Named("a")})[0];
  EXPECT_EQ(outcome.error().error_class(), pb::RATE);
  EXPECT_EQ(outcome.error().retry_after().seconds(), 3);
  EXPECT_TRUE(world_.SandboxNames().empty());
}

TEST_F(FakeProviderTest, RequestOnItsWayTakesEffectAfterTheAdapterDied) {
  provider_->options()[Verb::kCreate].latency = {10s, 10s, 0, 0s};
  bool told = false;
  auto done = [&](size_t, pb::CreateOutcome) { told = true; };
  asio::co_spawn(context_, provider_->Create({Named("a")}, Deadline(), done),
                 [](std::exception_ptr) {});
  clock_.RunUntilIdle();
  provider_.reset();
  clock_.Advance(20s);
  EXPECT_FALSE(told);
  EXPECT_EQ(world_.SandboxNames(), std::vector<std::string>{"a"});
}

TEST_F(FakeProviderTest, CallEndsAtItsDeadlineWhenTheProviderHangs) {
  const std::string handle = CreateOne("a");
  provider_->SetReach(FakeProvider::Reach::kHangs);
  const base::BootTime deadline = Deadline();
  const auto view = Await(provider_->Inspect(handle, deadline));
  EXPECT_EQ(view.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(clock_.Boot(), deadline);
}

TEST_F(FakeProviderTest, ListShowsNewLateAndDeletedLong) {
  world_.options().create_list_lag = 2s;
  world_.options().delete_list_lag = 4s;
  const std::string handle = CreateOne("a");
  EXPECT_EQ(Await(provider_->List("", Deadline()))->sandboxes_size(), 0);
  EXPECT_EQ(Await(provider_->Find("a", Deadline()))->state(), pb::SandboxView::ABSENT);
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::CREATED);
  clock_.Advance(2s);
  EXPECT_EQ(Await(provider_->List("", Deadline()))->sandboxes_size(), 1);
  EXPECT_TRUE(Await(provider_->Destroy(handle, Deadline())).ok());
  EXPECT_EQ(Await(provider_->List("", Deadline()))->sandboxes_size(), 1);
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::ABSENT);
  clock_.Advance(5s);
  EXPECT_EQ(Await(provider_->List("", Deadline()))->sandboxes_size(), 0);
}

TEST_F(FakeProviderTest, PagesHoldEverySandbox) {
  provider_->options().page_size = 3;
  provider_->options().duplicate_row = 0.5;
  std::vector<pb::CreateRequest> requests;
  for (char c = 'a'; c < 'k'; ++c) requests.push_back(Named(std::string(1, c)));
  Create(requests);
  std::map<std::string, int> seen;
  std::string cursor;
  int pages = 0;
  do {
    const pb::ListPage page = *Await(provider_->List(cursor, Deadline()));
    for (const auto& row : page.sandboxes()) ++seen[row.name()];
    cursor = page.next_cursor();
    ++pages;
  } while (!cursor.empty());
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(pages, 4);
}

TEST_F(FakeProviderTest, HintComesWhenACommandEnds) {
  std::vector<std::string> hints;
  provider_->OnHint([&](ProviderHint hint) { hints.push_back(hint.sandbox_name); });
  const std::string handle = CreateOne("a");
  Start(handle, Sim("e", {"run=5s"}));
  clock_.Advance(4s);
  EXPECT_TRUE(hints.empty());
  clock_.Advance(1s);
  EXPECT_EQ(hints, std::vector<std::string>{"a"});
}

TEST_F(FakeProviderTest, HintMayCarryTheEnd) {
  std::vector<ProviderHint> hints;
  provider_->options().hint_with_view = 1;
  provider_->OnHint([&](ProviderHint hint) { hints.push_back(hint); });
  Start(CreateOne("a"), Sim("e", {"run=5s", "exit=3"}));
  clock_.Advance(5s);
  ASSERT_EQ(hints.size(), 1u);
  EXPECT_EQ(hints[0].view->exit().exit_code(), 3);
}

TEST_F(FakeProviderTest, FenceKillsAndRefusesLaterStarts) {
  world_.options().kill_latency = 1s;
  const std::string handle = CreateOne("a");
  Start(handle, Sim("e", {"run=1h"}));
  EXPECT_EQ(Await(provider_->Fence(handle, Deadline())).code(),
            absl::StatusCode::kFailedPrecondition);
  clock_.Advance(1s);
  EXPECT_TRUE(Await(provider_->Fence(handle, Deadline())).ok());
  EXPECT_EQ(Inspect(handle).exit().signal(), 9);
  EXPECT_TRUE(Start(handle, Sim("e", {})).has_error());
}

TEST_F(FakeProviderTest, TermIsIgnoredUntilTheGracePeriodIsOver) {
  const std::string handle = CreateOne("a");
  Start(handle, Sim("e", {"run=1h", "ignore_term"}));
  SignalRequest request;
  request.grace = 5s;
  EXPECT_TRUE(Await(provider_->Signal(handle, request, Deadline())).ok());
  clock_.Advance(4s);
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::RUNNING);
  clock_.Advance(1s);
  EXPECT_EQ(Inspect(handle).exit().signal(), 9);
}

TEST_F(FakeProviderTest, TimeoutEndsTheRun) {
  const std::string handle = CreateOne("a");
  pb::LaunchRequest launch = Sim("e", {"run=1h"});
  launch.mutable_timeout()->set_seconds(7);
  Start(handle, launch);
  clock_.Advance(7s);
  EXPECT_TRUE(Inspect(handle).exit().timed_out());
  EXPECT_EQ(Inspect(handle).exit().signal(), 15);
}

TEST_F(FakeProviderTest, OneStepCreateExecutesAndStartIsNotDeclared) {
  world_.options().one_step = true;
  Restart();
  pb::CreateRequest request = Named("a");
  *request.mutable_launch() = Sim("e", {"run=5s"});
  const std::string handle = Create({request})[0].handle();
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::RUNNING);
  EXPECT_TRUE(Create({request})[0].adopted());
  EXPECT_EQ(world_.ExecutionsByExecId()["e"], 1);
  EXPECT_EQ(Start(handle, Sim("e", {})).error().error_class(), pb::INVALID);
}

TEST_F(FakeProviderTest, OneStepNameIsFreeAfterTheEndUnlessUnique) {
  world_.options().one_step = true;
  world_.options().name_unique_incl_ended = false;
  Restart();
  pb::CreateRequest request = Named("a");
  *request.mutable_launch() = Sim("e", {});
  Create({request});
  EXPECT_FALSE(Create({request})[0].adopted());
  EXPECT_EQ(world_.ExecutionsByExecId()["e"], 2);
}

TEST_F(FakeProviderTest, RebootLosesWhatRanAndKeepsWhatHadEnded) {
  const std::string running = CreateOne("running");
  const std::string ended = CreateOne("ended");
  Start(running, Sim("e1", {"run=1h"}));
  Start(ended, Sim("e2", {"exit=4"}));
  world_.Reboot();
  provider_.reset();
  clock_.Reboot(absl::Seconds(30));
  Restart();
  EXPECT_TRUE(Inspect(running).exit().host_rebooted());
  EXPECT_FALSE(Inspect(running).exit().has_exit_code());
  EXPECT_EQ(Inspect(ended).exit().exit_code(), 4);
  EXPECT_EQ(Await(provider_->List("", Deadline()))->sandboxes_size(), 2);
}

TEST_F(FakeProviderTest, VanishedSandboxIsAbsent) {
  provider_->options().vanish = 1;
  provider_->options().vanish_within = 5s;
  const std::string handle = CreateOne("a");
  Start(handle, Sim("e", {"run=1h"}));
  clock_.Advance(6s);
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::ABSENT);
}

TEST_F(FakeProviderTest, StartFailureIsAttested) {
  const std::string handle = CreateOne("a");
  EXPECT_TRUE(Start(handle, Sim("e", {"start_fails"})).has_failure());
  EXPECT_TRUE(Inspect(handle).exit().start_failed());
  EXPECT_TRUE(world_.ExecutionsByExecId().empty());
}

TEST_F(FakeProviderTest, OutputIsReadableWhileItRuns) {
  const std::string handle = CreateOne("a");
  Start(handle, Sim("e", {"run=10s", "out=1000"}));
  clock_.Advance(5s);
  const auto half = Await(provider_->ReadOutput(handle, "e", "stdout", 100, 10'000, Deadline()));
  EXPECT_EQ(half->data().size(), 400u);
  EXPECT_EQ(half->data()[0], OutputByte(100));
  EXPECT_FALSE(half->end());
  clock_.Advance(5s);
  const auto rest = Await(provider_->ReadOutput(handle, "e", "stdout", 500, 10'000, Deadline()));
  EXPECT_EQ(rest->data().size(), 500u);
  EXPECT_TRUE(rest->end());
}

TEST_F(FakeProviderTest, CapacityIsRefusedWithProof) {
  world_.options().capacity = 1;
  const auto outcomes = Create({Named("a"), Named("b")});
  EXPECT_EQ(outcomes[1].error().error_class(), pb::CAPACITY);
  EXPECT_TRUE(outcomes[1].error().proves_no_effect());
}

TEST_F(FakeProviderTest, CancelledCreateAnswersEveryRequest) {
  provider_->options()[Verb::kCreate].latency = {10s, 10s, 0, 0s};
  int answers = 0;
  asio::cancellation_signal signal;
  auto done = [&](size_t, pb::CreateOutcome outcome) { answers += outcome.has_error() ? 1 : 0; };
  bool completed = false;
  asio::co_spawn(
      context_, provider_->Create({Named("a"), Named("b")}, Deadline(), done),
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { completed = true; }));
  clock_.RunUntilIdle();
  signal.emit(asio::cancellation_type::terminal);
  clock_.RunUntilIdle();
  EXPECT_TRUE(completed);
  EXPECT_EQ(answers, 2);
}

}  // namespace
}  // namespace boxkeeper::providers::testing
