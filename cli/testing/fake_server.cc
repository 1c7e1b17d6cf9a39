#include "cli/testing/fake_server.h"

#include <grpcpp/grpcpp.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/task_key.h"
#include "boxkeeper/v1/admin.grpc.pb.h"
#include "boxkeeper/v1/executor.grpc.pb.h"
#include "cli/exit_code.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace boxkeeper::cli {
namespace {

constexpr size_t kChunk = 4;  // small, so that short logs come in several pieces

std::string TemporarySocket() {
  // Not TEST_TMPDIR: a socket's path has at most 107 bytes.
  std::string folder = "/tmp/boxctl_test_XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) std::abort();
  return folder + "/s";
}

grpc::Status Error(grpc::StatusCode code, const std::string& reason, const std::string& message) {
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("boxkeeper");
  details.add_details()->PackFrom(info);
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace

class FakeServer::ExecutorService final : public v1::Executor::Service {
 public:
  explicit ExecutorService(FakeServer& fake) : fake_(fake) {}

  grpc::Status SubmitTasks(grpc::ServerContext* context, const v1::SubmitTasksRequest* request,
                           v1::SubmitTasksResponse* response) override {
    if (auto denied = Authorize(*context); !denied.ok()) return denied;
    {
      std::lock_guard lock(fake_.mutex_);
      fake_.submits_.push_back(*request);
    }
    for (const v1::TaskSpec& spec : request->tasks()) {
      *response->add_results() = fake_.on_submit ? fake_.on_submit(spec) : Accept(spec);
    }
    return grpc::Status::OK;
  }

  grpc::Status GetTask(grpc::ServerContext*, const v1::GetTaskRequest* request,
                       v1::Task* response) override {
    std::lock_guard lock(fake_.mutex_);
    for (const v1::Task& task : fake_.tasks_) {
      const bool same = request->task().has_id()
                            ? task.id() == request->task().id()
                            : task.key_string() == base::KeyString(request->task().key());
      if (!same) continue;
      *response = task;
      return grpc::Status::OK;
    }
    return NotFound();
  }

  grpc::Status ListTasks(grpc::ServerContext* context, const v1::ListTasksRequest* request,
                         v1::ListTasksResponse* response) override {
    if (auto denied = Authorize(*context); !denied.ok()) return denied;
    std::lock_guard lock(fake_.mutex_);
    size_t next = request->page_token().empty() ? 0 : std::stoul(request->page_token());
    while (next < fake_.tasks_.size() && response->tasks_size() < request->page_size()) {
      const v1::Task& task = fake_.tasks_[next++];
      const auto& states = request->filter().states();
      if (!states.empty() &&
          std::find(states.begin(), states.end(), task.state()) == states.end()) {
        continue;
      }
      *response->add_tasks() = task;
    }
    if (next < fake_.tasks_.size()) response->set_next_page_token(std::to_string(next));
    return grpc::Status::OK;
  }

  grpc::Status WaitTask(grpc::ServerContext* context, const v1::WaitTaskRequest* request,
                        v1::WaitTaskResponse* response) override {
    std::unique_lock lock(fake_.mutex_);
    auto reached = [&] {
      return std::all_of(request->ids().begin(), request->ids().end(), [&](const std::string& id) {
        const v1::Task* task = Find(id);
        return task == nullptr || IsTerminal(task->state());
      });
    };
    const auto timeout = std::chrono::seconds(request->timeout().seconds()) +
                         std::chrono::nanoseconds(request->timeout().nanos());
    fake_.changed_.wait_for(lock, timeout, [&] { return reached() || fake_.stopping_; });
    if (fake_.stopping_) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
    response->set_timed_out(!reached());
    for (const std::string& id : request->ids()) {
      const v1::Task* task = Find(id);
      if (task == nullptr) return NotFound();
      *response->add_tasks() = *task;
    }
    return grpc::Status::OK;
  }

  grpc::Status CancelTasks(grpc::ServerContext*, const v1::CancelTasksRequest* request,
                           v1::CancelTasksResponse* response) override {
    {
      std::lock_guard lock(fake_.mutex_);
      fake_.cancels_.push_back(*request);
      for (const v1::TaskRef& ref : request->tasks()) {
        auto* result = response->add_results();
        *result->mutable_ref() = ref;
        const v1::Task* task = Find(ref.id());
        result->set_id(task == nullptr ? "" : task->id());
        result->set_outcome(task == nullptr             ? v1::CancelResult::NOT_FOUND
                            : IsTerminal(task->state()) ? v1::CancelResult::ALREADY_TERMINAL
                                                        : v1::CancelResult::STOPPING);
      }
    }
    fake_.on_cancel(*request);
    return grpc::Status::OK;
  }

  grpc::Status WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::WatchEventsResponse>* writer) override {
    bool after = request->cursor().empty();
    for (const v1::Event& event : fake_.events) {
      if (after) {
        v1::WatchEventsResponse message;
        *message.add_events() = event;
        writer->Write(message);
        // One event a call: every client has to resume.
        if (request->follow()) break;
      }
      after = after || event.cursor() == request->cursor();
    }
    if (!after) return Error(grpc::StatusCode::OUT_OF_RANGE, "CURSOR_GONE", "too old");
    if (!request->follow()) return grpc::Status::OK;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
  }

  grpc::Status PutBlob(grpc::ServerContext* context, grpc::ServerReader<v1::PutBlobRequest>* reader,
                       v1::PutBlobResponse* response) override {
    if (auto denied = Authorize(*context); !denied.ok()) return denied;
    v1::PutBlobRequest request;
    if (!reader->Read(&request)) return {grpc::StatusCode::INVALID_ARGUMENT, "nothing was sent"};
    const std::string name = request.sha256();
    const int64_t size = request.size();
    {
      std::lock_guard lock(fake_.mutex_);
      response->set_existed(fake_.blobs_.contains(name));
      if (response->existed()) return grpc::Status::OK;
    }
    std::string content = request.data();
    while (reader->Read(&request)) content += request.data();
    if (static_cast<int64_t>(content.size()) != size) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "another size"};
    }
    std::lock_guard lock(fake_.mutex_);
    fake_.blobs_[name] = std::move(content);
    ++fake_.blob_uploads_;
    return grpc::Status::OK;
  }

  grpc::Status ReadLog(grpc::ServerContext* context, const v1::ReadLogRequest* request,
                       grpc::ServerWriter<v1::ReadLogResponse>* writer) override {
    {
      std::lock_guard lock(fake_.mutex_);
      fake_.reads_.push_back(*request);
    }
    fake_.on_read(*request);
    std::unique_lock lock(fake_.mutex_);
    if (Find(request->id()) == nullptr) return NotFound();
    int64_t next = request->has_tail_lines() ? TailOffset(*request) : request->offset();
    for (;;) {
      if (fake_.stopping_) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
      v1::ReadLogResponse piece = PieceAt(*request, next);
      const bool ended = IsTerminal(Find(request->id())->state()) || !request->follow();
      if (piece.data().empty() && piece.dropped_bytes() == 0 && !ended) {
        fake_.changed_.wait(lock);
        continue;
      }
      next += static_cast<int64_t>(piece.data().size()) + piece.dropped_bytes();
      piece.set_end(ended && PieceAt(*request, next).data().empty() &&
                    PieceAt(*request, next).dropped_bytes() == 0);
      writer->Write(piece);
      if (fake_.cut_log_after_ >= 0 && next >= fake_.cut_log_after_) {
        fake_.cut_log_after_ = -1;
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
      }
      if (piece.end()) return grpc::Status::OK;
    }
  }

  grpc::Status RenewLease(grpc::ServerContext*, const v1::RenewLeaseRequest*,
                          v1::RenewLeaseResponse*) override {
    fake_.on_renew();
    return grpc::Status::OK;
  }

 private:
  static grpc::Status NotFound() {
    return Error(grpc::StatusCode::NOT_FOUND, "TASK_NOT_FOUND", "no such task");
  }

  grpc::Status Authorize(const grpc::ServerContext& context) {
    if (fake_.expected_token.empty()) return grpc::Status::OK;
    auto found = context.client_metadata().find("authorization");
    if (found != context.client_metadata().end() &&
        std::string(found->second.data(), found->second.size()) ==
            "Bearer " + fake_.expected_token) {
      return grpc::Status::OK;
    }
    return Error(grpc::StatusCode::UNAUTHENTICATED, "BAD_TOKEN", "no or wrong token");
  }

  v1::SubmitResult Accept(const v1::TaskSpec& spec) {
    v1::Task task;
    std::lock_guard lock(fake_.mutex_);
    task.set_id("task-" + std::to_string(fake_.tasks_.size() + 1));
    task.set_submission_id(spec.submission_id());
    *task.mutable_key() = base::NormalKey(spec.key());
    task.set_key_string(base::KeyString(spec.key()));
    task.set_state(v1::TASK_STATE_RUNNING);
    fake_.tasks_.push_back(task);
    v1::SubmitResult result;
    result.set_outcome(v1::SubmitResult::ACCEPTED);
    result.set_id(task.id());
    result.set_state(v1::TASK_STATE_QUEUED);
    result.set_generation(static_cast<int64_t>(fake_.tasks_.size()));
    return result;
  }

  // All below: with the lock held.
  v1::Task* Find(const std::string& id) {
    for (v1::Task& task : fake_.tasks_) {
      if (task.id() == id) return &task;
    }
    return nullptr;
  }

  v1::ReadLogResponse PieceAt(const v1::ReadLogRequest& request, int64_t offset) {
    v1::ReadLogResponse response;
    response.set_offset(offset);
    int64_t start = 0;
    for (const Piece& piece : fake_.logs_[{request.id(), request.stream()}]) {
      const int64_t size = static_cast<int64_t>(piece.data.size()) + piece.dropped;
      if (offset < start + size) {
        response.set_dropped_bytes(piece.dropped > 0 ? start + size - offset : 0);
        if (piece.dropped == 0) {
          response.set_data(piece.data.substr(static_cast<size_t>(offset - start), kChunk));
        }
        return response;
      }
      start += size;
    }
    return response;
  }

  int64_t TailOffset(const v1::ReadLogRequest& request) {
    std::string all;
    for (const Piece& piece : fake_.logs_[{request.id(), request.stream()}]) all += piece.data;
    int64_t lines = request.tail_lines();
    for (size_t i = all.size(); i > 0; --i) {
      if (i < all.size() && all[i - 1] == '\n' && --lines == 0) return static_cast<int64_t>(i);
    }
    return 0;
  }

  FakeServer& fake_;
};

