#include "providers/local/launcher_client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "base/real_clock.h"
#include "launcher/launch_spec.h"
#include "providers/provider.h"

namespace boxkeeper::providers::local {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using launcher::MessageType;

// A launcher that answers as the test says; on the test's own loop, by blocking calls on what has
// already arrived.
class FakeLauncher {
 public:
  explicit FakeLauncher(const std::string& state_dir) {
    std::filesystem::create_directories(launcher::LaunchDirectory(state_dir));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s",
             launcher::SocketPath(state_dir).c_str());
    listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    unlink(address.sun_path);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
  }

  void Accept() { client_.Reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  void HangUp() { client_.Reset(); }
  // Whether Accept, or Next, would not block.
  bool SomebodyKnocks() const { return Readable(listener_.get()); }
  bool SomethingCame() const { return Readable(client_.get()); }

  // The next frame; blocks. A descriptor that came along is in `descriptor`.
  launcher::Frame Next() {
    launcher::Frame frame;
    while (parser_.Next(&frame) != launcher::FrameParser::Result::kFrame) {
      char data[4096];
      iovec part{data, sizeof(data)};
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof(control);
      const ssize_t got = recvmsg(client_.get(), &message, MSG_CMSG_CLOEXEC);
      if (got <= 0) {
        ADD_FAILURE() << "the client hung up";
        return frame;
      }
      if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr) {
        int fd = -1;
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        descriptor.Reset(fd);
      }
      parser_.Append({data, static_cast<size_t>(got)});
    }
    return frame;
  }
  void Send(const std::string& bytes) {
    EXPECT_EQ(send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Accepts and answers Hello; the client must be connecting.
  void Welcome() {
    Accept();
    parser_ = {};
    const launcher::Frame hello = Next();
    EXPECT_TRUE(hello.Is(MessageType::kHello));
    launcher::HelloReply reply;
    reply.launcher_version = "7";
    Send(launcher::ReplyFrame(hello.request_id, reply));
  }

  base::UniqueFd descriptor;

 private:
  static bool Readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return poll(&entry, 1, 0) == 1;
  }

  base::UniqueFd listener_;
  base::UniqueFd client_;
  launcher::FrameParser parser_;
};

class LauncherClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/bk-client-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    state_dir_ = path;
    LauncherClient::Options options;
    options.state_dir = state_dir_;
    options.start_launcher = [this] {
      ++starts_;
      return start_status_;
    };
    options.connected = [this] { ++connects_; };
    options.exited = [this](const launcher::SandboxInfo& info) { exited_.push_back(info.id); };
    client_ =
        std::make_shared<LauncherClient>(context_.get_executor(), *clock_, std::move(options));
  }
  void TearDown() override {
    client_->Close();
    client_.reset();
    context_.poll();
    std::filesystem::remove_all(state_dir_);
  }

  template <typename Reply>
  struct Pending {
    std::optional<absl::StatusOr<Reply>> result;
  };
  // Begins a call; its result shows up while the loop runs.
  template <typename Reply, typename Request>
  std::shared_ptr<Pending<Reply>> Begin(Request request, std::chrono::nanoseconds within = 10s,
                                        std::shared_ptr<base::UniqueFd> memfd = nullptr) {
    auto pending = std::make_shared<Pending<Reply>>();
    asio::co_spawn(
        context_,
        client_->Call<Reply>(std::move(request), clock_->Boot() + within, std::move(memfd)),
        [pending](std::exception_ptr error, absl::StatusOr<Reply> reply) {
          EXPECT_FALSE(error);
          pending->result = std::move(reply);
        });
    return pending;
  }
  // Runs the loop until `done`.
  bool RunUntil(const std::function<bool()>& done) {
    const base::BootTime deadline = clock_->Boot() + 10s;
    while (!done() && clock_->Boot() < deadline) {
      context_.restart();
      context_.run_one_for(10ms);
    }
    return done();
  }
  template <typename Reply>
  absl::StatusOr<Reply> Finish(const std::shared_ptr<Pending<Reply>>& pending) {
    EXPECT_TRUE(RunUntil([&] { return pending->result.has_value(); }));
    return *pending->result;
  }
  // Connected to `launcher_`.
  void Connect() {
    launcher_ = std::make_unique<FakeLauncher>(state_dir_);
    bool connected = false;
    asio::co_spawn(context_, client_->Connect(clock_->Boot() + 10s),
                   [&](std::exception_ptr, absl::Status status) {
                     EXPECT_TRUE(status.ok()) << status;
                     connected = true;
                   });
    Welcome();
    EXPECT_TRUE(RunUntil([&] { return connected; }));
  }
  // Accepts the client and answers its Hello.
  void Welcome() {
    ASSERT_TRUE(RunUntil([&] { return launcher_->SomebodyKnocks(); }));
    launcher_->Welcome();
  }
  launcher::Frame Next() {
    EXPECT_TRUE(RunUntil([&] { return launcher_->SomethingCame(); }));
    return launcher_->Next();
  }
  // Lets what the client wants to send go out.
  void Poll() {
    context_.restart();
    context_.poll();
  }
  launcher::InspectRequest Inspect(const std::string& id) {
    launcher::InspectRequest request;
    request.id = id;
    return request;
  }
  std::string InspectReplyTo(const launcher::Frame& frame) {
    launcher::InspectRequest request;
    EXPECT_TRUE(launcher::Decode(frame.payload, &request));
    launcher::InspectReply reply;
    reply.info.id = request.id;
    return launcher::ReplyFrame(frame.request_id, reply);
  }

  asio::io_context context_;
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  std::string state_dir_;
  int starts_ = 0;
  absl::Status start_status_;
  int connects_ = 0;
  std::vector<std::string> exited_;
  std::unique_ptr<FakeLauncher> launcher_;
  std::shared_ptr<LauncherClient> client_;
};

