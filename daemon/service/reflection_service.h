// gRPC server reflection, so that grpcurl and its like work without the proto files.
#pragma once

#include <string>
#include <vector>

#include "daemon/service/call_host.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace boxkeeper::daemon {

// Our own and not libgrpc++_reflection's, which would start a pool of synchronous threads and ask
// for no token. Never touches the loop.
class ReflectionService final
    : public grpc::reflection::v1alpha::ServerReflection::CallbackService {
 public:
  // `services`: full names to list.
  ReflectionService(CallHost& host, std::vector<std::string> services)
      : host_(host), services_(std::move(services)) {}

  grpc::ServerBidiReactor<grpc::reflection::v1alpha::ServerReflectionRequest,
                          grpc::reflection::v1alpha::ServerReflectionResponse>*
  ServerReflectionInfo(grpc::CallbackServerContext* context) override;

 private:
  CallHost& host_;
  const std::vector<std::string> services_;
};

}  // namespace boxkeeper::daemon
