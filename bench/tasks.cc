// Whole lives of tasks, as a scheduler sees them: submits, follows its event stream, acknowledges,
// submits the next when one has ended. `--in_flight` tasks at any time, `--count` after `--warmup`.
// Afterwards every task must have SUCCEEDED and its log must be complete. Prints one JSON object.
//
// `--stamps`: the command is `stamp`; its times are read from the tasks' logs after the
// measurement.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/clock.h"
#include "bench/latencies.h"
#include "bench/requests.h"
#include "boxkeeper/v1/executor.grpc.pb.h"

namespace boxkeeper::bench {
namespace {

struct Options {
  std::string target;
  int in_flight = 4;
  size_t count = 1000;
  size_t warmup = 50;
  bool stamps = false;
  double seconds_max = 300;
  TaskTemplate task;
};

// What is known of one task. Times are those of `NowNs` in this process.
struct Life {
  std::string id;
  int64_t submitted_ns = 0;
  int64_t running_seen_ns = 0;
  int64_t end_seen_ns = 0;
  bool succeeded = false;
};

bool IsTerminal(v1::TaskState state) {
  return state >= v1::TASK_STATE_SUCCEEDED && state <= v1::TASK_STATE_LOST;
}

std::chrono::system_clock::time_point In(double seconds) {
  return std::chrono::system_clock::now() +
         std::chrono::milliseconds(static_cast<int64_t>(seconds * 1e3));
}

class Driver {
 public:
  explicit Driver(const Options& options)
      : options_(options),
        maker_(options.task),
        total_(options.warmup + options.count),
        lives_(total_) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(64 << 20);
    auto channel =
        grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::Executor::NewStub(channel);
  }

  // False if a call failed or the time was up before all tasks had ended.
  bool Run() {
    watch_.set_deadline(In(options_.seconds_max));
    v1::WatchEventsRequest request;
    request.set_owner(options_.task.owner);
    request.set_follow(true);
    auto stream = stub_->WatchEvents(&watch_, request);
    const auto in_flight = std::min(static_cast<size_t>(options_.in_flight), total_);
    for (size_t i = 0; i < in_flight; ++i) Submit();
    v1::WatchEventsResponse events;
    while (ended_ < total_ && !failed_ && stream->Read(&events)) Seen(events, NowNs());
    watch_.TryCancel();
    stream->Finish();
    std::unique_lock lock(mutex_);
    all_answered_.wait(lock, [this] { return calls_ == 0; });
    return ended_ == total_ && !failed_;
  }

  // Waits until every log is stored, reads the stamps, checks every end. Returns the number of
  // tasks that fell short.
  size_t Verify() {
    size_t bad = 0;
    for (size_t first = 0; first < total_; first += 500)
      bad += VerifyPage(first, std::min(first + 500, total_));
    if (options_.stamps) {
      for (Life& life : lives_) bad += ReadStamps(life) ? 0 : 1;
    }
    return bad;
  }

  void Print(size_t bad) {
    Latencies end;
    for (size_t i = options_.warmup; i < total_; ++i) {
      end.Add(lives_[i].end_seen_ns - lives_[i].submitted_ns);
    }
    const double seconds = static_cast<double>(last_end_ns_ - measured_from_ns_) / 1e9;
    std::printf(
        "{\"rate\":%.1f,\"count\":%lu,\"bad\":%lu,\"seconds\":%.3f,\"latency\":%s,"
        "\"submit_to_running\":%s,\"exit_to_event\":%s}\n",
        static_cast<double>(options_.count) / seconds, options_.count, bad, seconds,
        end.Json().c_str(), to_running_.Json().c_str(), to_event_.Json().c_str());
  }

  const std::string& error() const { return error_; }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::SubmitTasksRequest request;
    v1::SubmitTasksResponse response;
  };

  // Called by the stream's thread only.
  void Submit() {
    if (next_ == total_) return;
    const size_t index = next_++;
    auto call = std::make_shared<Call>();
    *call->request.add_tasks() = maker_.Blank();
    maker_.Number(*call->request.mutable_tasks(0), index);
    call->context.set_deadline(In(options_.seconds_max));
    {
      const std::lock_guard lock(mutex_);
      ++calls_;
    }
    lives_[index].submitted_ns = NowNs();
    if (index == options_.warmup) measured_from_ns_ = lives_[index].submitted_ns;
    stub_->async()->SubmitTasks(
        &call->context, &call->request, &call->response, [this, call](const grpc::Status& status) {
          const bool accepted = status.ok() && call->response.results_size() == 1 &&
                                call->response.results(0).outcome() == v1::SubmitResult::ACCEPTED;
          Answered(accepted
                       ? ""
                       : "submit: " + status.error_message() + call->response.ShortDebugString());
        });
  }