TEST_F(LauncherClientTest, RepliesFindTheirCallsInAnyOrder) {
  Connect();
  auto first = Begin<launcher::InspectReply>(Inspect("first"));
  auto second = Begin<launcher::InspectReply>(Inspect("second"));
  Poll();
  const std::string to_first = InspectReplyTo(launcher_->Next());
  const std::string to_second = InspectReplyTo(launcher_->Next());
  launcher_->Send(to_second + to_first);
  EXPECT_EQ(Finish(first)->info.id, "first");
  EXPECT_EQ(Finish(second)->info.id, "second");
  EXPECT_EQ(client_->hello()->launcher_version, "7");
}

TEST_F(LauncherClientTest, StartsALauncherWhenNobodyAnswers) {
  auto call = Begin<launcher::InspectReply>(Inspect("a"));
  EXPECT_TRUE(RunUntil([&] { return starts_ > 2; }));
  launcher_ = std::make_unique<FakeLauncher>(state_dir_);
  Welcome();
  launcher_->Send(InspectReplyTo(Next()));
  EXPECT_EQ(Finish(call)->info.id, "a");
  EXPECT_EQ(connects_, 1);
}

TEST_F(LauncherClientTest, CallFailsWithProofWhenNoLauncherCanBeStarted) {
  start_status_ = absl::UnavailableError("no such program");
  const auto reply = Finish(Begin<launcher::InspectReply>(Inspect("a")));
  EXPECT_EQ(ErrorOf(reply.status()).error_class(), pb::TRANSIENT);
  EXPECT_TRUE(ErrorOf(reply.status()).proves_no_effect());
  EXPECT_NE(reply.status().message().find("no such program"), std::string::npos);
}

TEST_F(LauncherClientTest, CallInFlightIsSentAgainAfterAReconnectWithItsDescriptor) {
  Connect();
  launcher::StartRequest request;
  request.id = "a";
  auto memfd = std::make_shared<base::UniqueFd>(launcher::MakeSealedMemfd("content"));
  auto call = Begin<launcher::StartReply>(request, 10s, std::move(memfd));
  Poll();
  EXPECT_TRUE(launcher_->Next().Is(MessageType::kStart));
  EXPECT_TRUE(launcher_->descriptor.valid());
  launcher_->descriptor.Reset();
  launcher_->HangUp();
  Welcome();
  const launcher::Frame again = Next();
  EXPECT_TRUE(again.Is(MessageType::kStart));
  std::string bytes;
  std::string error;
  EXPECT_TRUE(launcher::ReadSealedMemfd(launcher_->descriptor.get(), &bytes, &error)) << error;
  EXPECT_EQ(bytes, "content");
  launcher::StartReply reply;
  reply.repeated = true;
  launcher_->Send(launcher::ReplyFrame(again.request_id, reply));
  EXPECT_TRUE(Finish(call)->repeated);
  EXPECT_EQ(connects_, 2);
}

TEST_F(LauncherClientTest, CallEndsAtItsDeadlineAndALateReplyIsIgnored) {
  Connect();
  auto call = Begin<launcher::InspectReply>(Inspect("a"), 20ms);
  Poll();
  const std::string late = InspectReplyTo(launcher_->Next());
  EXPECT_EQ(Finish(call).status().code(), absl::StatusCode::kDeadlineExceeded);
  launcher_->Send(late);
  auto next = Begin<launcher::InspectReply>(Inspect("b"));
  Poll();
  launcher_->Send(InspectReplyTo(launcher_->Next()));
  EXPECT_EQ(Finish(next)->info.id, "b");
}

TEST_F(LauncherClientTest, ErrorRepliesAreClassified) {
  Connect();
  auto call = Begin<launcher::InspectReply>(Inspect("a"));
  Poll();
  const launcher::Frame frame = launcher_->Next();
  launcher_->Send(launcher::ErrorFrame(frame.type, frame.request_id, launcher::ErrorCode::kNotFound,
                                       "no sandbox"));
  EXPECT_EQ(Finish(call).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LauncherClientTest, PushedExitsReachTheReceiver) {
  Connect();
  launcher::ExitedEvent event;
  event.info.id = "gone";
  launcher_->Send(launcher::EventFrame(event));
  EXPECT_TRUE(RunUntil([&] { return !exited_.empty(); }));
  EXPECT_EQ(exited_, std::vector<std::string>{"gone"});
}

TEST_F(LauncherClientTest, NonsenseFromTheLauncherCostsTheConnectionOnly) {
  Connect();
  launcher_->Send(std::string(64, '\xff'));
  Welcome();
  EXPECT_TRUE(RunUntil([&] { return connects_ == 2; }));
}

TEST_F(LauncherClientTest, CancelledCallCompletesAndTheConnectionLives) {
  Connect();
  asio::cancellation_signal signal;
  std::optional<absl::StatusOr<launcher::InspectReply>> result;
  asio::co_spawn(
      context_, client_->Call<launcher::InspectReply>(Inspect("a"), clock_->Boot() + 10s),
      asio::bind_cancellation_slot(
          signal.slot(), [&](std::exception_ptr, absl::StatusOr<launcher::InspectReply> reply) {
            result = std::move(reply);
          }));
  Poll();
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_TRUE(RunUntil([&] { return result.has_value(); }));
  EXPECT_EQ(result->status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(client_->connected());
}

TEST_F(LauncherClientTest, CloseEndsCallsInFlight) {
  Connect();
  auto call = Begin<launcher::InspectReply>(Inspect("a"));
  Poll();
  client_->Close();
  EXPECT_EQ(Finish(call).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace boxkeeper::providers::local
