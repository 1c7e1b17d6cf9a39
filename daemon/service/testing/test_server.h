// A real gRPC server on a fake TaskApi, with a loop thread and a folder of its own.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "blobs/blob_store.h"
#include "daemon/service/grpc_server.h"
#include "daemon/service/testing/fake_task_api.h"

namespace boxkeeper::daemon {

// A submission id of form 00000000-0000-0000-0000-0000000000NN.
std::string SubmissionUuid(int number);

class TestServer {
 public:
  TestServer();
  // Shuts the server down as main does, and removes the folder.
  ~TestServer();

  // Starts, serving, on the unix socket and on `options.listen`. Once.
  absl::Status Start(GrpcServerOptions options = {});

  // Runs `run` on the loop and waits for it.
  void OnLoop(std::function<void()> run);
  // Polls `reached` until it is true; false after 20 s.
  static bool Eventually(const std::function<bool()>& reached);
  // Writes a file into the folder; returns its path.
  std::string WriteFile(const std::string& name, const std::string& text);

  // To the unix socket.
  std::shared_ptr<grpc::Channel> Channel() const;
  // To the TCP listener.
  std::shared_ptr<grpc::Channel> TcpChannel(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials) const;

  std::string socket_path() const { return folder_ + "/grpc.sock"; }
  GrpcServer& server() { return *server_; }
  FakeTaskApi& api() { return api_; }
  Metrics& metrics() { return metrics_; }
  // Of the loop; its files are in the folder.
  blobs::BlobStore& blobs() { return *blobs_; }
  boost::asio::io_context& loop() { return loop_; }

 private:
  const std::string folder_;
  std::unique_ptr<base::Clock> clock_;
  Metrics metrics_;
  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  FakeTaskApi api_;
  boost::asio::thread_pool pool_{1};
  std::unique_ptr<base::Rng> rng_;
  std::unique_ptr<base::FileSystem> files_;
  std::unique_ptr<blobs::BlobStore> blobs_;
  std::unique_ptr<GrpcServer> server_;
  std::thread thread_;
};

}  // namespace boxkeeper::daemon
