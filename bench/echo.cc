// The reference of admission: a plain gRPC callback server that takes the same requests, parses
// them as any server must, and answers one small result per item. Stores nothing. Prints its port,
// serves until its standard input ends.
#include <grpcpp/grpcpp.h>

#include <cstdio>

#include "boxkeeper/v1/executor.grpc.pb.h"

namespace boxkeeper::bench {
namespace {

class EchoService : public v1::Executor::CallbackService {
  grpc::ServerUnaryReactor* SubmitTasks(grpc::CallbackServerContext* context,
                                        const v1::SubmitTasksRequest* request,
                                        v1::SubmitTasksResponse* response) override {
    for (int i = 0; i < request->tasks_size(); ++i) {
      response->add_results()->set_outcome(v1::SubmitResult::ACCEPTED);
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int Serve() {
  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.SetMaxReceiveMessageSize(16 << 20);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return 1;
  std::printf("%d\n", port);
  std::fflush(stdout);
  while (std::getchar() != EOF) continue;
  server->Shutdown();
  return 0;
}

}  // namespace
}  // namespace boxkeeper::bench

int main() { return boxkeeper::bench::Serve(); }