class FakeServer::AdminService final : public v1::Admin::Service {
 public:
  explicit AdminService(FakeServer& fake) : fake_(fake) {}

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*,
                         v1::GetStatusResponse* response) override {
    *response = fake_.status;
    return grpc::Status::OK;
  }
  grpc::Status ListOrphans(grpc::ServerContext*, const v1::ListOrphansRequest*,
                           v1::ListOrphansResponse* response) override {
    *response = fake_.orphans;
    return grpc::Status::OK;
  }
  grpc::Status ReapOrphans(grpc::ServerContext*, const v1::ReapOrphansRequest* request,
                           v1::ReapOrphansResponse* response) override {
    fake_.reaped = *request;
    for (const v1::Orphan& orphan : fake_.orphans.orphans()) {
      v1::Orphan& out = *response->add_orphans();
      out = orphan;
      if (out.decision() == v1::Orphan::DUE && !request->dry_run()) {
        out.set_decision(v1::Orphan::DESTROYED);
      }
    }
    response->set_epoch(7);
    *response->mutable_errors() = fake_.orphans.errors();
    return grpc::Status::OK;
  }
  grpc::Status ListSandboxes(grpc::ServerContext*, const v1::ListSandboxesRequest*,
                             v1::ListSandboxesResponse* response) override {
    *response = fake_.sandboxes;
    return grpc::Status::OK;
  }
  grpc::Status ListProviders(grpc::ServerContext*, const v1::ListProvidersRequest*,
                             v1::ListProvidersResponse* response) override {
    *response = fake_.providers;
    return grpc::Status::OK;
  }
  grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest* request,
                     v1::DrainResponse* response) override {
    response->set_still_running(request->off() ? 0 : 2);
    return grpc::Status::OK;
  }
  grpc::Status Reload(grpc::ServerContext*, const v1::ReloadRequest*,
                      v1::ReloadResponse* response) override {
    response->add_changed("scheduling.max_running");
    response->add_needs_restart("server.listen");
    return grpc::Status::OK;
  }
  grpc::Status AbandonTask(grpc::ServerContext*, const v1::AbandonTaskRequest* request,
                           v1::AbandonTaskResponse* response) override {
    fake_.End(request->id(), v1::TASK_STATE_LOST, v1::REASON_SANDBOX_LOST);
    *response->mutable_task() = fake_.Find(request->id());
    return grpc::Status::OK;
  }

 private:
  FakeServer& fake_;
};

