// Load on SubmitTasks of a daemon, or of the echo server. Prints one JSON object.
//
// Closed loop (default): `--in_flight` calls at any time, each of `--batch` tasks; a call's latency
// counts from its sending. Open loop (`--rate`): calls leave at fixed times whatever the server
// does; a latency counts from the *intended* time, so that a server that stalls cannot hide the
// calls that would have come meanwhile.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/clock.h"
#include "bench/latencies.h"
#include "bench/requests.h"
#include "boxkeeper/v1/executor.grpc.pb.h"

namespace boxkeeper::bench {
namespace {

struct Options {
  std::string target;
  int in_flight = 64;
  int batch = 1;
  int channels = 4;
  double rate = 0;  // calls a second; 0 = closed loop
  double seconds = 3;
  double warmup_seconds = 0.5;
  uint64_t tasks = 0;  // closed loop: stop after this many instead of after `seconds`
  TaskTemplate task;
};

// One moment's count for the whole run; what is counted in the window is what finishes (closed) or
// is due (open) in it.
struct Window {
  int64_t from_ns = 0;
  int64_t to_ns = 0;
  bool Contains(int64_t at_ns) const { return at_ns >= from_ns && at_ns < to_ns; }
};

struct Tally {
  Latencies latencies;
  uint64_t tasks_in_window = 0;
  uint64_t accepted = 0;  // of the whole run
  uint64_t refused = 0;   // of the whole run; with `failed_calls` must be 0 for an honest result
  uint64_t failed_calls = 0;
  std::string first_error;

  void Count(const grpc::Status& status, const v1::SubmitTasksResponse& response, int64_t since_ns,
             bool in_window, int64_t now_ns) {
    if (!status.ok()) {
      ++failed_calls;
      if (first_error.empty()) first_error = status.error_message();
      return;
    }
    uint64_t good = 0;
    for (const v1::SubmitResult& result : response.results()) {
      if (result.outcome() == v1::SubmitResult::ACCEPTED) {
        ++good;
      } else {
        ++refused;
        if (first_error.empty()) first_error = result.ShortDebugString();
      }
    }
    accepted += good;
    if (!in_window) return;
    tasks_in_window += good;
    latencies.Add(now_ns - since_ns);
  }

  void Merge(const Tally& other) {
    latencies.Merge(other.latencies);
    tasks_in_window += other.tasks_in_window;
    accepted += other.accepted;
    refused += other.refused;
    failed_calls += other.failed_calls;
    if (first_error.empty()) first_error = other.first_error;
  }
};

using Stubs = std::vector<std::unique_ptr<v1::Executor::Stub>>;

Stubs Connect(const Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  Stubs stubs;
  for (int i = 0; i < options.channels; ++i) {
    auto channel =
        grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
      std::fprintf(stderr, "no connection to %s\n", options.target.c_str());
      std::exit(2);
    }
    stubs.push_back(v1::Executor::NewStub(channel));
  }
  return stubs;
}

void Fill(const TaskMaker& maker, int batch, std::atomic<uint64_t>& next,
          v1::SubmitTasksRequest& request) {
  while (request.tasks_size() < batch) *request.add_tasks() = maker.Blank();
  uint64_t index = next.fetch_add(static_cast<uint64_t>(batch));
  for (v1::TaskSpec& spec : *request.mutable_tasks()) maker.Number(spec, index++);
}

// One of the closed loop's calls in flight: sends the next from the callback of the last, until the
// window is over.
class Slot {
 public:
  Slot(v1::Executor::Stub& stub, const TaskMaker& maker, std::atomic<uint64_t>& next,
       const Options& options, Window window, std::latch& done)
      : stub_(stub),
        maker_(maker),
        next_(next),
        batch_(options.batch),
        tasks_(options.tasks),
        window_(window),
        done_(done) {}

  void Send() {
    Fill(maker_, batch_, next_, request_);
    response_.Clear();
    context_ = std::make_unique<grpc::ClientContext>();
    sent_ns_ = NowNs();
    stub_.async()->SubmitTasks(context_.get(), &request_, &response_,
                               [this](const grpc::Status& status) { Received(status); });
  }

  const Tally& tally() const { return tally_; }

 private:
  void Received(const grpc::Status& status) {
    const int64_t now = NowNs();
    tally_.Count(status, response_, sent_ns_, window_.Contains(now), now);
    if (now < window_.to_ns && status.ok() && (tasks_ == 0 || next_ < tasks_)) {
      Send();
    } else {
      done_.count_down();
    }
  }

