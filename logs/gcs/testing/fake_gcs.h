// A small JSON API of Google Cloud Storage in memory, behind a FakeHttpServer: one bucket, tokens,
// and faults on demand. (tests/harness/fake_gcs.py is the strict one.)
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/http/testing/fake_http_server.h"

namespace boxkeeper::logs::gcs {

class FakeGcs {
 public:
  explicit FakeGcs(boost::asio::io_context& loop);

  std::string url() const { return server_.url(); }
  const std::vector<base::http::ReceivedRequest>& requests() const { return server_.requests(); }
  // Requests whose "METHOD target" contains `part`.
  int Count(const std::string& part) const;

  struct Object {
    std::string content;
    int generation = 0;
    std::string updated = "2026-11-21T12:00:00.000Z";
  };
  std::map<std::string, Object> objects;
  std::map<std::string, std::string> uploads;  // content so far, by session
  int tokens = 0;                              // given out; the last one is "token-<tokens>"
  // Answers instead of the service; nullopt: the service does.
  std::function<std::optional<base::http::Answer>(const base::http::ReceivedRequest&)> before;
  // Changes the answer, e.g. loses it.
  std::function<void(const base::http::ReceivedRequest&, base::http::Answer&)> after;
  std::string date;  // of all answers; "" = none

  base::http::Answer Error(int status, const std::string& reason, const std::string& message);
  base::http::Answer Make(int status, const std::string& headers, const std::string& body);

 private:
  base::http::Answer Serve(const base::http::ReceivedRequest& request);
  base::http::Answer Upload(const base::http::ReceivedRequest& request);
  base::http::Answer Resume(const base::http::ReceivedRequest& request);
  base::http::Answer Compose(const std::string& name, const base::http::ReceivedRequest& request);
  base::http::Answer Get(const std::string& name, const base::http::ReceivedRequest& request);
  base::http::Answer List(const base::http::ReceivedRequest& request);
  base::http::Answer Store(const std::string& name, const std::string& content);
  std::string Describe(const std::string& name) const;

  int generation_ = 0;
  base::http::FakeHttpServer server_;
};

// The value of a header field; "" if it is not there. Of a parameter of the query; "" too.
std::string HeaderIn(const base::http::ReceivedRequest& request, const std::string& name);
std::string ParameterIn(const base::http::ReceivedRequest& request, const std::string& name);

}  // namespace boxkeeper::logs::gcs
