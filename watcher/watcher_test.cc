#include "watcher/watcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/testing/fake_clock.h"
#include "providers/testing/fake_provider.h"

namespace boxkeeper::watcher {
namespace {

namespace asio = boost::asio;
namespace pb = ::boxkeeper::provider::v1;
using providers::testing::Verb;
using std::chrono::seconds;

class Notes : public Subject {
 public:
  void BeginCycle(const std::string&) override { listed.clear(); }
  Row OnRow(const std::string&, const pb::SandboxView& view) override {
    if (!known.contains(view.name())) return Row::kStranger;
    if (known.at(view.name()).handle != view.handle()) return Row::kSpare;
    if (listed.insert(view.name()).second) views.push_back(view.name());
    return Row::kKnown;
  }
  std::vector<Known> Missing(const std::string&) override {
    std::vector<Known> missing;
    for (const auto& [name, one] : known) {
      if (!listed.contains(name)) missing.push_back(one);
    }
    return missing;
  }
  void OnFound(const std::string&, const Known&, const pb::SandboxView& view) override {
    views.push_back(view.name());
  }
  void OnAbsent(const std::string&, const Known& one) override {
    for (const auto& [name, other] : known) {
      if (other.handle == one.handle) absent.push_back(name);
    }
  }
  void OnCall(const std::string&, const char* verb, const absl::Status& status) override {
    calls.push_back(std::string(verb) + (status.ok() ? "" : " failed"));
  }
  bool MayDestroyOrphan(const std::string&, const pb::SandboxView& view) override {
    return ours.contains(view.name());
  }
  bool MayDestroySpare(const std::string&, const pb::SandboxView& view) override {
    return listed.contains(view.name());
  }

  std::map<std::string, Known> known;  // by name
  std::set<std::string> listed;
  std::set<std::string> ours;
  std::vector<std::string> views;
  std::vector<std::string> absent;
  std::vector<std::string> calls;
};

class WatcherTest : public ::testing::Test {
 protected:
  WatcherTest() { Connect(); }

  void Connect() {
    options_.name = "fake";
    provider_ = std::make_unique<providers::testing::FakeProvider>(io_.get_executor(), clock_,
                                                                   *rng_, world_, options_);
    watcher_ = std::make_unique<Watcher>(
        *provider_, clock_, notes_,
        WatcherOptions{.call_timeout = seconds(5), .orphan_grace = seconds(30)});
  }

  std::string Create(const std::string& name) {
    pb::CreateRequest request;
    request.set_name(name);
    auto created = world_.Create(request);
    EXPECT_TRUE(created.ok());
    notes_.known[name].handle = created->handle();
    return name;
  }

