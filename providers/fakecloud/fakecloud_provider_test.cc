// What the adapter makes of what is really on the wire, and what the server keeps of it.
#include "providers/fakecloud/fakecloud_provider.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>

#include "absl/strings/str_cat.h"
#include "base/http/client.h"
#include "base/real_clock.h"
#include "providers/fakecloud/server.h"
#include "providers/runtime/api_client.h"

namespace boxkeeper::providers::fakecloud {
namespace {

namespace asio = boost::asio;
namespace http = base::http;
namespace json = boost::json;
using namespace std::chrono_literals;

class FakeCloudProviderTest : public ::testing::Test {
 protected:
  void SetUp() override { StartServer({}); }

  void StartServer(ServerOptions options) {
    server_.reset();
    auto server =
        FakeCloudServer::Create({context_.get_executor(), *clock_, *rng_, world_}, options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    http::ClientOptions client;
    client.base = *http::ParseBaseUrl(server_->url());
    admin_ = *http::Client::Create({*clock_, context_.get_executor()}, client);
    FakeCloudOptions cloud;
    cloud.remote.base_url = client.base;
    Connect(cloud);
  }
  // Without the runtime: nothing is repeated.
  void Connect(const FakeCloudOptions& options) {
    provider_.reset();
    auto provider =
        FakeCloudProvider::Create({context_.get_executor(), *clock_, rng_}, "cloud", options);
    ASSERT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
  }

  base::BootTime Deadline() { return clock_->Boot() + 10s; }
  template <typename T>
  T Await(asio::awaitable<T> call) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(call), [&](std::exception_ptr error, T value) {
      EXPECT_FALSE(error);
      result.emplace(std::move(value));
    });
    context_.restart();
    while (!result.has_value()) context_.run_one();
    return std::move(*result);
  }
  bool RunUntil(const std::function<bool()>& done) {
    const base::BootTime end = clock_->Boot() + 10s;
    while (!done() && clock_->Boot() < end) context_.run_one_for(10ms);
    return done();
  }
  pb::CreateOutcome Create(const std::string& name, std::chrono::nanoseconds limit = 10s) {
    pb::CreateRequest request;
    request.set_name(name);
    (*request.mutable_labels())["boxkeeper.deployment"] = "test";
    pb::CreateOutcome outcome;
    auto call = [&]() -> asio::awaitable<bool> {
      co_await provider_->Create({request}, clock_->Boot() + limit,
                                 [&](size_t, pb::CreateOutcome o) { outcome = std::move(o); });
      co_return true;
    };
    Await(call());
    return outcome;
  }
  pb::StartOutcome Start(const std::string& handle, const std::string& words) {
    pb::LaunchRequest launch;
    launch.set_exec_id("x");
    launch.mutable_command()->set_shell("sim " + words);
    return Await(provider_->Start(handle, launch, Deadline()));
  }
  void Script(const std::string& text) {
    const absl::Status applied = server_->SetScript(text);
    ASSERT_TRUE(applied.ok()) << applied;
  }
  http::Reply Admin(const std::string& method, const std::string& target,
                    const std::string& body = "") {
    http::Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.deadline = Deadline();
    auto reply = Await(admin_->Fetch(std::move(request), 1 << 20));
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? *reply : http::Reply();
  }

  asio::io_context context_;
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  std::shared_ptr<base::Rng> rng_ = base::MakeSeededRng(3);
  testing::FakeWorld world_{*clock_, {}};
  std::unique_ptr<FakeCloudServer> server_;
  std::unique_ptr<http::Client> admin_;
  std::shared_ptr<FakeCloudProvider> provider_;
};

TEST_F(FakeCloudProviderTest, EachFaultOfACreateIsTheErrorThatTheModelGives) {
  const struct {
    const char* fault;
    pb::ErrorClass error_class;
    bool proved;
    bool made;
  } kRows[] = {
      {"fault: status, status: 503, effect: 1", pb::TRANSIENT, false, true},
      {"fault: status, status: 503, effect: 0", pb::TRANSIENT, false, false},
      {"fault: status, status: 429, retry_after: 7s", pb::RATE, true, false},
      {"fault: status, status: 401", pb::AUTH, true, false},
      {"fault: status, status: 422", pb::INVALID, true, false},
      {"fault: status, status: 404", pb::PROTOCOL, false, false},
      {"fault: lost", pb::TRANSIENT, false, true},
      {"fault: cut", pb::TRANSIENT, false, true},
      {"fault: hang, effect: 1", pb::TRANSIENT, false, true},
      {"fault: drip", pb::TRANSIENT, false, true},
      {"fault: html, effect: 1", pb::PROTOCOL, false, true},
      {"fault: garbage, effect: 1", pb::PROTOCOL, false, true},
      {"fault: huge, effect: 0", pb::PROTOCOL, false, false},
  };
  int i = 0;
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.fault);
    Script(absl::StrCat("faults: [{verbs: [create], ", row.fault, "}]"));
    const std::string name = absl::StrCat("s", i++);
    const pb::CreateOutcome outcome = Create(name, 1s);
    ASSERT_TRUE(outcome.has_error());
    EXPECT_EQ(outcome.error().error_class(), row.error_class) << outcome.error().message();
    EXPECT_EQ(outcome.error().proves_no_effect(), row.proved) << outcome.error().message();
    const auto names = world_.SandboxNames();
    EXPECT_EQ(std::find(names.begin(), names.end(), name) != names.end(), row.made);
    if (row.error_class == pb::RATE) EXPECT_EQ(outcome.error().retry_after().seconds(), 7);
  }
}