  v1::Executor::Stub& stub_;
  const TaskMaker& maker_;
  std::atomic<uint64_t>& next_;
  const int batch_;
  const uint64_t tasks_;
  const Window window_;
  std::latch& done_;
  v1::SubmitTasksRequest request_;
  v1::SubmitTasksResponse response_;
  std::unique_ptr<grpc::ClientContext> context_;
  int64_t sent_ns_ = 0;
  Tally tally_;
};

Tally RunClosed(const Options& options, const TaskMaker& maker, Stubs& stubs, Window window) {
  std::atomic<uint64_t> next{0};
  std::latch done(options.in_flight);
  std::vector<std::unique_ptr<Slot>> slots;
  for (int i = 0; i < options.in_flight; ++i) {
    auto& stub = *stubs[static_cast<size_t>(i) % stubs.size()];
    slots.push_back(std::make_unique<Slot>(stub, maker, next, options, window, done));
  }
  for (auto& slot : slots) slot->Send();
  done.wait();
  Tally total;
  for (auto& slot : slots) total.Merge(slot->tally());
  return total;
}

// One call of the open loop.
struct OpenCall {
  v1::SubmitTasksRequest request;
  v1::SubmitTasksResponse response;
  grpc::ClientContext context;
  grpc::Status status;
  int64_t intended_ns = 0;
  int64_t received_ns = 0;
};

void SleepUntil(int64_t at_ns) {
  const timespec at{at_ns / 1'000'000'000, at_ns % 1'000'000'000};
  while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, nullptr) != 0) continue;
}

Tally RunOpen(const Options& options, const TaskMaker& maker, Stubs& stubs, Window window) {
  const int64_t start = NowNs();
  const auto calls =
      static_cast<size_t>(static_cast<double>(window.to_ns - start) / 1e9 * options.rate);
  std::atomic<uint64_t> next{0};
  std::latch done(static_cast<std::ptrdiff_t>(calls));
  // Made before the clock runs: the generator must not be what is late.
  std::vector<std::unique_ptr<OpenCall>> all(calls);
  for (size_t i = 0; i < calls; ++i) {
    all[i] = std::make_unique<OpenCall>();
    Fill(maker, options.batch, next, all[i]->request);
  }
  const int64_t shift = NowNs() - start;
  for (size_t i = 0; i < calls; ++i) {
    OpenCall& call = *all[i];
    call.intended_ns =
        start + shift + static_cast<int64_t>(static_cast<double>(i) * 1e9 / options.rate);
    SleepUntil(call.intended_ns);
    stubs[i % stubs.size()]->async()->SubmitTasks(&call.context, &call.request, &call.response,
                                                  [&call, &done](grpc::Status status) {
                                                    call.received_ns = NowNs();
                                                    call.status = std::move(status);
                                                    done.count_down();
                                                  });
  }
  done.wait();
  const Window moved{window.from_ns + shift, window.to_ns + shift};
  Tally total;
  for (auto& call : all) {
    total.Count(call->status, call->response, call->intended_ns, moved.Contains(call->intended_ns),
                call->received_ns);
  }
  return total;
}

int Run(const Options& options) {
  const TaskMaker maker(options.task);
  Stubs stubs = Connect(options);
  const int64_t from = NowNs() + static_cast<int64_t>(options.warmup_seconds * 1e9);
  const Window window{from, from + static_cast<int64_t>(options.seconds * 1e9)};
  Tally tally = options.rate > 0 ? RunOpen(options, maker, stubs, window)
                                 : RunClosed(options, maker, stubs, window);
  v1::SubmitTasksRequest sample;
  std::atomic<uint64_t> first{0};
  Fill(maker, options.batch, first, sample);
  std::printf(
      "{\"rate\":%.1f,\"tasks\":%lu,\"accepted\":%lu,\"refused\":%lu,\"failed_calls\":%lu,"
      "\"request_bytes\":%lu,\"latency\":%s}\n",
      static_cast<double>(tally.tasks_in_window) / options.seconds, tally.tasks_in_window,
      tally.accepted, tally.refused, tally.failed_calls, sample.ByteSizeLong(),
      tally.latencies.Json().c_str());
  if (tally.refused + tally.failed_calls == 0) return 0;
  std::fprintf(stderr, "first error: %s\n", tally.first_error.c_str());
  return 1;
}

}  // namespace
}  // namespace boxkeeper::bench

int main(int argc, char** argv) {
  boxkeeper::bench::Options options;
  CLI::App app{"Load on SubmitTasks."};
  app.add_option("--target", options.target, "host:port or unix:path")->required();
  app.add_option("--in_flight", options.in_flight, "calls in flight (closed loop)");
  app.add_option("--batch", options.batch, "tasks in each call");
  app.add_option("--channels", options.channels, "connections");
  app.add_option("--rate", options.rate, "open loop: calls a second");
  app.add_option("--seconds", options.seconds, "measured time");
  app.add_option("--warmup", options.warmup_seconds, "seconds before it");
  app.add_option("--tasks", options.tasks,
                 "closed loop: so many tasks in all (a multiple of --batch), however long that "
                 "takes; no rate is meant");
  app.add_option("--owner", options.task.owner, "of the tasks");
  app.add_option("--padding", options.task.padding, "bytes of a label (at most 256)");
  app.add_option("command", options.task.argv, "of the tasks; default /bin/true");
  CLI11_PARSE(app, argc, argv);
  if (options.tasks > 0) options.seconds = 3600;
  return boxkeeper::bench::Run(options);
}