  void Seen(const v1::WatchEventsResponse& events, int64_t now_ns) {
    for (const v1::Event& event : events.events()) {
      cursor_ = event.cursor();
      const auto index = maker_.IndexOf(event.task().submission_id());
      if (event.type() != v1::EVENT_TYPE_STATE || !index || *index >= total_) continue;
      Life& life = lives_[*index];
      if (event.task().state() == v1::TASK_STATE_RUNNING) life.running_seen_ns = now_ns;
      if (!IsTerminal(event.task().state()) || life.end_seen_ns != 0) continue;
      life.id = event.task().id();
      life.end_seen_ns = now_ns;
      life.succeeded = event.task().state() == v1::TASK_STATE_SUCCEEDED;
      last_end_ns_ = now_ns;
      if (!life.succeeded && first_bad_.empty()) first_bad_ = event.task().ShortDebugString();
      ++ended_;
      if (ended_ % 64 == 0 || ended_ == total_) Acknowledge();
      Submit();
    }
  }

  void Acknowledge() {
    struct Ack {
      grpc::ClientContext context;
      v1::AckEventsRequest request;
      v1::AckEventsResponse response;
    };
    auto ack = std::make_shared<Ack>();
    ack->request.set_owner(options_.task.owner);
    ack->request.set_cursor(cursor_);
    {
      const std::lock_guard lock(mutex_);
      ++calls_;
    }
    stub_->async()->AckEvents(&ack->context, &ack->request, &ack->response,
                              [this, ack](const grpc::Status& status) {
                                Answered(status.ok() ? "" : "ack: " + status.error_message());
                              });
  }

  void Answered(const std::string& error) {
    const std::lock_guard lock(mutex_);
    if (!error.empty()) {
      failed_ = true;
      error_ = error;
      watch_.TryCancel();
    }
    --calls_;
    all_answered_.notify_all();
  }

  size_t VerifyPage(size_t first, size_t last) {
    grpc::ClientContext context;
    v1::WaitTaskRequest request;
    v1::WaitTaskResponse response;
    for (size_t i = first; i < last; ++i) request.add_ids(lives_[i].id);
    request.set_until(v1::WaitTaskRequest::LOG_COMPLETE);
    request.mutable_timeout()->set_seconds(60);
    const grpc::Status status = stub_->WaitTask(&context, request, &response);
    size_t bad = last - first;
    for (const v1::Task& task : response.tasks()) {
      if (task.state() == v1::TASK_STATE_SUCCEEDED && task.log().complete()) --bad;
    }
    if (bad > 0) error_ = "log or end: " + status.error_message() + first_bad_;
    return bad;
  }

  bool ReadStamps(const Life& life) {
    grpc::ClientContext context;
    v1::ReadLogRequest request;
    request.set_id(life.id);
    request.set_stream(v1::ReadLogRequest::STDOUT);
    auto stream = stub_->ReadLog(&context, request);
    v1::ReadLogResponse piece;
    std::string text;
    while (stream->Read(&piece)) text += piece.data();
    int64_t started = 0;
    int64_t ended = 0;
    if (!stream->Finish().ok() || std::sscanf(text.c_str(), "%ld %ld", &started, &ended) != 2) {
      error_ = "no stamps in the log of " + life.id;
      return false;
    }
    if (life.submitted_ns < measured_from_ns_) return true;
    to_running_.Add(started - life.submitted_ns);
    to_event_.Add(life.end_seen_ns - ended);
    return true;
  }

  const Options& options_;
  const TaskMaker maker_;
  const size_t total_;
  std::vector<Life> lives_;
  std::unique_ptr<v1::Executor::Stub> stub_;
  grpc::ClientContext watch_;

  // Of the stream's thread.
  size_t next_ = 0;
  size_t ended_ = 0;
  std::string cursor_;
  std::string first_bad_;
  int64_t measured_from_ns_ = 0;
  int64_t last_end_ns_ = 0;
  Latencies to_running_;
  Latencies to_event_;

  std::mutex mutex_;
  std::condition_variable all_answered_;
  int calls_ = 0;
  std::atomic<bool> failed_{false};
  std::string error_;
};

int Run(const Options& options) {
  Driver driver(options);
  const bool complete = driver.Run();
  const size_t bad = complete ? driver.Verify() : options.count;
  driver.Print(bad);
  if (bad == 0) return 0;
  std::fprintf(stderr, "%lu tasks fell short: %s\n", bad, driver.error().c_str());
  return 1;
}

}  // namespace
}  // namespace boxkeeper::bench

int main(int argc, char** argv) {
  boxkeeper::bench::Options options;
  CLI::App app{"Whole lives of tasks."};
  app.prefix_command();  // what follows the options is the command
  app.add_option("--target", options.target, "host:port or unix:path")->required();
  app.add_option("--in_flight", options.in_flight, "tasks at any time");
  app.add_option("--count", options.count, "tasks in all");
  app.add_option("--warmup", options.warmup, "tasks before those");
  app.add_option("--owner", options.task.owner, "event stream");
  app.add_option("--provider", options.task.provider, "default: the daemon's");
  app.add_option("--file", options.task.file, "program to send along as ./NAME");
  app.add_option("--seconds_max", options.seconds_max, "give up after");
  app.add_flag("--stamps", options.stamps, "the command prints its start and its end");
  CLI11_PARSE(app, argc, argv);
  options.task.argv = app.remaining();
  if (!options.task.argv.empty() && options.task.argv[0] == "--") {
    options.task.argv.erase(options.task.argv.begin());
  }
  return boxkeeper::bench::Run(options);
}