TEST_F(FakeCloudProviderTest, CapacityAndQuotaAreToldFromOverloadAndRate) {
  Script("capacity: 0");
  EXPECT_EQ(Create("a").error().error_class(), pb::CAPACITY);
  EXPECT_TRUE(Create("a").error().proves_no_effect());
  Script("quota: 0");
  EXPECT_EQ(Create("a").error().error_class(), pb::QUOTA);
  EXPECT_TRUE(Create("a").error().proves_no_effect());
}

TEST_F(FakeCloudProviderTest, RefusedConnectionProvesThatNothingHappened) {
  server_.reset();
  const pb::CreateOutcome outcome = Create("a");
  EXPECT_EQ(outcome.error().error_class(), pb::TRANSIENT);
  EXPECT_TRUE(outcome.error().proves_no_effect());
}

TEST_F(FakeCloudProviderTest, FourOhFourOfSomebodyElseIsNoAbsence) {
  const std::string handle = Create("a").handle();
  Script("faults: [{verbs: all, fault: status, status: 404}]");
  EXPECT_EQ(ErrorOf(Await(provider_->Inspect(handle, Deadline())).status()).error_class(),
            pb::PROTOCOL);
  EXPECT_FALSE(Await(provider_->Find("a", Deadline())).ok());
  EXPECT_FALSE(Await(provider_->Destroy(handle, Deadline())).ok());
  EXPECT_FALSE(Await(provider_->Fence(handle, Deadline())).ok());
  Script("faults: [{verbs: [destroy], fault: html, effect: 0}]");
  EXPECT_FALSE(Await(provider_->Destroy(handle, Deadline())).ok()) << "200 is not enough";
}

TEST_F(FakeCloudProviderTest, UnknownStateWordIsNoEnd) {
  const std::string handle = Create("a").handle();
  Start(handle, "exit=0");
  Script("unknown_state: 1");
  const auto view = Await(provider_->Inspect(handle, Deadline()));
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->state(), pb::SandboxView::UNKNOWN);
  EXPECT_FALSE(view->has_exit());
}

TEST_F(FakeCloudProviderTest, SilentStartIsUncertain) {
  const pb::StartOutcome outcome = Start(Create("a").handle(), "run=1h start_silent");
  EXPECT_EQ(outcome.error().error_class(), pb::TRANSIENT);
  EXPECT_FALSE(outcome.error().proves_no_effect());
}

TEST_F(FakeCloudProviderTest, EventCarriesTheEnd) {
  Script("hint_with_view: 1");
  std::vector<ProviderHint> hints;
  provider_->OnHint([&](ProviderHint hint) { hints.push_back(std::move(hint)); });
  ASSERT_TRUE(Await(provider_->Open(Deadline())).ok());
  ASSERT_TRUE(RunUntil([&] { return hints.size() == 1; })) << "connected: look at everything";
  EXPECT_EQ(hints[0].sandbox_name, "");
  Start(Create("a").handle(), "run=20ms exit=3");
  ASSERT_TRUE(RunUntil([&] { return hints.size() == 2; }));
  EXPECT_EQ(hints[1].sandbox_name, "a");
  ASSERT_NE(hints[1].view, nullptr);
  EXPECT_EQ(hints[1].view->exit().exit_code(), 3);
}