  absl::Status Cycle() {
    std::optional<absl::Status> result;
    asio::co_spawn(io_, watcher_->Cycle(), [&result](std::exception_ptr, absl::Status status) {
      result = std::move(status);
    });
    clock_.RunUntilIdle();
    for (int i = 0; i < 1'000 && !result.has_value(); ++i) clock_.Advance(seconds(1));
    EXPECT_TRUE(result.has_value());
    return result.value_or(absl::DeadlineExceededError("test"));
  }

  int64_t Calls(const std::string& what) {
    return std::count(notes_.calls.begin(), notes_.calls.end(), what);
  }

  asio::io_context io_;
  base::FakeClock clock_{io_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  providers::testing::FakeWorld world_{clock_, {}};
  providers::testing::FakeProviderOptions options_;
  std::unique_ptr<providers::testing::FakeProvider> provider_;
  Notes notes_;
  std::unique_ptr<Watcher> watcher_;
};

TEST_F(WatcherTest, ACycleCostsOneCallAPage) {
  options_.page_size = 10;
  Connect();
  for (int i = 0; i < 25; ++i) Create("s" + std::to_string(i));
  EXPECT_TRUE(Cycle().ok());
  EXPECT_EQ(Calls("list"), 3);
  EXPECT_EQ(Calls("inspect"), 0);
  EXPECT_EQ(notes_.views.size(), 25u);
}

TEST_F(WatcherTest, CallsPerCycleAreTheNumberOfPagesHoweverManyThereAre) {
  options_.page_size = 1'000;
  Connect();
  int made = 0;
  for (const int sandboxes : {999, 9'999, 49'999}) {
    for (; made < sandboxes; ++made) Create("s" + std::to_string(made));
    notes_.calls.clear();
    EXPECT_TRUE(Cycle().ok());
    EXPECT_EQ(Calls("list"), (sandboxes + 999) / 1'000);
    EXPECT_EQ(Calls("inspect"), 0);
  }
}

TEST_F(WatcherTest, ARepeatedRowIsToldOnce) {
  options_.duplicate_row = 1.0;
  Connect();
  Create("a");
  EXPECT_TRUE(Cycle().ok());
  EXPECT_EQ(notes_.views.size(), 1u);
}

TEST_F(WatcherTest, AbsentMeansLookedUpTwice) {
  Create("a");
  ASSERT_TRUE(world_.Vanish("a"));
  EXPECT_TRUE(Cycle().ok());
  EXPECT_TRUE(notes_.absent.empty());
  clock_.Advance(seconds(5));
  EXPECT_TRUE(Cycle().ok());
  EXPECT_EQ(notes_.absent, std::vector<std::string>{"a"});
}

TEST_F(WatcherTest, WhatTheListLacksAndALookUpFindsIsNotMissing) {
  world_.options().create_list_lag = seconds(60);
  Connect();
  Create("a");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Cycle().ok());
  EXPECT_TRUE(notes_.absent.empty());
  EXPECT_EQ(notes_.views.size(), 3u);
}

TEST_F(WatcherTest, NothingIsConcludedFromAListThatFails) {
  Create("a");
  ASSERT_TRUE(world_.Vanish("a"));
  provider_->options()[Verb::kList].errors.push_back({.probability = 1.0});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(Cycle().ok());
  EXPECT_EQ(Calls("list failed"), 3);
  EXPECT_EQ(Calls("inspect"), 0);
  EXPECT_TRUE(notes_.absent.empty());
}

// Cannot look at what has no handle.
class PartlyBlind : public providers::testing::FakeProvider {
 public:
  using FakeProvider::FakeProvider;
  asio::awaitable<absl::StatusOr<pb::SandboxView>> Inspect(std::string handle,
                                                           base::BootTime deadline) override {
    if (handle.empty()) co_return absl::UnavailableError("test");
    co_return co_await FakeProvider::Inspect(std::move(handle), deadline);
  }
};

TEST_F(WatcherTest, OneThatCannotBeLookedAtDoesNotHideAnother) {
  PartlyBlind provider(io_.get_executor(), clock_, *rng_, world_, options_);
  watcher_ = std::make_unique<Watcher>(provider, clock_, notes_, WatcherOptions{});
  notes_.known["a"].handle = "";
  Create("b");
  ASSERT_TRUE(world_.Vanish("b"));
  EXPECT_TRUE(Cycle().ok());
  clock_.Advance(seconds(1));
  EXPECT_TRUE(Cycle().ok());
  EXPECT_EQ(Calls("inspect failed"), 2);
  EXPECT_EQ(notes_.absent, std::vector<std::string>{"b"});
  watcher_.reset();
}

TEST_F(WatcherTest, AnOrphanIsDestroyedAfterItsGraceAndAStrangerNever) {
  world_.AddForeign("orphan", {});
  world_.AddForeign("stranger", {});
  notes_.ours = {"orphan"};
  EXPECT_TRUE(Cycle().ok());
  clock_.Advance(seconds(20));
  EXPECT_TRUE(Cycle().ok());
  EXPECT_EQ(world_.SandboxNames().size(), 2u);
  clock_.Advance(seconds(20));
  EXPECT_TRUE(Cycle().ok());
  EXPECT_EQ(world_.SandboxNames(), std::vector<std::string>{"stranger"});
}

}  // namespace
}  // namespace boxkeeper::watcher