struct FakeServer::Running {
  std::unique_ptr<grpc::Server> server;
};

FakeServer::FakeServer()
    : path_(TemporarySocket()),
      executor_(std::make_unique<ExecutorService>(*this)),
      admin_(std::make_unique<AdminService>(*this)),
      running_(std::make_unique<Running>()) {
  Start();
}

FakeServer::~FakeServer() {
  Stop();
  ::unlink(path_.c_str());
  ::rmdir(path_.substr(0, path_.rfind('/')).c_str());
}

void FakeServer::Start() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
  builder.RegisterService(executor_.get());
  builder.RegisterService(admin_.get());
  running_->server = builder.BuildAndStart();
}

void FakeServer::Stop() {
  if (!running_->server) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  running_->server->Shutdown(std::chrono::system_clock::now());
  running_->server->Wait();
  running_->server.reset();
}

void FakeServer::AddTask(const v1::Task& task) {
  std::lock_guard lock(mutex_);
  tasks_.push_back(task);
}

void FakeServer::Print(const std::string& id, v1::ReadLogRequest::Stream stream,
                       const std::string& data) {
  std::lock_guard lock(mutex_);
  logs_[{id, stream}].push_back({data});
  changed_.notify_all();
}

void FakeServer::Drop(const std::string& id, v1::ReadLogRequest::Stream stream, int64_t bytes) {
  std::lock_guard lock(mutex_);
  logs_[{id, stream}].push_back({"", bytes});
  changed_.notify_all();
}

