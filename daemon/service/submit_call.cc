#include "daemon/service/submit_call.h"

#include <google/protobuf/arena.h>

#include <utility>

#include "absl/status/statusor.h"
#include "daemon/service/grpc_status.h"
#include "daemon/service/request_checks.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {
namespace {

v1::SubmitTasksResponse OutcomesOf(const v1::SubmitTasksRequest& request,
                                   const PrepareFunction& prepare) {
  v1::SubmitTasksResponse response;
  for (const v1::TaskSpec& spec : request.tasks()) {
    PreparedTask item = prepare(spec);
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
  SubmitCall(CallHost& host, TaskApi& api, int64_t bytes, std::vector<PackedTask> items,
             grpc::ByteBuffer* wire_response)
      : host_(host),
        api_(api),
        bytes_(bytes),
        items_(std::move(items)),
        wire_response_(wire_response) {}

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
      if (status.ok()) response_ = *std::move(result);
      Answer(status);
    });
  }

  void Answer(const absl::Status& status) {
    if (status.ok()) {
      host_.bridge.OffLoop([this] { Finish(SerializeResponse(response_, *wire_response_)); });
    } else {
      host_.bridge.OffLoop([this, status] { Finish(ToGrpcStatus(status)); });
    }
  }

  CallHost& host_;
  TaskApi& api_;
  const int64_t bytes_;
  std::vector<PackedTask> items_;
  v1::SubmitTasksResponse response_;
  grpc::ByteBuffer* const wire_response_;
};

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context,
                                    const grpc::Status& status) {
  auto* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

absl::Status Parse(const grpc::ByteBuffer& wire, v1::SubmitTasksRequest& request) {
  absl::Status refused = CheckBatchBytes(wire.Length());
  return refused.ok() ? ParseRequest(wire, request) : refused;
}

// Where a request stands while it is read: most fit, and need no memory of their own.
struct Scratch {
  alignas(8) char bytes[8192];
  google::protobuf::ArenaOptions Options() {
    google::protobuf::ArenaOptions options;
    options.initial_block = bytes;
    options.initial_block_size = sizeof(bytes);
    return options;
  }
};

}  // namespace

grpc::ServerUnaryReactor* ServeSubmit(CallHost& host, TaskApi& api, const PrepareFunction& prepare,
                                      grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  absl::Status refused = host.Admit(*context);
  if (refused.ok() && host.state.load(std::memory_order_acquire) == ServingState::kStopping) {
    refused = ShuttingDown();
  }
  if (!refused.ok()) return FinishNow(context, ToGrpcStatus(refused));

  const auto bytes = static_cast<int64_t>(request->Length());
  if (!host.bridge.Reserve(bytes)) return FinishNow(context, ToGrpcStatus(ServerBusy()));
  Scratch scratch;
  google::protobuf::Arena arena(scratch.Options());
  auto& parsed = *google::protobuf::Arena::CreateMessage<v1::SubmitTasksRequest>(&arena);
  refused = Parse(*request, parsed);
  if (!refused.ok()) {
    host.bridge.Release(bytes);
    return FinishNow(context, ToGrpcStatus(refused));
  }
  if (parsed.validate_only()) {
    const grpc::Status told = SerializeResponse(OutcomesOf(parsed, prepare), *response);
    host.bridge.Release(bytes);
    return FinishNow(context, told);
  }
  std::vector<PackedTask> items;
  items.reserve(static_cast<size_t>(parsed.tasks_size()));
  for (const v1::TaskSpec& item : parsed.tasks()) items.push_back(Pack(prepare(item)));
  auto* call = new SubmitCall(host, api, bytes, std::move(items), response);
  call->Start();
  return call;
}

}  // namespace boxkeeper::daemon
