#include "daemon/service/submit_call.h"

#include <utility>

#include "daemon/service/grpc_status.h"
#include "daemon/service/request_checks.h"

namespace boxkeeper::daemon {
namespace {

v1::SubmitTasksResponse OutcomesOf(std::vector<PreparedTask> items) {
  v1::SubmitTasksResponse response;
  for (PreparedTask& item : items) {
    v1::SubmitResult* result = response.add_results();
    if (item.violations.empty()) {
      result->set_outcome(v1::SubmitResult::ACCEPTED);
      result->mutable_spec()->Swap(item.record.mutable_spec());
      continue;
    }
    result->set_outcome(v1::SubmitResult::REJECTED);
    for (const providers::FieldViolation& violation : item.violations) {
      auto* field = result->add_violations();
      field->set_field(violation.field);
      field->set_description(violation.description);
    }
  }
  return response;
}

// Owns itself until OnDone. A client that goes away changes nothing: what was accepted stays
// accepted.
class SubmitCall final : public grpc::ServerUnaryReactor {
 public:
  SubmitCall(CallHost& host, TaskApi& api, int64_t bytes, std::vector<PreparedTask> items,
             v1::SubmitTasksResponse* response)
      : host_(host), api_(api), bytes_(bytes), items_(std::move(items)), response_(response) {}

  void Start() {
    if (!host_.bridge.ToLoop([this] { Run(); })) Finish(ToGrpcStatus(ServerBusy()));
  }

  void OnDone() override {
    host_.bridge.Release(bytes_);
    delete this;
  }

 private:
  void Run() {
    if (host_.state.load(std::memory_order_acquire) == ServingState::kStopping) {
      return Answer(ShuttingDown());
    }
    api_.Submit(std::move(items_), [this](absl::StatusOr<v1::SubmitTasksResponse> result) {
      const absl::Status status = result.status();
      if (status.ok()) *response_ = *std::move(result);
      Answer(status);
    });
  }

  void Answer(const absl::Status& status) {
    if (status.ok()) {
      host_.bridge.OffLoop([this] { Finish(grpc::Status::OK); });
    } else {
      host_.bridge.OffLoop([this, status] { Finish(ToGrpcStatus(status)); });
    }
  }

  CallHost& host_;
  TaskApi& api_;
  const int64_t bytes_;
  std::vector<PreparedTask> items_;
  v1::SubmitTasksResponse* const response_;
};

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context,
                                    const absl::Status& status) {
  auto* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* ServeSubmit(CallHost& host, TaskApi& api, const PrepareFunction& prepare,
                                      grpc::CallbackServerContext* context,
                                      const v1::SubmitTasksRequest* request,
                                      v1::SubmitTasksResponse* response) {
  absl::Status refused = host.Admit(*context);
  if (refused.ok() && host.state.load(std::memory_order_acquire) == ServingState::kStopping) {
    refused = ShuttingDown();
  }
  if (refused.ok()) refused = CheckRequest(*request);
  if (!refused.ok()) return FinishNow(context, refused);

  const auto bytes = static_cast<int64_t>(request->ByteSizeLong());
  if (!host.bridge.Reserve(bytes)) return FinishNow(context, ServerBusy());
  std::vector<PreparedTask> items;
  items.reserve(static_cast<size_t>(request->tasks_size()));
  for (const v1::TaskSpec& item : request->tasks()) items.push_back(prepare(item));
  if (request->validate_only()) {
    *response = OutcomesOf(std::move(items));
    host.bridge.Release(bytes);
    return FinishNow(context, absl::OkStatus());
  }
  auto* call = new SubmitCall(host, api, bytes, std::move(items), response);
  call->Start();
  return call;
}

}  // namespace boxkeeper::daemon
