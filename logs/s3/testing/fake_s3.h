// A small S3 in memory, behind a FakeHttpServer: one bucket, signatures and checksums verified, and
// faults on demand.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/http/testing/fake_http_server.h"

namespace boxkeeper::logs::s3 {

class FakeS3 {
 public:
  struct Key {
    std::string secret;
    std::string token = {};  // that must come with it
    bool expired = false;
  };
  struct Object {
    std::string content;
    std::string mark;  // x-amz-meta-boxkeeper-upload
  };
  struct PendingUpload {
    std::string key;
    std::string mark;
    std::string began;  // RFC 3339
    std::map<int, std::string> parts;
  };

  explicit FakeS3(boost::asio::io_context& loop);

  std::string url() const { return server_.url(); }
  const std::vector<base::http::ReceivedRequest>& requests() const { return server_.requests(); }
  // How many requests begin with `start`: "PUT /logs/a".
  int Count(const std::string& start) const;

  std::map<std::string, Key> keys = {{"AKID", {"sesame"}}};
  std::map<std::string, Object> objects;
  std::map<std::string, PendingUpload> uploads;  // by id
  // The server's clock; requests further than 15 minutes from it are refused.
  std::function<absl::Time()> now;
  std::string region = "us-east-1";
  size_t page = 1000;  // of lists
  // Answers instead of the service; nullopt: the service does.
  std::function<std::optional<base::http::Answer>(const base::http::ReceivedRequest&)> before;
  // Changes the answer, e.g. loses it.
  std::function<void(const base::http::ReceivedRequest&, base::http::Answer&)> after;

  base::http::Answer Error(int status, const std::string& code, const std::string& more = "",
                           const std::string& headers = "") const;

 private:
  struct Request;
  std::optional<base::http::Answer> Refusal(const Request& request) const;
  base::http::Answer Serve(const Request& request);
  base::http::Answer OfBucket(const Request& request);
  base::http::Answer OfUpload(const Request& request);
  base::http::Answer Complete(const Request& request);
  base::http::Answer Get(const Request& request);
  base::http::Answer Make(int status, const std::string& headers,
                          const std::string& body = "") const;

  int next_upload_ = 1;
  base::http::FakeHttpServer server_;
};

// The value of a header field; "" if it is not there.
std::string HeaderIn(const base::http::ReceivedRequest& request, const std::string& name);

}  // namespace boxkeeper::logs::s3
