#include "providers/testing/fault_script.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/testing/fake_clock.h"
#include "providers/testing/fake_provider.h"

namespace boxkeeper::providers::testing {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class FaultScriptTest : public ::testing::Test {
 protected:
  FaultScriptTest()
      : provider_(context_.get_executor(), clock_, *rng_, world_, FakeProviderOptions()) {}

  absl::Status Apply(const std::string& text) {
    return ApplyFaultScript(text, provider_.options(), world_.options());
  }
  void MustApply(const std::string& text) {
    const absl::Status applied = Apply(text);
    ASSERT_TRUE(applied.ok()) << applied;
  }
  base::BootTime Deadline() { return clock_.Boot() + 30s; }

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
  pb::CreateOutcome Create(const std::string& name) {
    pb::CreateRequest request;
    request.set_name(name);
    pb::CreateOutcome outcome;
    auto call = [&]() -> asio::awaitable<bool> {
      co_await provider_.Create({request}, Deadline(),
                                [&](size_t, pb::CreateOutcome o) { outcome = std::move(o); });
      co_return true;
    };
    Await(call());
    return outcome;
  }
  pb::ErrorClass FindErrorClass() {
    const auto found = Await(provider_.Find("a", Deadline()));
    return found.ok() ? pb::ERROR_CLASS_UNSPECIFIED : ErrorOf(found.status()).error_class();
  }