TEST_F(FakeCloudProviderTest, EventsAreFollowedAgainAfterTheyWereCut) {
  int looks_at_everything = 0;
  provider_->OnHint(
      [&](const ProviderHint& hint) { looks_at_everything += hint.sandbox_name.empty() ? 1 : 0; });
  ASSERT_TRUE(Await(provider_->Open(Deadline())).ok());
  ASSERT_TRUE(RunUntil([&] { return looks_at_everything == 1; }));
  const uint16_t port = server_->port();
  server_.reset();
  ServerOptions again;
  again.port = port;
  auto server = FakeCloudServer::Create({context_.get_executor(), *clock_, *rng_, world_}, again);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  EXPECT_TRUE(RunUntil([&] { return looks_at_everything == 2; }));
}

TEST_F(FakeCloudProviderTest, TokenIsAskedFor) {
  ServerOptions options;
  options.token = "t0ken";
  StartServer(options);
  EXPECT_EQ(Create("a").error().error_class(), pb::AUTH);
  setenv("FAKECLOUD_TEST_TOKEN", "t0ken", 1);
  FakeCloudOptions cloud;
  cloud.remote.base_url = *http::ParseBaseUrl(server_->url());
  cloud.remote.api_key_env = "FAKECLOUD_TEST_TOKEN";
  Connect(cloud);
  EXPECT_TRUE(Create("a").has_handle());
}

TEST_F(FakeCloudProviderTest, AuditHasWhatReallyHappened) {
  const std::string handle = Create("a").handle();
  Start(handle, "run=1h");
  EXPECT_TRUE(Await(provider_->Destroy(handle, Deadline())).ok());
  const auto audit = json::parse(Admin("GET", "/admin/audit").body);
  ASSERT_EQ(audit.as_array().size(), 4u);
  const char* const kKinds[] = {"create", "start", "execute", "destroy"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(audit.as_array()[i].at("kind").as_string(), kKinds[i]);
    EXPECT_EQ(audit.as_array()[i].at("name").as_string(), "a");
  }
  EXPECT_EQ(audit.as_array()[2].at("exec_id").as_string(), "x");
  EXPECT_EQ(json::parse(Admin("GET", "/admin/audit?after=3").body).as_array().size(), 1u);
  const auto counts = json::parse(Admin("GET", "/admin/counts").body);
  EXPECT_EQ(counts.at("calls").at("create").as_int64(), 1);
}

TEST_F(FakeCloudProviderTest, ScriptChangesWhileItRuns) {
  EXPECT_EQ(Admin("PUT", "/admin/script", "capacity: 0").status, 204);
  EXPECT_TRUE(Create("a").has_error());
  EXPECT_EQ(Admin("GET", "/admin/script").body, "capacity: 0");
  const http::Reply refused = Admin("PUT", "/admin/script", "capaciti: 0");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("capaciti"), std::string::npos);
  EXPECT_EQ(Admin("PUT", "/admin/script", "{}").status, 204);
  EXPECT_TRUE(Create("a").has_handle());
}

TEST_F(FakeCloudProviderTest, SandboxesVanishAndStrangersHaveTheirs) {
  const std::string handle = Create("a").handle();
  EXPECT_EQ(Admin("POST", "/admin/vanish", R"({"name":"a"})").status, 204);
  EXPECT_EQ(Admin("POST", "/admin/vanish", R"({"name":"a"})").status, 404);
  EXPECT_EQ(Await(provider_->Inspect(handle, Deadline()))->state(), pb::SandboxView::ABSENT);
  Admin("POST", "/admin/foreign", R"({"name":"f","labels":{"boxkeeper.deployment":"other"}})");
  Admin("POST", "/admin/foreign", R"({"name":"g","labels":{}})");
  const auto page = Await(provider_->List("", Deadline()));
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->sandboxes_size(), 1);
  EXPECT_EQ(page->sandboxes(0).name(), "f");
}

TEST_F(FakeCloudProviderTest, RequestsThatAreNoneAreRefused) {
  EXPECT_EQ(Admin("GET", "/v1/nothing").status, 404);
  EXPECT_EQ(Admin("POST", "/v1/sandboxes", "{").status, 400);
  EXPECT_EQ(Admin("POST", "/v1/sandboxes", "{}").status, 400);
  EXPECT_EQ(Admin("POST", "/v1/sandboxes/x/start", R"({"exec_id":"e"})").status, 400);
  EXPECT_EQ(Admin("GET", "/v1/sandboxes/x/output?offset=a&limit=1").status, 400);
  EXPECT_EQ(Admin("GET", "/admin/nothing").status, 400);
}

}  // namespace
}  // namespace boxkeeper::providers::fakecloud
