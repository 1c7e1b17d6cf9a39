#include "tests/sim/runner.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/testing/armed_fault_points.h"

namespace boxkeeper::sim {
namespace {

constexpr int kJobsMax = 256;
constexpr char kNewline = '\x01';  // within a field

// Between the parent and its workers.
struct Shared {
  std::atomic<uint64_t> next;
  std::atomic<uint64_t> smallest_failed;
  std::atomic<uint64_t> done;
  std::atomic<uint64_t> current[kJobsMax];
};

struct Worker {
  pid_t pid = -1;
  int pipe = -1;
  std::string text;
};

void WriteAll(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t wrote = write(fd, text.data() + at, text.size() - at);
    if (wrote <= 0) _exit(1);  // the parent is gone
    at += static_cast<size_t>(wrote);
  }
}

std::string FailureLine(uint64_t seed, const FailedSeed& failed) {
  std::string what = failed.what;
  std::replace(what.begin(), what.end(), '\n', kNewline);
  return absl::StrCat("F\t", seed, "\t", failed.invariant, "\t", failed.step, "\t", what, "\n");
}

FailedSeed RunOne(const RunOptions& options, uint64_t seed,
                  std::map<std::string, int64_t>& sometimes) {
  SimulationOptions simulation = options.simulation;
  simulation.seed = seed;
  const SimulationResult once = RunSimulation(simulation);
  for (const auto& [name, hits] : once.sometimes) sometimes[name] += hits;
  if (!once.failures.empty()) {
    const Failure& first = once.failures.front();
    return {first.invariant, first.what, first.step};
  }
  const bool again =
      options.twice_every > 0 && seed % static_cast<uint64_t>(options.twice_every) == 0;
  if (again && RunSimulation(simulation).trace_hash != once.trace_hash) {
    return {"repeat", "another trace the second time", 0};
  }
  return {};
}

[[noreturn]] void Work(const RunOptions& options, Shared& shared, int index, int pipe) {
  base::testing::SetMutation(options.mutation);
  std::map<std::string, int64_t> sometimes;
  while (true) {
    const uint64_t seed = shared.next.fetch_add(1);
    if (seed >= options.first_seed + options.seeds) break;
    if (options.stop_at_first && seed > shared.smallest_failed) break;
    shared.current[index] = seed;
    const FailedSeed failed = RunOne(options, seed, sometimes);
    ++shared.done;
    if (failed.invariant.empty()) continue;
    uint64_t smallest = shared.smallest_failed;
    while (seed < smallest && !shared.smallest_failed.compare_exchange_weak(smallest, seed)) {
    }
    WriteAll(pipe, FailureLine(seed, failed));
  }
  for (const auto& [name, hits] : sometimes)
    WriteAll(pipe, absl::StrCat("S\t", name, "\t", hits, "\n"));
  _exit(0);
}

Worker Spawn(const RunOptions& options, Shared& shared, int index) {
  int ends[2];
  CHECK(pipe(ends) == 0, "descriptors are left");
  std::cout.flush();
  const pid_t pid = fork();
  CHECK(pid >= 0, "processes are left");
  if (pid == 0) {
    close(ends[0]);
    Work(options, shared, index, ends[1]);
  }
  close(ends[1]);
  return {pid, ends[0], ""};
}

void ReadLine(const std::string& line, RunReport& report) {
  const std::vector<std::string> fields = absl::StrSplit(line, '\t');
  if (fields[0] == "S" && fields.size() == 3) {
    int64_t hits = 0;
    (void)absl::SimpleAtoi(fields[2], &hits);
    report.sometimes[fields[1]] += hits;
  }
  if (fields[0] != "F" || fields.size() < 5) return;
  uint64_t seed = 0;
  FailedSeed failed{fields[2], fields[4]};
  (void)absl::SimpleAtoi(fields[1], &seed);
  (void)absl::SimpleAtoi(fields[3], &failed.step);
  std::replace(failed.what.begin(), failed.what.end(), kNewline, '\n');
  report.failed[seed] = std::move(failed);
}

// False when the worker has closed its end.
bool ReadSome(Worker& worker, RunReport& report) {
  char buffer[65536];
  const ssize_t got = read(worker.pipe, buffer, sizeof(buffer));
  if (got <= 0) return false;
  worker.text.append(buffer, static_cast<size_t>(got));
  size_t end = 0;
  while ((end = worker.text.find('\n')) != std::string::npos) {
    ReadLine(worker.text.substr(0, end), report);
    worker.text.erase(0, end + 1);
  }
  return true;
}

// Waits for a worker that closed its pipe; another takes its place if it died.
void Replace(const RunOptions& options, Shared& shared, int index, Worker& worker,
             RunReport& report) {
  close(worker.pipe);
  int status = 0;
  waitpid(worker.pid, &status, 0);
  worker.pipe = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  const uint64_t seed = shared.current[index];
  report.failed[seed] = {"crash", absl::StrCat("the process died with status ", status), 0};
  ++shared.done;
  if (seed < shared.smallest_failed) shared.smallest_failed = seed;
  worker = Spawn(options, shared, index);
}

void ShowProgress(const RunOptions& options, const Shared& shared, const RunReport& report) {
  if (!options.progress) return;
  std::cerr << "\r" << shared.done << "/" << options.seeds << " seeds, " << report.failed.size()
            << " failed " << std::flush;
}

}  // namespace

RunReport RunSeeds(const RunOptions& options) {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED, "a page is left");
  auto& shared = *new (memory) Shared{};
  shared.next = options.first_seed;
  shared.smallest_failed = UINT64_MAX;
  const auto begun = std::chrono::steady_clock::now();
  RunReport report;
  const int jobs = std::clamp(options.jobs, 1, kJobsMax);
  std::vector<Worker> workers;
  for (int i = 0; i < jobs; ++i) workers.push_back(Spawn(options, shared, i));
  while (true) {
    std::vector<pollfd> polls;
    std::vector<int> indexes;
    for (int i = 0; i < jobs; ++i) {
      if (workers[i].pipe < 0) continue;
      polls.push_back({workers[i].pipe, POLLIN, 0});
      indexes.push_back(i);
    }
    if (polls.empty()) break;
    poll(polls.data(), polls.size(), 1'000);
    for (size_t i = 0; i < polls.size(); ++i) {
      if (polls[i].revents == 0) continue;
      Worker& worker = workers[indexes[i]];
      if (!ReadSome(worker, report)) Replace(options, shared, indexes[i], worker, report);
    }
    ShowProgress(options, shared, report);
  }
  if (options.progress) std::cerr << "\n";
  report.ran = shared.done;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  munmap(memory, sizeof(Shared));
  return report;
}

FailedSeed RunApart(const SimulationOptions& options) {
  RunOptions run;
  run.first_seed = options.seed;
  run.seeds = 1;
  run.simulation = options;
  const RunReport report = RunSeeds(run);
  return report.failed.empty() ? FailedSeed{} : report.failed.begin()->second;
}

}  // namespace boxkeeper::sim
