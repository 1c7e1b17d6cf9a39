// A small Blob service in memory, behind a FakeHttpServer: one container, and faults on demand.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/http/testing/fake_http_server.h"

namespace boxkeeper::logs::azure {

struct FakeBlob {
  std::string content;
  bool is_append_blob = false;
  int blocks = 0;
  std::string modified = "Sat, 21 Nov 2026 12:00:00 GMT";
};

class FakeBlobs {
 public:
  explicit FakeBlobs(boost::asio::io_context& loop);

  // "http://127.0.0.1:PORT".
  std::string url() const { return server_.url(); }
  const std::vector<base::http::ReceivedRequest>& requests() const { return server_.requests(); }

  std::map<std::string, FakeBlob> blobs;
  // Blocks that an append blob takes.
  int blocks_max = 50'000;
  // A copy is pending for that many looks at it.
  int copy_polls = 0;
  // Answers instead of the service; nullopt: the service does.
  std::function<std::optional<base::http::Answer>(const base::http::ReceivedRequest&)> before;
  // Changes the answer, e.g. loses it.
  std::function<void(const base::http::ReceivedRequest&, base::http::Answer&)> after;
  // The Date of all answers; "" = none.
  std::string date;

  base::http::Answer Error(int status, const std::string& code, const std::string& headers = "");

 private:
  base::http::Answer Serve(const base::http::ReceivedRequest& request);
  base::http::Answer Put(const std::string& name, const std::string& query,
                         const base::http::ReceivedRequest& request);
  base::http::Answer Append(FakeBlob& blob, const base::http::ReceivedRequest& request);
  base::http::Answer Get(const std::string& name, const base::http::ReceivedRequest& request);
  base::http::Answer List(const std::string& query);
  base::http::Answer Make(int status, const std::string& headers, const std::string& body = "");

  std::map<std::string, std::string> blocks_;  // uncommitted, by id
  base::http::FakeHttpServer server_;
};

// The value of a header field in ReceivedRequest::head; "" if it is not there.
std::string HeaderIn(const base::http::ReceivedRequest& request, const std::string& name);

}  // namespace boxkeeper::logs::azure
