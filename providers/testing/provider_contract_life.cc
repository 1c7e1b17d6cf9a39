// The cases of the conformance suite about a command's life: start, end, signal, fence, destroy.
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "providers/testing/provider_contract.h"

namespace boxkeeper::providers::testing {
namespace {

using namespace std::chrono_literals;

constexpr CommandKind kExitZero{CommandKind::kExit, 0};
constexpr CommandKind kRunForever{CommandKind::kRunForever, 0};
constexpr CommandKind kIgnoreTerm{CommandKind::kIgnoreTerm, 0};

}  // namespace

// --- start and end ---

TEST_P(ProviderContractTest, ExitCodesAreAttested) {
  for (const int code : {0, 3, 137}) {
    const pb::ExitRecord end = WaitForEnd(Run(absl::StrCat("e", code), {CommandKind::kExit, code}));
    EXPECT_EQ(end.exit_code(), code);
    EXPECT_TRUE(end.has_exit_code());
    EXPECT_FALSE(end.has_signal());
    EXPECT_FALSE(end.lost());
    EXPECT_FALSE(end.start_failed());
    EXPECT_NE(end.attester(), v1::ATTESTER_NONE);
  }
}

TEST_P(ProviderContractTest, SignalIsToldFromExitCode) {
  const pb::ExitRecord end = WaitForEnd(Run("a", {CommandKind::kDieBySignal, SIGKILL}));
  EXPECT_EQ(end.signal(), SIGKILL);
  EXPECT_FALSE(end.has_exit_code());
}

TEST_P(ProviderContractTest, RunningIsProvedAndTimesAreInOrder) {
  const std::string handle = Run("a", {CommandKind::kRunBriefly, 4});
  const pb::SandboxView running = Inspect(handle);
  EXPECT_EQ(running.state(), pb::SandboxView::RUNNING);
  EXPECT_TRUE(running.started_marker());
  const pb::ExitRecord end = WaitForEnd(handle);
  EXPECT_EQ(end.exit_code(), 4);
  const auto ns = [](const auto& t) { return t.seconds() * 1'000'000'000 + t.nanos(); };
  EXPECT_GT(ns(end.ended_at()), ns(end.started_at()));
}

TEST_P(ProviderContractTest, StartIsIdempotentPerExecId) {
  if (!TwoStep() || !capabilities().start_idempotent()) GTEST_SKIP() << "not declared";
  const std::string handle = CreateOnly("a");
  const pb::LaunchRequest launch = Launch("x-a", kRunForever);
  EXPECT_FALSE(Start(handle, launch).started().repeated_call());
  EXPECT_TRUE(Start(handle, launch).started().repeated_call());
  EXPECT_TRUE(world_->RunUntil([&] { return world_->Executions("x-a") > 0; }, kLimit));
  EXPECT_TRUE(Start(handle, launch).started().repeated_call());
  EXPECT_EQ(world_->Executions("x-a"), 1);
}

TEST_P(ProviderContractTest, RepeatedStartOfAnEndedOneTellsItsEnd) {
  if (!TwoStep() || !capabilities().start_idempotent()) GTEST_SKIP() << "not declared";
  const std::string handle = Run("a", {CommandKind::kExit, 6});
  WaitForEnd(handle);
  const pb::StartOutcome again = Start(handle, Launch("x-a", {CommandKind::kExit, 6}));
  ASSERT_TRUE(again.has_ended());
  EXPECT_EQ(again.ended().exit_code(), 6);
  EXPECT_EQ(world_->Executions("x-a"), 1);
}

TEST_P(ProviderContractTest, CreatedSandboxIsAnonymousUntilStarted) {
  if (!TwoStep()) GTEST_SKIP() << "one-step launch";
  const pb::SandboxView view = Inspect(CreateOnly("a"));
  EXPECT_EQ(view.state(), pb::SandboxView::CREATED);
  EXPECT_FALSE(view.started_marker());
}

TEST_P(ProviderContractTest, StartFailureIsAttested) {
  const auto outcome = Create({Request("a", {CommandKind::kNotExecutable, 0})})[0];
  ASSERT_TRUE(outcome.has_handle());
  if (TwoStep()) {
    const auto started = Start(outcome.handle(), Launch("x-a", {CommandKind::kNotExecutable, 0}));
    ASSERT_TRUE(started.has_failure());
    EXPECT_FALSE(started.failure().message().empty());
  }
  const pb::ExitRecord end = WaitForEnd(outcome.handle());
  EXPECT_TRUE(end.start_failed());
  EXPECT_FALSE(end.has_exit_code());
  EXPECT_EQ(world_->Executions("x-a"), 0);
}

TEST_P(ProviderContractTest, RunTimeoutIsEnforcedAndSaid) {
  pb::CreateRequest request = Request("a", kIgnoreTerm);
  request.mutable_launch()->mutable_timeout()->set_nanos(300'000'000);
  if (TwoStep()) request.clear_launch();
  const std::string handle = Create({request})[0].handle();
  if (TwoStep()) {
    pb::LaunchRequest launch = Launch("x-a", kIgnoreTerm);
    launch.mutable_timeout()->set_nanos(300'000'000);
    Start(handle, launch);
  }
  const pb::ExitRecord end = WaitForEnd(handle);
  EXPECT_TRUE(end.timed_out());
  EXPECT_EQ(end.signal(), SIGKILL);
}

TEST_P(ProviderContractTest, NameStaysTakenAfterTheEndWhereDeclared) {
  if (!capabilities().name_unique_incl_ended()) GTEST_SKIP() << "not declared";
  WaitForEnd(Run("a", {CommandKind::kExit, 0}));
  EXPECT_TRUE(Create({Request("a", kExitZero)})[0].adopted());
  EXPECT_EQ(world_->Executions("x-a"), 1);
}

TEST_P(ProviderContractTest, SandboxOutlivesTheAdapter) {
  const std::string handle = Run("a", {CommandKind::kRunBriefly, 9});
  world_->RestartAdapter();
  ASSERT_TRUE(Await(provider().Open(Deadline())).ok());
  EXPECT_EQ(WaitForEnd(handle).exit_code(), 9);
  const auto adopted = Create({Request("a", {CommandKind::kRunBriefly, 9})})[0];
  if (capabilities().name_unique_incl_ended()) {
    EXPECT_TRUE(adopted.adopted());
    EXPECT_EQ(adopted.handle(), handle);
    EXPECT_EQ(world_->Executions("x-a"), 1);
  }
}

// --- signal, fence, destroy ---

TEST_P(ProviderContractTest, TermEndsACommandThatHeedsIt) {
  if (!capabilities().kill()) GTEST_SKIP() << "not declared";
  const std::string handle = Run("a", kRunForever);
  SignalRequest request;
  request.grace = 15s;
  const base::BootTime before = world_->clock().Boot();
  EXPECT_TRUE(Await(provider().Signal(handle, request, Deadline())).ok());
  EXPECT_EQ(WaitForEnd(handle).signal(), SIGTERM);
  EXPECT_LT(world_->clock().Boot() - before, 10s);
}

TEST_P(ProviderContractTest, KillComesAfterTheGracePeriod) {
  if (!capabilities().kill()) GTEST_SKIP() << "not declared";
  const std::string handle = Run("a", kIgnoreTerm);
  SignalRequest request;
  request.grace = 500ms;
  const base::BootTime before = world_->clock().Boot();
  EXPECT_TRUE(Await(provider().Signal(handle, request, Deadline())).ok());
  EXPECT_EQ(WaitForEnd(handle).signal(), SIGKILL);
  EXPECT_GE(world_->clock().Boot() - before, 500ms);
}

TEST_P(ProviderContractTest, ForceKillsAtOnce) {
  if (!capabilities().kill()) GTEST_SKIP() << "not declared";
  const std::string handle = Run("a", kIgnoreTerm);
  SignalRequest request;
  request.force = true;
  EXPECT_TRUE(Await(provider().Signal(handle, request, Deadline())).ok());
  EXPECT_EQ(WaitForEnd(handle).signal(), SIGKILL);
}

TEST_P(ProviderContractTest, SignalOfAnEndedOneIsASuccessThatDoesNothing) {
  const std::string handle = Run("a", {CommandKind::kExit, 3});
  WaitForEnd(handle);
  EXPECT_TRUE(Await(provider().Signal(handle, {}, Deadline())).ok());
  EXPECT_EQ(WaitForEnd(handle).exit_code(), 3);
}

TEST_P(ProviderContractTest, FenceOfARunningOneIsSureInTheEnd) {
  const std::string handle = Run("a", kIgnoreTerm);
  absl::Status fenced;
  const base::BootTime deadline = Deadline();
  do {
    fenced = Await(provider().Fence(handle, deadline));
    if (!fenced.ok()) world_->RunUntil([] { return false; }, 50ms);
  } while (!fenced.ok() && world_->clock().Boot() < deadline);
  EXPECT_TRUE(fenced.ok()) << fenced;
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::ENDED);
}

TEST_P(ProviderContractTest, NothingStartsInAFencedSandbox) {
  if (!TwoStep()) GTEST_SKIP() << "one-step launch";
  const std::string handle = CreateOnly("a");
  EXPECT_TRUE(Await(provider().Fence(handle, Deadline())).ok());
  const auto outcome = Start(handle, Launch("x-a", kRunForever));
  EXPECT_TRUE(outcome.has_error() || outcome.has_failure());
  EXPECT_EQ(world_->Executions("x-a"), 0);
}

TEST_P(ProviderContractTest, DestroyEndsWhatRunsAndCanBeRepeated) {
  const std::string handle = Run("a", kIgnoreTerm);
  EXPECT_TRUE(Await(provider().Destroy(handle, Deadline())).ok());
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::ABSENT);
  EXPECT_TRUE(Await(provider().Destroy(handle, Deadline())).ok());
  EXPECT_EQ(ListAll().count("a"), 0u);
}

TEST_P(ProviderContractTest, AbsentSandboxIsAnAnswer) {
  const std::string handle = Run("a", kExitZero);
  WaitForEnd(handle);
  ASSERT_TRUE(Await(provider().Destroy(handle, Deadline())).ok());
  EXPECT_EQ(Inspect(handle).state(), pb::SandboxView::ABSENT);
  EXPECT_EQ(Await(provider().Find("a", Deadline()))->state(), pb::SandboxView::ABSENT);
  EXPECT_TRUE(Await(provider().Signal(handle, {}, Deadline())).ok());
  EXPECT_TRUE(Await(provider().Fence(handle, Deadline())).ok());
  if (!TwoStep()) return;
  const auto outcome = Start(handle, Launch("x-again", kExitZero));
  EXPECT_TRUE(outcome.has_error());
  EXPECT_TRUE(outcome.error().proves_no_effect());
  EXPECT_EQ(world_->Executions("x-again"), 0);
}

}  // namespace boxkeeper::providers::testing