  asio::io_context context_;
  base::FakeClock clock_{context_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  FakeWorld world_{clock_, {}};
  FakeProvider provider_;
};

TEST_F(FaultScriptTest, EmptyTextTakesEveryFaultAway) {
  MustApply("{faults: [{verbs: all, fault: hang}], capacity: 0, create_list_lag: 5s}");
  MustApply("");
  EXPECT_TRUE(Create("a").has_handle());
  EXPECT_EQ(Await(provider_.Find("a", Deadline()))->state(), pb::SandboxView::CREATED);
}

TEST_F(FaultScriptTest, JsonIsUnderstoodToo) {
  MustApply(R"({"faults": [{"verbs": ["find"], "fault": "status", "status": 503}]})");
  EXPECT_EQ(FindErrorClass(), pb::TRANSIENT);
}

TEST_F(FaultScriptTest, LatencyIsOfTheVerbsThatAreNamed) {
  MustApply("faults: [{verbs: [find], fault: latency, min: 2s, max: 3s}]");
  const auto before = clock_.Boot();
  FindErrorClass();
  EXPECT_GE(clock_.Boot() - before, 2s);
  EXPECT_LE(clock_.Boot() - before, 3s);
  const auto between = clock_.Boot();
  Create("a");
  EXPECT_EQ(clock_.Boot(), between);
}

TEST_F(FaultScriptTest, StatusActsAsTheErrorAnAdapterMakesOfIt) {
  const struct {
    int status;
    pb::ErrorClass error_class;
    bool proved;
  } kRows[] = {{401, pb::AUTH, true},     {422, pb::INVALID, true},    {402, pb::QUOTA, true},
               {429, pb::RATE, true},     {500, pb::TRANSIENT, false}, {503, pb::TRANSIENT, false},
               {404, pb::PROTOCOL, false}};
  for (const auto& row : kRows) {
    MustApply("faults: [{verbs: [create], fault: status, status: " + std::to_string(row.status) +
              "}]");
    const pb::CreateOutcome outcome = Create("a");
    EXPECT_EQ(outcome.error().error_class(), row.error_class) << row.status;
    EXPECT_EQ(outcome.error().proves_no_effect(), row.proved) << row.status;
  }
}

TEST_F(FaultScriptTest, WhatExistsOnlyOnAWireIsAnErrorToo) {
  for (const char* word : {"hang", "drip", "lost", "reset", "cut"}) {
    MustApply(std::string("faults: [{verbs: [find], fault: ") + word + "}]");
    EXPECT_EQ(FindErrorClass(), pb::TRANSIENT) << word;
  }
  for (const char* word : {"html", "garbage", "huge"}) {
    MustApply(std::string("faults: [{verbs: [find], fault: ") + word + "}]");
    EXPECT_EQ(FindErrorClass(), pb::PROTOCOL) << word;
  }
}

TEST_F(FaultScriptTest, LostAnswerHadItsEffect) {
  MustApply("faults: [{verbs: [create], fault: lost}]");
  EXPECT_FALSE(Create("a").error().proves_no_effect());
  EXPECT_EQ(world_.SandboxNames().size(), 1u);
}

TEST_F(FaultScriptTest, EffectSaysHowOften) {
  MustApply("faults: [{verbs: [create], fault: html, effect: 0}]");
  Create("a");
  EXPECT_TRUE(world_.SandboxNames().empty());
  MustApply("faults: [{verbs: [create], fault: status, status: 500, effect: 1}]");
  Create("a");
  EXPECT_EQ(world_.SandboxNames().size(), 1u);
}

TEST_F(FaultScriptTest, CountEndsAFault) {
  MustApply("faults: [{verbs: [find], fault: status, status: 500, count: 2}]");
  EXPECT_EQ(FindErrorClass(), pb::TRANSIENT);
  EXPECT_EQ(FindErrorClass(), pb::TRANSIENT);
  EXPECT_EQ(FindErrorClass(), pb::ERROR_CLASS_UNSPECIFIED);
}

TEST_F(FaultScriptTest, RateLimitRefusesWhatIsAboveIt) {
  MustApply("rate_limit: {per_second: 2, retry_after: 3s, verbs: [find]}");
  EXPECT_EQ(FindErrorClass(), pb::ERROR_CLASS_UNSPECIFIED);
  EXPECT_EQ(FindErrorClass(), pb::ERROR_CLASS_UNSPECIFIED);
  const auto refused = Await(provider_.Find("a", Deadline()));
  EXPECT_EQ(ErrorOf(refused.status()).error_class(), pb::RATE);
  EXPECT_EQ(ErrorOf(refused.status()).retry_after().seconds(), 3);
  EXPECT_TRUE(Create("a").has_handle());
  clock_.Advance(1s);
  EXPECT_EQ(FindErrorClass(), pb::ERROR_CLASS_UNSPECIFIED);
}

TEST_F(FaultScriptTest, CapacityAndQuotaAreDifferentErrors) {
  MustApply("{capacity: 1, quota: 2}");
  const std::string handle = Create("a").handle();
  EXPECT_EQ(Create("b").error().error_class(), pb::CAPACITY);
  world_.Destroy(handle);
  EXPECT_TRUE(Create("b").has_handle());
  MustApply("{quota: 2}");
  EXPECT_EQ(Create("c").error().error_class(), pb::QUOTA);
}

TEST_F(FaultScriptTest, UnknownStateIsNoEnd) {
  Create("a");
  MustApply("unknown_state: 1");
  EXPECT_EQ(Await(provider_.Find("a", Deadline()))->state(), pb::SandboxView::UNKNOWN);
  EXPECT_EQ(Await(provider_.List("", Deadline()))->sandboxes(0).state(), pb::SandboxView::UNKNOWN);
}

TEST_F(FaultScriptTest, PagesComeTwiceAndTheListEndsAllTheSame) {
  for (const char* name : {"a", "b", "c", "d", "e"}) Create(name);
  MustApply("{page_size: 2, duplicate_page: 0.5, duplicate_row: 0.5}");
  std::map<std::string, int> seen;
  std::string cursor;
  int pages = 0;
  do {
    const pb::ListPage page = *Await(provider_.List(cursor, Deadline()));
    for (const auto& row : page.sandboxes()) ++seen[row.name()];
    cursor = page.next_cursor();
    ++pages;
  } while (!cursor.empty() && pages < 1'000);
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_GT(pages, 3);
  EXPECT_LT(pages, 1'000);
}

TEST_F(FaultScriptTest, VanishHasItsTime) {
  MustApply("vanish: {probability: 1, within: 5s}");
  Create("a");
  clock_.Advance(5s);
  EXPECT_TRUE(world_.SandboxNames().empty());
}

TEST_F(FaultScriptTest, MistakesNameTheirPlaceAndChangeNothing) {
  MustApply("capacity: 0");
  const std::pair<const char*, const char*> kRows[] = {
      {"capacitty: 3", "capacitty"},
      {"faults: 3", "faults"},
      {"faults: [{verbs: all, fault: hang}, {verbs: [creat], fault: hang}]", "faults[1].verbs"},
      {"faults: [{verbs: all, fault: explode}]", "faults[0].fault"},
      {"faults: [{verbs: all, fault: status}]", "faults[0].status"},
      {"faults: [{verbs: all, fault: status, status: 200}]", "faults[0].status"},
      {"faults: [{verbs: all, fault: hang, probability: 2}]", "faults[0].probability"},
      {"faults: [{verbs: all, fault: hang, status: 500}]", "faults[0].status"},
      {"faults: [{verbs: all, fault: latency, min: 5}]", "faults[0].min"},
      {"faults: [{verbs: all, fault: latency, min: 5s, max: 1s}]", "faults[0].max"},
      {"rate_limit: {per_minute: 3}", "rate_limit.per_minute"},
      {"unknown_state: nan", "unknown_state"},
      {"[1, 2]", "must be a map"},
      {"a: [", "not YAML"}};
  for (const auto& [text, place] : kRows) {
    const absl::Status applied = Apply(text);
    EXPECT_NE(applied.message().find(place), absl::string_view::npos) << text << ": " << applied;
  }
  EXPECT_EQ(Create("a").error().error_class(), pb::CAPACITY);
}

TEST(VerbWordTest, EveryVerbHasOne) {
  for (int i = 0; i < static_cast<int>(Verb::kCount); ++i) {
    EXPECT_EQ(VerbOfWord(VerbWord(static_cast<Verb>(i))), static_cast<Verb>(i));
  }
  EXPECT_EQ(VerbOfWord("x"), std::nullopt);
}

}  // namespace
}  // namespace boxkeeper::providers::testing
