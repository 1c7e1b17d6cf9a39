// A launcher that says anything to the daemon's client: the input is a script of raw bytes, replies
// with any payload to what was asked, and hang-ups. Every call ends by its deadline, and an honest
// launcher is heard afterwards.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/core/unique_fd.h"
#include "base/task_group.h"
#include "base/testing/fake_clock.h"
#include "launcher/protocol.h"
#include "providers/local/launcher_client.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

namespace asio = boost::asio;
using namespace launcher;
using providers::local::LauncherClient;
using std::chrono::seconds;

constexpr seconds kCallDeadline{30};
constexpr char kVersion[] = "honest";

// One for the process; removed by the next run of the same pid at the latest.
struct Place {
  Place() : state_dir("/tmp/bk-fuzz-launch-" + std::to_string(getpid())) {
    std::filesystem::create_directories(LaunchDirectory(state_dir));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", SocketPath(state_dir).c_str());
    unlink(address.sun_path);
    listener.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    Require(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                listen(listener.get(), 16) == 0,
            "a socket");
  }
  ~Place() { std::filesystem::remove_all(state_dir); }
  base::UniqueFd Accept() {
    return base::UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }
  const std::string state_dir;
  base::UniqueFd listener;
};

Place& ThePlace() {
  static Place place;
  return place;
}

class World {
 public:
  World() {
    while (ThePlace().Accept().valid()) {
    }
    LauncherClient::Options options;
    options.state_dir = ThePlace().state_dir;
    options.start_launcher = [] { return absl::OkStatus(); };
    options.exited = [](const SandboxInfo& info) { (void)Encode(info); };
    client_ = std::make_shared<LauncherClient>(loop_.get_executor(), clock_, options);
  }

  ~World() {
    asio::post(loop_, [this] {
      client_->Close();
      group_.Cancel();
    });
    clock_.RunUntilIdle();
    client_.reset();
    clock_.RunUntilIdle();
  }

  template <typename Reply, typename Request>
  void Call(Request request) {
    const base::BootTime deadline = clock_.Boot() + kCallDeadline;
    ++begun_;
    group_.Spawn("call", [this, request, deadline]() -> asio::awaitable<void> {
      auto client = client_;
      auto reply = co_await client->Call<Reply>(request, deadline);
      if (reply.ok()) (void)Encode(*reply);
      ++ended_;
    });
  }

  // What the client wants next: a connection, or an answer.
  void Listen() {
    clock_.RunUntilIdle();
    if (base::UniqueFd accepted = ThePlace().Accept(); accepted.valid()) {
      peer_ = std::move(accepted);
      parser_ = {};
    }
    char data[4096];
    for (;;) {
      const ssize_t got =
          peer_.valid() ? recv(peer_.get(), data, sizeof(data), MSG_DONTWAIT) : ssize_t{-1};
      if (got <= 0) break;
      parser_.Append({data, static_cast<size_t>(got)});
    }
    Frame frame;
    while (parser_.Next(&frame) == FrameParser::Result::kFrame) {
      asked_.push_back({frame.type, frame.request_id});
    }
  }

  void Send(std::string_view bytes) {
    if (peer_.valid()) (void)send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    Listen();
  }
  void HangUp() {
    peer_.Reset();
    asked_.clear();
    clock_.Advance(std::chrono::milliseconds(300));  // the longest pause before the next try
    Listen();
  }
  // Answers one of the questions so far.
  void Reply(uint8_t which, std::string_view payload) {
    if (asked_.empty()) return Listen();
    const auto [type, id] = asked_[which % asked_.size()];
    Send(EncodeFrame(type | kReplyBit, id, payload));
  }

  // As a launcher should, from the next connection on.
  void BeHonest() {
    HangUp();
    for (int i = 0; i < 8; ++i) {
      const auto asked = std::exchange(asked_, {});
      for (const auto& [type, id] : asked) {
        HelloReply hello;
        hello.launcher_version = kVersion;
        InspectReply inspect;
        inspect.info.id = kVersion;
        const bool is_hello = type == static_cast<uint16_t>(MessageType::kHello);
        Send(is_hello ? ReplyFrame(id, hello) : ReplyFrame(id, inspect));
      }
      Listen();
    }
  }

  void CheckHonest() {
    std::optional<absl::StatusOr<InspectReply>> reply;
    const base::BootTime deadline = clock_.Boot() + kCallDeadline;
    group_.Spawn("honest", [this, deadline, &reply]() -> asio::awaitable<void> {
      auto client = client_;
      InspectRequest request;
      auto got = co_await client->Call<InspectReply>(request, deadline);
      reply.emplace(std::move(got));
    });
    BeHonest();
    Require(reply.has_value() && reply->ok() && (*reply)->info.id == kVersion,
            "an honest launcher is heard",
            reply.has_value() ? reply->status().ToString() : "no answer");
    clock_.Advance(kCallDeadline + seconds(1));
    Require(begun_ == ended_, "every call ends by its deadline");
  }

 private:
  asio::io_context loop_;
  base::FakeClock clock_{loop_};
  std::shared_ptr<LauncherClient> client_;
  base::TaskGroup group_{clock_, loop_.get_executor()};
  base::UniqueFd peer_;
  FrameParser parser_;
  std::vector<std::pair<uint16_t, uint64_t>> asked_;
  int begun_ = 0, ended_ = 0;
};

void Step(World& world, Input& input) {
  const uint8_t what = input.Byte();
  switch (what % 8) {
    case 0:
      return world.Send(input.LongText());
    case 1:
      return world.Call<ListReply>(ListRequest{});
    case 2:
      return world.Call<CreateReply>(CreateRequest{"id", "name", "labels"});
    case 3:
      return world.HangUp();
    case 4: {
      HelloReply hello;
      hello.launcher_version = "liar";
      return world.Reply(what >> 3, Encode(hello));
    }
    case 5:
      return world.Send(EventFrame(ExitedEvent{}));
    default:
      return world.Reply(what >> 3, input.LongText());
  }
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper::fuzz;
  Input input(data, size);
  World world;
  world.Call<boxkeeper::launcher::InspectReply>(boxkeeper::launcher::InspectRequest{"id"});
  world.Listen();
  for (int step = 0; step < 40 && !input.empty(); ++step) Step(world, input);
  world.CheckHonest();
  return 0;
}
