// The reference of launching: a bare posix_spawn loop with N in flight, one thread each, nothing
// durable, no log, no event.
// `--stamps`: the command is `stamp`, whose times are read from a pipe. Prints one JSON object.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "bench/clock.h"
#include "bench/latencies.h"

extern char** environ;  // NOLINT

namespace boxkeeper::bench {
namespace {

struct Options {
  int in_flight = 4;
  int count = 1000;
  int warmup = 50;
  bool stamps = false;
  std::vector<std::string> argv;
};

struct Result {
  Latencies spawn_to_exit;
  Latencies spawn_to_start;  // with stamps: until the command's own first act
  Latencies exit_to_seen;    // with stamps: from the command's last act until it is reaped
  int failed = 0;
};

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(2);
}

class Worker {
 public:
  explicit Worker(const Options& options) : options_(options) {
    for (const std::string& word : options.argv) argv_.push_back(const_cast<char*>(word.c_str()));
    argv_.push_back(nullptr);
  }

  // Spawns until `left` is used up.
  void Run(std::atomic<int>& left) {
    while (left.fetch_sub(1) > 0) One(result_);
  }
  void WarmUp(int times) {
    Result ignored;
    for (int i = 0; i < times; ++i) One(ignored);
  }
  const Result& result() const { return result_; }

 private:
  void One(Result& result) {
    int pipe[2] = {-1, -1};
    if (options_.stamps && pipe2(pipe, O_CLOEXEC) != 0) Die("pipe2");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (options_.stamps) {
      posix_spawn_file_actions_adddup2(&actions, pipe[1], 1);
    } else {
      posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    }
    pid_t pid = 0;
    const int64_t spawned = NowNs();
    if (posix_spawn(&pid, argv_[0], &actions, nullptr, argv_.data(), environ) != 0)
      Die("posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) Die("waitpid");
    const int64_t reaped = NowNs();
    if (status != 0) ++result.failed;
    result.spawn_to_exit.Add(reaped - spawned);
    if (!options_.stamps) return;
    close(pipe[1]);
    ReadStamps(pipe[0], spawned, reaped, result);
    close(pipe[0]);
  }

  static void ReadStamps(int fd, int64_t spawned, int64_t reaped, Result& result) {
    char text[64] = {};
    int64_t started = 0;
    int64_t ended = 0;
    if (read(fd, text, sizeof(text) - 1) <= 0 ||
        std::sscanf(text, "%ld %ld", &started, &ended) != 2) {
      ++result.failed;
      return;
    }
    result.spawn_to_start.Add(started - spawned);
    result.exit_to_seen.Add(reaped - ended);
  }

  const Options& options_;
  std::vector<char*> argv_;
  Result result_;
};

int Run(const Options& options) {
  std::vector<Worker> workers(static_cast<size_t>(options.in_flight), Worker(options));
  const auto each = [&workers](auto&& act) {
    std::vector<std::thread> threads;
    for (Worker& worker : workers) threads.emplace_back([&worker, &act] { act(worker); });
    for (std::thread& thread : threads) thread.join();
  };
  each([&](Worker& worker) { worker.WarmUp(options.warmup / options.in_flight + 1); });
  std::atomic<int> left{options.count};
  const int64_t from = NowNs();
  each([&](Worker& worker) { worker.Run(left); });
  const double seconds = static_cast<double>(NowNs() - from) / 1e9;

  Result total;
  for (Worker& worker : workers) {
    total.spawn_to_exit.Merge(worker.result().spawn_to_exit);
    total.spawn_to_start.Merge(worker.result().spawn_to_start);
    total.exit_to_seen.Merge(worker.result().exit_to_seen);
    total.failed += worker.result().failed;
  }
  std::printf(
      "{\"rate\":%.1f,\"count\":%d,\"failed\":%d,\"latency\":%s,\"to_start\":%s,\"to_seen\":%s}\n",
      options.count / seconds, options.count, total.failed, total.spawn_to_exit.Json().c_str(),
      total.spawn_to_start.Json().c_str(), total.exit_to_seen.Json().c_str());
  return total.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace boxkeeper::bench

int main(int argc, char** argv) {
  boxkeeper::bench::Options options;
  CLI::App app{"Bare posix_spawn loop."};
  app.prefix_command();  // what follows the options is the command
  app.add_option("--in_flight", options.in_flight, "children at any time");
  app.add_option("--count", options.count, "children in all");
  app.add_option("--warmup", options.warmup, "children before those");
  app.add_flag("--stamps", options.stamps, "the command prints its start and its end");
  CLI11_PARSE(app, argc, argv);
  options.argv = app.remaining();
  if (!options.argv.empty() && options.argv[0] == "--") options.argv.erase(options.argv.begin());
  if (options.argv.empty() || options.in_flight < 1) return 2;
  return boxkeeper::bench::Run(options);
}