void FakeServer::End(const std::string& id, v1::TaskState state, v1::Reason reason, int exit_code) {
  std::lock_guard lock(mutex_);
  for (v1::Task& task : tasks_) {
    if (task.id() != id) continue;
    task.set_state(state);
    task.set_reason(reason);
    if (exit_code >= 0) task.set_exit_code(exit_code);
  }
  changed_.notify_all();
}

v1::Task FakeServer::Find(const std::string& id) {
  std::lock_guard lock(mutex_);
  for (const v1::Task& task : tasks_) {
    if (task.id() == id) return task;
  }
  return v1::Task();
}

void FakeServer::CutLogAfter(int64_t bytes) {
  std::lock_guard lock(mutex_);
  cut_log_after_ = bytes;
}

void FakeServer::ForgetBlobs() {
  std::lock_guard lock(mutex_);
  blobs_.clear();
}

std::map<std::string, std::string> FakeServer::blobs() {
  std::lock_guard lock(mutex_);
  return blobs_;
}

int FakeServer::blob_uploads() {
  std::lock_guard lock(mutex_);
  return blob_uploads_;
}

std::vector<v1::SubmitTasksRequest> FakeServer::submits() {
  std::lock_guard lock(mutex_);
  return submits_;
}

std::vector<v1::CancelTasksRequest> FakeServer::cancels() {
  std::lock_guard lock(mutex_);
  return cancels_;
}

std::vector<v1::ReadLogRequest> FakeServer::reads() {
  std::lock_guard lock(mutex_);
  return reads_;
}

}  // namespace boxkeeper::cli
