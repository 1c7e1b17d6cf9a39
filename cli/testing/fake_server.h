// A daemon without sandboxes: answers boxctl from tables that the test fills. It can be stopped and
// started again on the same address, keeping its tables, like a daemon after kill -9.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "boxkeeper/v1/admin.pb.h"
#include "boxkeeper/v1/executor.pb.h"

namespace boxkeeper::cli {

// Thread-safe. What a test sets before the first call needs no lock; what it changes later goes
// through a method.
class FakeServer {
 public:
  // Listens on a unix socket in the test's own temporary folder.
  FakeServer();
  ~FakeServer();

  std::string address() const { return "unix:" + path_; }
  // Cuts every call as a killed process would, and stops listening.
  void Stop();
  void Start();

  // --- tasks ---
  void AddTask(const v1::Task& task);
  // Appends to a stream; readers that follow get it.
  void Print(const std::string& id, v1::ReadLogRequest::Stream stream, const std::string& data);
  // A hole that a limit made: `bytes` at the stream's present end.
  void Drop(const std::string& id, v1::ReadLogRequest::Stream stream, int64_t bytes);
  // Makes the task terminal.
  void End(const std::string& id, v1::TaskState state, v1::Reason reason, int exit_code = -1);
  v1::Task Find(const std::string& id);

  // --- answers ---
  v1::GetStatusResponse status;
  v1::ListProvidersResponse providers;
  v1::ListSandboxesResponse sandboxes;
  v1::ListOrphansResponse orphans;
  v1::ReapOrphansRequest reaped;
  std::vector<v1::Event> events;
  std::string expected_token;  // calls without it are refused; empty = none is needed
  // The answer to one submitted task; by default ACCEPTED, and the task is RUNNING under the id
  // "task-N".
  std::function<v1::SubmitResult(const v1::TaskSpec&)> on_submit;
  // Called before the answer, without a lock.
  std::function<void(const v1::CancelTasksRequest&)> on_cancel = [](const auto&) {};
  std::function<void()> on_renew = [] {};
  // Called when a reader of a log arrives.
  std::function<void(const v1::ReadLogRequest&)> on_read = [](const auto&) {};
  // Breaks the log call that has sent so many bytes of the stream, once.
  void CutLogAfter(int64_t bytes);

  // Blobs put, by sum. Cleared by the test, the daemon has lost them.
  void ForgetBlobs();
  std::map<std::string, std::string> blobs();
  int blob_uploads();  // that sent their content

  // --- what was asked ---
  std::vector<v1::SubmitTasksRequest> submits();
  std::vector<v1::CancelTasksRequest> cancels();
  std::vector<v1::ReadLogRequest> reads();

 private:
  class ExecutorService;
  class AdminService;
  struct Piece {
    std::string data;
    int64_t dropped = 0;
  };
  using LogName = std::pair<std::string, int>;

  const std::string path_;
  std::unique_ptr<ExecutorService> executor_;
  std::unique_ptr<AdminService> admin_;
  struct Running;  // the gRPC server
  std::unique_ptr<Running> running_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<v1::Task> tasks_;
  std::map<LogName, std::vector<Piece>> logs_;
  int64_t cut_log_after_ = -1;
  std::map<std::string, std::string> blobs_;
  int blob_uploads_ = 0;
  std::vector<v1::SubmitTasksRequest> submits_;
  std::vector<v1::CancelTasksRequest> cancels_;
  std::vector<v1::ReadLogRequest> reads_;
};

}  // namespace boxkeeper::cli
