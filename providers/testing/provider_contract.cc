#include "providers/testing/provider_contract.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "providers/spec_fields.h"

namespace boxkeeper::providers::testing {
namespace {

using namespace std::chrono_literals;

constexpr CommandKind kExitZero{CommandKind::kExit, 0};
constexpr CommandKind kRunForever{CommandKind::kRunForever, 0};
constexpr size_t kHandleBytesMax = 4096;  // design: handles are at most 4 KiB

// A spec with only `key` set, to a value that any provider that knows the key can honour.
v1::SandboxSpec SpecWith(const std::string& key) {
  v1::SandboxSpec spec;
  if (key == "image") spec.set_image("debian:12");
  if (key == "template") spec.set_template_("base");
  if (key == "cpu") spec.set_cpu(1);
  if (key == "memory_mb") spec.set_memory_mb(512);
  if (key == "disk_mb") spec.set_disk_mb(1024);
  if (key == "gpu") spec.set_gpu("1");
  if (key == "pids") spec.set_pids(100);
  if (key == "user") spec.set_user("nobody");
  if (key == "network") spec.set_network("none");
  if (key == "read_only_root") spec.set_read_only_root(true);
  if (key == "volumes") {
    spec.add_volumes()->set_source("/data");
    spec.mutable_volumes(0)->set_target("/mnt");
  }
  if (key == "provider_options")
    (*spec.mutable_provider_options()->mutable_fields())["x"].set_bool_value(true);
  return spec;
}

const char* const kProviderKeys[] = {
    "image", "template", "cpu",     "memory_mb",      "disk_mb", "gpu",
    "pids",  "user",     "network", "read_only_root", "volumes", "provider_options"};

}  // namespace

void ProviderContractTest::SetUp() {
  world_ = GetParam().make();
  ASSERT_NE(world_, nullptr);
  const absl::Status opened = Await(provider().Open(Deadline()));
  ASSERT_TRUE(opened.ok()) << opened;
  if (const std::string why = world_->WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
}

void ProviderContractTest::TearDown() {
  if (world_ == nullptr) return;
  for (const auto& [name, rows] : ListAll()) {
    EXPECT_TRUE(Await(provider().Destroy(rows[0].handle(), Deadline())).ok()) << name;
  }
  world_.reset();
}

pb::CreateRequest ProviderContractTest::Request(const std::string& name, CommandKind command) {
  pb::CreateRequest request;
  request.set_sandbox_id("id" + name);
  request.set_name(name);
  (*request.mutable_labels())["boxkeeper.deployment"] = "contract";
  (*request.mutable_labels())["boxkeeper.sandbox"] = "id" + name;
  *request.mutable_spec() = world_->Spec();
  if (!TwoStep()) *request.mutable_launch() = Launch("x-" + name, command);
  return request;
}

pb::LaunchRequest ProviderContractTest::Launch(const std::string& exec_id, CommandKind command) {
  pb::LaunchRequest launch;
  launch.set_exec_id(exec_id);
  *launch.mutable_spec() = world_->Spec();
  *launch.mutable_command() = world_->Command(exec_id, command);
  launch.mutable_grace()->set_nanos(200'000'000);
  launch.mutable_final_drain()->set_seconds(2);
  if (capabilities().spool_is_native()) *launch.mutable_spool() = world_->Spool(exec_id);
  return launch;
}

std::vector<pb::CreateOutcome> ProviderContractTest::Create(
    std::vector<pb::CreateRequest> requests) {
  std::vector<pb::CreateOutcome> outcomes(requests.size());
  std::vector<int> told(requests.size());
  auto done = [&](size_t i, pb::CreateOutcome outcome) {
    outcomes.at(i) = std::move(outcome);
    ++told.at(i);
  };
  auto call = [&]() -> boost::asio::awaitable<bool> {
    co_await provider().Create(std::move(requests), Deadline(), done);
    co_return true;
  };
  Await(call());
  EXPECT_EQ(told, std::vector<int>(told.size(), 1));
  return outcomes;
}

std::string ProviderContractTest::Run(const std::string& name, CommandKind command) {
  const pb::CreateOutcome outcome = Create({Request(name, command)})[0];
  EXPECT_TRUE(outcome.has_handle()) << outcome.error().message();
  if (TwoStep()) {
    const pb::StartOutcome started = Start(outcome.handle(), Launch("x-" + name, command));
    EXPECT_FALSE(started.has_error()) << started.error().message();
  }
  if (command.kind == CommandKind::kRunForever || command.kind == CommandKind::kIgnoreTerm) {
    EXPECT_TRUE(world_->RunUntil([&] { return world_->Executions("x-" + name) > 0; }, kLimit));
  }
  return outcome.handle();
}

std::string ProviderContractTest::CreateOnly(const std::string& name) {
  const pb::CreateOutcome outcome = Create({Request(name)})[0];
  EXPECT_TRUE(outcome.has_handle()) << outcome.error().message();
  return outcome.handle();
}

pb::StartOutcome ProviderContractTest::Start(const std::string& handle, pb::LaunchRequest launch) {
  return Await(provider().Start(handle, std::move(launch), Deadline()));
}

pb::SandboxView ProviderContractTest::Inspect(const std::string& handle) {
  const auto view = Await(provider().Inspect(handle, Deadline()));
  EXPECT_TRUE(view.ok()) << view.status();
  return view.ok() ? *view : pb::SandboxView();
}

pb::ExitRecord ProviderContractTest::WaitForEnd(const std::string& handle) {
  pb::SandboxView view;
  const base::BootTime deadline = Deadline();
  while (world_->clock().Boot() < deadline) {
    view = Inspect(handle);
    if (view.state() == pb::SandboxView::ENDED) return view.exit();
    world_->RunUntil([] { return false; }, 10ms);
  }
  ADD_FAILURE() << "still " << pb::SandboxView::State_Name(view.state());
  return {};
}

void ProviderContractTest::WaitForLists() {
  const std::chrono::seconds lag(capabilities().list_lag().seconds());
  if (lag > 0s) world_->RunUntil([] { return false; }, lag);
}

std::map<std::string, std::vector<pb::SandboxView>> ProviderContractTest::ListAll() {
  WaitForLists();
  std::map<std::string, std::vector<pb::SandboxView>> rows;
  std::string cursor;
  do {
    const auto page = Await(provider().List(cursor, Deadline()));
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) break;
    EXPECT_LE(page->sandboxes_size(), capabilities().page_size());
    for (const pb::SandboxView& row : page->sandboxes()) rows[row.name()].push_back(row);
    EXPECT_NE(page->next_cursor(), cursor.empty() ? "none" : cursor) << "the list does not advance";
    cursor = page->next_cursor();
  } while (!cursor.empty());
  return rows;
}

// --- create, find, list ---

TEST_P(ProviderContractTest, DeclaresALaunchModeAndAPageSize) {
  EXPECT_NE(capabilities().launch(), pb::Capabilities::LAUNCH_UNSPECIFIED);
  EXPECT_GT(capabilities().page_size(), 0);
  EXPECT_FALSE(provider().type().empty());
}

TEST_P(ProviderContractTest, CreateIsIdempotentByName) {
  const auto first = Create({Request("a", kRunForever)})[0];
  const auto second = Create({Request("a", kRunForever)})[0];
  EXPECT_FALSE(first.adopted());
  EXPECT_TRUE(second.adopted());
  EXPECT_EQ(first.handle(), second.handle());
  EXPECT_LE(first.handle().size(), kHandleBytesMax);
  EXPECT_EQ(ListAll()["a"].size(), 1u);
}

TEST_P(ProviderContractTest, CreateUnderOneNameAtOnceMakesOneSandbox) {
  const auto outcomes = Create(std::vector<pb::CreateRequest>(8, Request("a", kRunForever)));
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.handle(), outcomes[0].handle());
  EXPECT_EQ(
      std::count_if(outcomes.begin(), outcomes.end(), [](const auto& o) { return !o.adopted(); }),
      1);
}

