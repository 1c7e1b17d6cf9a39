// A server that answers one request with any bytes, in any pieces, and the next one honestly. The
// first may fail or not, within its bounds and deadlines; the second gets its own answer, never
// what was left of the first.
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/http/client.h"
#include "base/http/testing/fake_http_server.h"
#include "base/task_group.h"
#include "base/testing/fake_clock.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

namespace asio = boost::asio;
using namespace base::http;

constexpr size_t kBodyBytesMax = 4096;
constexpr size_t kHeaderBytesMax = 2048;
constexpr char kMarker[] = "the honest answer";
// Longer than any one deadline of the client, and often enough for all of a request's.
constexpr std::chrono::seconds kPatience{61};
constexpr int kPatienceTimes = 8;

std::string SocketPath() { return "/tmp/bk-fuzz-" + std::to_string(getpid()) + ".sock"; }

class World {
 public:
  explicit World(Answer first) : first_(std::move(first)) {
    const std::string path = SocketPath();
    unlink(path.c_str());
    server_.emplace(
        loop_, [this](const ReceivedRequest& request) { return AnswerTo(request); },
        FakeHttpServer::Options{.unix_path = path});
    ClientOptions options;
    options.base = *ParseBaseUrl("unix:" + path);
    options.header_bytes_max = kHeaderBytesMax;
    options.connections_max = 1;
    auto made = Client::Create({clock_, loop_.get_executor()}, options);
    Require(made.ok(), "a client");
    client_ = *std::move(made);
  }

  ~World() {
    asio::post(loop_, [this] { group_.Cancel(); });
    clock_.RunUntilIdle();
    client_.reset();
    server_.reset();
    clock_.RunUntilIdle();
  }

  absl::StatusOr<Reply> Fetch(Request request) {
    auto shared = std::make_shared<Request>(std::move(request));
    auto reply = std::make_shared<std::optional<absl::StatusOr<Reply>>>();
    Client* client = client_.get();
    group_.Spawn("fetch", [shared, reply, client]() -> asio::awaitable<void> {
      auto got = co_await client->Fetch(std::move(*shared), kBodyBytesMax);
      reply->emplace(std::move(got));
    });
    for (size_t piece = 0; piece <= first_.pieces.size(); ++piece) {
      clock_.RunUntilIdle();
      server_->Continue();
    }
    clock_.RunUntilIdle();
    for (int i = 0; i < kPatienceTimes && !reply->has_value(); ++i) clock_.Advance(kPatience);
    Require(reply->has_value(), "a request ends at its deadlines");
    return **reply;
  }

  size_t idle() const { return client_->idle(); }

 private:
  Answer AnswerTo(const ReceivedRequest& request) {
    if (request.target == "/first") return first_;
    return Ok(request.target == "/second" ? kMarker : "elsewhere");
  }

  asio::io_context loop_;
  base::FakeClock clock_{loop_};
  Answer first_;
  std::optional<FakeHttpServer> server_;
  std::unique_ptr<Client> client_;
  base::TaskGroup group_{clock_, loop_.get_executor()};
};

void CheckFirst(const absl::StatusOr<Reply>& reply, const Request& request) {
  if (!reply.ok()) {
    const absl::Status& status = reply.status();
    Require(absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
                absl::IsResourceExhausted(status) || absl::IsPermissionDenied(status),
            "an error of the kinds that are documented", status.ToString());
    return;
  }
  Require(reply->status >= 0 && reply->status <= 999, "a status of three digits");
  Require(reply->body.size() <= kBodyBytesMax, "a body within its bound");
  Require(request.method != "HEAD" || reply->body.empty(), "HEAD has no body");
  size_t header_bytes = 0;
  for (const auto& [name, value] : reply->headers.fields()) {
    header_bytes += name.size() + value.size();
    Require(value.find_first_of("\r\n") == std::string::npos, "a header field is one line", value);
  }
  Require(header_bytes <= 2 * kHeaderBytesMax, "a header within its bound");
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper::fuzz;
  Input input(data, size);
  const uint8_t flags = input.Byte();
  const size_t piece_bytes = input.Byte();
  Answer first{.close = (flags & 1) != 0, .skip_body = (flags & 2) != 0};
  for (size_t piece = 0; piece < 8 && !input.empty(); ++piece) {
    const bool last = piece_bytes == 0 || piece == 7;
    first.pieces.push_back(std::string(last ? input.Rest() : input.Take(piece_bytes)));
  }
  World world(first);
  Request request;
  request.target = "/first";
  constexpr const char* kMethods[] = {"GET", "POST", "HEAD", "PUT"};
  request.method = kMethods[(flags >> 2) % 4];
  if (request.method == "POST") request.body = "payload";
  request.follow_redirects = (flags & 16) != 0;
  const std::string method = request.method;
  const auto reply = world.Fetch(std::move(request));
  Request sent;
  sent.method = method;
  CheckFirst(reply, sent);
  if (reply.ok() && reply->status == 101) {
    Require(world.idle() == 0, "a connection that speaks something else is not kept");
  }
  Request second;
  second.target = "/second";
  const auto honest = world.Fetch(std::move(second));
  Require(honest.ok() && honest->status == 200 && honest->body == kMarker,
          "the next request gets its own answer",
          honest.ok() ? honest->body : honest.status().ToString());
  return 0;
}
