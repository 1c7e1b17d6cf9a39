// PutBlob over a real connection.
#include "daemon/service/blob_upload.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/hex.h"
#include "base/sha256.h"
#include "daemon/service/testing/service_test.h"

namespace boxkeeper::daemon {
namespace {

std::string NameOf(const std::string& content) { return base::HexEncode(base::Sha256(content)); }

class BlobUploadTest : public ServiceTest {
 protected:
  // What is said of it, then its pieces.
  grpc::Status Put(const std::string& name, int64_t size, const std::vector<std::string>& pieces,
                   v1::PutBlobResponse* response) {
    CallContext context;
    auto writer = executor_->PutBlob(&context, response);
    v1::PutBlobRequest request;
    request.set_sha256(name);
    request.set_size(size);
    bool going = writer->Write(request);
    for (const std::string& piece : pieces) {
      v1::PutBlobRequest next;
      next.set_data(piece);
      going = going && writer->Write(next);
    }
    if (going) writer->WritesDone();
    return writer->Finish();
  }
  grpc::Status Put(const std::string& name, int64_t size, const std::vector<std::string>& pieces) {
    v1::PutBlobResponse response;
    return Put(name, size, pieces, &response);
  }
  std::string ContentOf(const std::string& name) {
    std::string path;
    server_.OnLoop([&] { path = server_.blobs().PathOf(name); });
    std::ifstream in(path, std::ios::binary);
    std::stringstream content;
    content << in.rdbuf();
    return content.str();
  }
  int64_t Uploads() {
    int64_t uploads = 0;
    server_.OnLoop([&] { uploads = server_.blobs().status().uploads; });
    return uploads;
  }
};

TEST_F(BlobUploadTest, ABlobOfManyPiecesArrivesWhole) {
  Start();
  std::string content;
  std::vector<std::string> pieces;
  for (char c = 'a'; c < 'k'; ++c) {
    pieces.emplace_back(1'000'000, c);
    content += pieces.back();
  }
  v1::PutBlobResponse response;
  const grpc::Status status = Put(NameOf(content), 10'000'000, pieces, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(response.existed());
  EXPECT_GT(response.expires_at().seconds(), 0);
  EXPECT_EQ(ContentOf(NameOf(content)), content);
}

TEST_F(BlobUploadTest, WhatIsHereIsAnsweredAtOnce) {
  Start();
  ASSERT_TRUE(Put(NameOf("x"), 1, {"x"}).ok());
  v1::PutBlobResponse response;
  CallContext context;
  auto writer = executor_->PutBlob(&context, &response);
  v1::PutBlobRequest request;
  request.set_sha256(NameOf("x"));
  request.set_size(1);
  ASSERT_TRUE(writer->Write(request));
  // Without WritesDone: the client has not said that it is finished.
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_TRUE(response.existed());
}

TEST_F(BlobUploadTest, MistakesAreNamed) {
  Start();
  EXPECT_EQ(ReasonOf(Put("", 1, {"x"})), "INVALID_REQUEST");
  EXPECT_EQ(ReasonOf(Put(std::string(64, 'A'), 1, {"x"})), "INVALID_REQUEST");
  EXPECT_EQ(ReasonOf(Put(NameOf("x"), -1, {"x"})), "INVALID_REQUEST");
  EXPECT_EQ(ReasonOf(Put(NameOf("x"), 1, {std::string(kBlobPieceBytesMax + 1, 'x')})),
            "INVALID_REQUEST");
  EXPECT_EQ(ReasonOf(Put(NameOf("x"), 1, {"y"})), "BLOB_MISMATCH");
  EXPECT_EQ(ReasonOf(Put(NameOf("xy"), 2, {"x"})), "BLOB_MISMATCH");
  const grpc::Status large = Put(NameOf("x"), int64_t{1} << 40, {});
  EXPECT_EQ(ReasonOf(large), "BLOB_MISMATCH");
  EXPECT_NE(large.error_message().find("67108864 are allowed"), std::string::npos);
  EXPECT_EQ(Uploads(), 0);
  // The stream ends before anything was said.
  v1::PutBlobResponse response;
  CallContext context;
  auto writer = executor_->PutBlob(&context, &response);
  writer->WritesDone();
  EXPECT_EQ(ReasonOf(writer->Finish()), "INVALID_REQUEST");
}

TEST_F(BlobUploadTest, AClientThatGoesAwayLeavesNothing) {
  Start();
  const std::string content(2'000'000, 'x');
  {
    v1::PutBlobResponse response;
    CallContext context;
    auto writer = executor_->PutBlob(&context, &response);
    v1::PutBlobRequest request;
    request.set_sha256(NameOf(content));
    request.set_size(2'000'000);
    request.set_data(content.substr(0, 1'000'000));
    ASSERT_TRUE(writer->Write(request));
    ASSERT_TRUE(TestServer::Eventually([this] { return Uploads() == 1; }));
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(TestServer::Eventually([this] { return Uploads() == 0; }));
  EXPECT_TRUE(Put(NameOf(content), 2'000'000, {content}).ok());
}

TEST_F(BlobUploadTest, AnUploadEndsWithTheServer) {
  Start();
  v1::PutBlobResponse response;
  CallContext context;
  auto writer = executor_->PutBlob(&context, &response);
  v1::PutBlobRequest request;
  request.set_sha256(NameOf("xy"));
  request.set_size(2);
  request.set_data("x");
  ASSERT_TRUE(writer->Write(request));
  ASSERT_TRUE(TestServer::Eventually([this] { return Uploads() == 1; }));
  server_.server().StopServing();
  EXPECT_EQ(ReasonOf(Put(NameOf("z"), 1, {"z"})), "SHUTTING_DOWN");
  server_.OnLoop([this] { server_.server().EndCalls(); });
  server_.server().Shutdown(std::chrono::milliseconds(100));
  EXPECT_FALSE(writer->Finish().ok());
  EXPECT_TRUE(TestServer::Eventually([this] { return Uploads() == 0; }));
}

}  // namespace
}  // namespace boxkeeper::daemon