TEST_P(ProviderContractTest, BatchAnswersEachRequest) {
  std::vector<pb::CreateRequest> requests;
  requests.reserve(20);
  for (int i = 0; i < 20; ++i) requests.push_back(Request(absl::StrCat("b", i), kRunForever));
  std::set<std::string> handles;
  for (const auto& outcome : Create(requests)) handles.insert(outcome.handle());
  EXPECT_EQ(handles.size(), 20u);
}

TEST_P(ProviderContractTest, OneRefusedRequestLeavesTheOthersAlone) {
  Create({Request("taken", kRunForever)});
  pb::CreateRequest stranger = Request("taken", kRunForever);
  (*stranger.mutable_labels())["boxkeeper.deployment"] = "other";
  const auto outcomes = Create({Request("a", kRunForever), stranger, Request("c", kRunForever)});
  EXPECT_TRUE(outcomes[0].has_handle());
  EXPECT_TRUE(outcomes[1].has_error());
  EXPECT_TRUE(outcomes[1].error().proves_no_effect());
  EXPECT_TRUE(outcomes[2].has_handle());
}

TEST_P(ProviderContractTest, FindToldPresentFromAbsent) {
  const std::string handle = Run("a", kRunForever);
  WaitForLists();
  const auto present = Await(provider().Find("a", Deadline()));
  ASSERT_TRUE(present.ok());
  EXPECT_EQ(present->state(), pb::SandboxView::RUNNING);
  EXPECT_EQ(present->handle(), handle);
  EXPECT_EQ(Await(provider().Find("nosuch", Deadline()))->state(), pb::SandboxView::ABSENT);
}

TEST_P(ProviderContractTest, ListHasEverySandboxOnceWithItsLabels) {
  const int count = std::min(250, 2 * capabilities().page_size() + 1);
  std::vector<pb::CreateRequest> requests;
  requests.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) requests.push_back(Request(absl::StrCat("l", i), kRunForever));
  Create(requests);
  const auto rows = ListAll();
  EXPECT_EQ(rows.size(), requests.size());
  for (const auto& request : requests) {
    const auto found = rows.find(request.name());
    ASSERT_NE(found, rows.end()) << request.name();
    EXPECT_EQ(found->second.size(), 1u);
    if (!capabilities().labels()) continue;
    for (const auto& [key, value] : request.labels())
      EXPECT_EQ(found->second[0].labels().at(key), value);
  }
}

