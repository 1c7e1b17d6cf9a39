#include "daemon/service/testing/test_server.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "base/check.h"
#include "base/real_clock.h"
#include "daemon/service/unary_call.h"

namespace boxkeeper::daemon {
namespace {

std::string MakeFolder() {
  std::string path = "/tmp/bk-service-XXXXXX";  // short: a socket's path has at most 107 bytes
  CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

// Takes items whose submission_id is a UUID; everything else is a violation.
PreparedTask PrepareForTest(const v1::TaskSpec& item) {
  PreparedTask prepared;
  const auto id = base::Id128::ParseUuid(item.submission_id());
  if (!id.has_value()) {
    prepared.violations.push_back({"submission_id", "not a UUID"});
    return prepared;
  }
  prepared.submission_id.id = *id;
  prepared.key = item.key().name();
  prepared.record.mutable_spec()->set_profile("merged");
  return prepared;
}

}  // namespace

std::string SubmissionUuid(int number) {
  char text[37];
  std::snprintf(text, sizeof(text), "00000000-0000-0000-0000-%012d", number);
  return text;
}

TestServer::TestServer()
    : folder_(MakeFolder()),
      clock_(base::MakeRealClock()),
      work_(boost::asio::make_work_guard(loop_)),
      api_(*clock_),
      rng_(base::MakeSystemRng()),
      files_(base::MakeRealFileSystem()),
      blobs_(std::make_unique<blobs::BlobStore>(
          blobs::BlobStore::Deps{*clock_, *rng_, *files_, pool_.get_executor()}, folder_ + "/blobs",
          blobs::BlobLimits{100 << 20, 64 << 20, std::chrono::hours(1)})),
      thread_([this] { loop_.run(); }) {}

TestServer::~TestServer() {
  if (server_ != nullptr) {
    server_->StopServing();
    OnLoop([this] { server_->EndCalls(); });
    server_->Shutdown(std::chrono::seconds(5));
    server_.reset();
  }
  pool_.join();
  work_.reset();
  loop_.stop();
  thread_.join();
  std::filesystem::remove_all(folder_);
}

absl::Status TestServer::Start(GrpcServerOptions options) {
  options.listen.insert(options.listen.begin(), "unix:" + socket_path());
  GrpcServerDeps deps{loop_,
                      *clock_,
                      metrics_,
                      api_,
                      PrepareForTest,
                      [] {
                        v1::ReloadResponse response;
                        response.add_changed("log.level");
                        return Ready<v1::ReloadResponse>(std::move(response));
                      },
                      blobs_.get()};
  if (absl::Status opened = blobs_->Open(); !opened.ok()) return opened;
  auto server = GrpcServer::Start(std::move(deps), std::move(options));
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  server_->SetServing();
  return absl::OkStatus();
}

void TestServer::OnLoop(std::function<void()> run) {
  std::promise<void> done;
  boost::asio::post(loop_, [&] {
    run();
    done.set_value();
  });
  done.get_future().wait();
}

bool TestServer::Eventually(const std::function<bool()>& reached) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!reached()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string TestServer::WriteFile(const std::string& name, const std::string& text) {
  const std::string path = folder_ + "/" + name;
  std::ofstream(path, std::ios::trunc | std::ios::binary) << text;
  return path;
}

std::shared_ptr<grpc::Channel> TestServer::Channel() const {
  return grpc::CreateChannel("unix:" + socket_path(), grpc::InsecureChannelCredentials());
}

std::shared_ptr<grpc::Channel> TestServer::TcpChannel(
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) const {
  std::string address = server_->addresses().at(1);
  address.replace(0, address.rfind(':'), "127.0.0.1");
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

}  // namespace boxkeeper::daemon
