// One small request to a service that hands out credentials.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "base/http/client.h"
#include "logs/s3/remote_credentials.h"

namespace boxkeeper::logs::s3 {

struct MetadataCall {
  std::string what;  // for messages
  std::string url;   // http://HOST[:PORT], without path
  base::http::Request request;
  // The service lives at a link-local address.
  bool allow_link_local = false;
  std::chrono::milliseconds connect_timeout{1'000};
  std::chrono::milliseconds answer_timeout{5'000};
};

// The reply to a call that may be repeated, with a few retries: status 200 to 299, 404 or 400 to
// 499 as they are, everything else an error.
boost::asio::awaitable<absl::StatusOr<base::http::Reply>> CallMetadata(const RemoteDeps& deps,
                                                                       MetadataCall call);

}  // namespace boxkeeper::logs::s3