TEST_P(ProviderContractTest, ListShowsEndsWhereDeclared) {
  if (!capabilities().list_shows_end()) GTEST_SKIP() << "not declared";
  WaitForEnd(Run("a", {CommandKind::kExit, 5}));
  const pb::SandboxView row = ListAll()["a"].at(0);
  EXPECT_EQ(row.state(), pb::SandboxView::ENDED);
}

// --- output, events, flags ---

TEST_P(ProviderContractTest, NativeSpoolHoldsTheWholeOutputAtTheEnd) {
  if (!capabilities().spool_is_native()) GTEST_SKIP() << "not declared";
  const pb::ExitRecord end = WaitForEnd(Run("a", {CommandKind::kPrint, 100'000}));
  EXPECT_EQ(end.stdout_bytes(), 100'000);
  EXPECT_EQ(world_->Spooled("x-a", "stdout").size(), 100'000u);
  EXPECT_EQ(world_->Spooled("x-a", "stderr").size(), 0u);
}

TEST_P(ProviderContractTest, OutputCanBeReadFromAnyOffset) {
  if (capabilities().spool_is_native() || !capabilities().output_replay())
    GTEST_SKIP() << "not declared";
  const std::string handle = Run("a", {CommandKind::kPrint, 10'000});
  WaitForEnd(handle);
  std::string whole;
  while (true) {
    const auto chunk = Await(provider().ReadOutput(
        handle, "x-a", "stdout", static_cast<int64_t>(whole.size()), 4096, Deadline()));
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    ASSERT_EQ(chunk->offset(), static_cast<int64_t>(whole.size()));
    whole += chunk->data();
    if (chunk->end()) break;
    ASSERT_FALSE(chunk->data().empty());
  }
  EXPECT_EQ(whole.size(), 10'000u);
  const auto tail = Await(provider().ReadOutput(handle, "x-a", "stdout", 9'990, 4096, Deadline()));
  EXPECT_EQ(tail->data(), whole.substr(9'990));
}

TEST_P(ProviderContractTest, HintTellsOfAnEndWhereDeclared) {
  if (!capabilities().events()) GTEST_SKIP() << "not declared";
  std::set<std::string> hints;
  provider().OnHint([&](ProviderHint hint) { hints.insert(hint.sandbox_name); });
  Run("a", {CommandKind::kRunBriefly, 0});
  EXPECT_TRUE(world_->RunUntil([&] { return hints.count("a") > 0; }, kLimit));
  provider().OnHint(nullptr);
}

TEST_P(ProviderContractTest, UndeclaredVerbsAnswerUnimplemented) {
  const std::string handle = Run("a", kExitZero);
  if (capabilities().spool_is_native()) {
    const auto chunk = Await(provider().ReadOutput(handle, "x-a", "stdout", 0, 1, Deadline()));
    EXPECT_EQ(chunk.status().code(), absl::StatusCode::kUnimplemented);
  }
  if (capabilities().lifetime() == pb::Capabilities::LIFETIME_NONE) {
    const absl::Status renewed = Await(provider().Renew(handle, 60s, Deadline()));
    EXPECT_EQ(renewed.code(), absl::StatusCode::kUnimplemented);
  }
  if (!TwoStep()) {
    const auto outcome = Start(handle, Launch("x-other", kExitZero));
    EXPECT_EQ(outcome.error().error_class(), pb::INVALID);
    EXPECT_TRUE(outcome.error().proves_no_effect());
    EXPECT_EQ(world_->Executions("x-other"), 0);
  }
}

TEST_P(ProviderContractTest, EmptySpecIsValid) { EXPECT_TRUE(provider().Validate({}).empty()); }

TEST_P(ProviderContractTest, KeysThatAreNotHonouredAreViolations) {
  const auto& honoured = capabilities().spec_keys();
  v1::SandboxSpec everything;
  std::set<std::string> refused;
  for (const std::string key : kProviderKeys) {
    const v1::SandboxSpec spec = SpecWith(key);
    ASSERT_EQ(ProviderKeysOf(spec), std::vector<std::string>{key});
    const auto violations = provider().Validate(spec);
    if (std::find(honoured.begin(), honoured.end(), key) != honoured.end()) {
      EXPECT_TRUE(violations.empty()) << key;
      continue;
    }
    ASSERT_EQ(violations.size(), 1u) << key;
    EXPECT_EQ(violations[0].field, key);
    EXPECT_FALSE(violations[0].description.empty());
    everything.MergeFrom(spec);
    refused.insert(key);
  }
  std::set<std::string> all;
  for (const FieldViolation& violation : provider().Validate(everything))
    all.insert(violation.field);
  EXPECT_EQ(all, refused) << "every violation at once";
}

}  // namespace boxkeeper::providers::testing
