#include "daemon/service/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "daemon/service/grpc_status.h"

namespace boxkeeper::daemon {
namespace {

namespace reflection = grpc::reflection::v1alpha;
using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using Request = reflection::ServerReflectionRequest;
using Response = reflection::ServerReflectionResponse;

void Fail(Response& response, grpc::StatusCode code, const std::string& message) {
  response.mutable_error_response()->set_error_code(code);
  response.mutable_error_response()->set_error_message(message);
}

// `file` and all it imports, each once.
void AddFile(const FileDescriptor* file, std::set<std::string>& seen,
             reflection::FileDescriptorResponse& response) {
  if (!seen.insert(file->name()).second) return;
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  response.add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i), seen, response);
}

void AnswerFile(const FileDescriptor* file, Response& response) {
  if (file == nullptr) return Fail(response, grpc::StatusCode::NOT_FOUND, "not known here");
  std::set<std::string> seen;
  AddFile(file, seen, *response.mutable_file_descriptor_response());
}

Response AnswerTo(const Request& request, const std::vector<std::string>& services) {
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  const DescriptorPool* pool = DescriptorPool::generated_pool();
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      AnswerFile(pool->FindFileByName(request.file_by_filename()), response);
      break;
    case Request::kFileContainingSymbol:
      AnswerFile(pool->FindFileContainingSymbol(request.file_containing_symbol()), response);
      break;
    case Request::kListServices:
      for (const std::string& service : services) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case Request::kFileContainingExtension:
    case Request::kAllExtensionNumbersOfType:
      Fail(response, grpc::StatusCode::NOT_FOUND, "proto3: there are no extensions");
      break;
    case Request::MESSAGE_REQUEST_NOT_SET:
      Fail(response, grpc::StatusCode::INVALID_ARGUMENT, "an empty request");
  }
  return response;
}

// Owns itself until OnDone. One read or one write at a time.
class Session final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  Session(const absl::Status& refused, const std::vector<std::string>& services)
      : services_(services) {
    if (refused.ok()) {
      StartRead(&request_);
    } else {
      Finish(ToGrpcStatus(refused));
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    response_ = AnswerTo(request_, services_);
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  const std::vector<std::string>& services_;
  Request request_;
  Response response_;
};

}  // namespace

grpc::ServerBidiReactor<Request, Response>* ReflectionService::ServerReflectionInfo(
    grpc::CallbackServerContext* context) {
  return new Session(host_.Authenticate(*context).status(), services_);
}

}  // namespace boxkeeper::daemon
