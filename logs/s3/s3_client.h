// Signed calls to one bucket, with what can go wrong on the way taken care of.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/http/client.h"
#include "base/rng.h"
#include "logs/remote/encode.h"
#include "logs/remote/environment.h"
#include "logs/remote/retry.h"
#include "logs/remote/server_clock.h"
#include "logs/remote/store_url.h"
#include "logs/s3/credential_keeper.h"
#include "logs/s3/location.h"

namespace boxkeeper::logs::s3 {

// A call about one object, or about the bucket if `key` is empty.
struct Call {
  std::string method = "GET";
  std::string key = {};  // whole: with the prefix
  remote::Query query = {};
  base::http::Headers headers = {};
  std::shared_ptr<const std::string> body = nullptr;  // null: none
  std::string body_sha256 = {};                       // 32 bytes; of `body`
  std::string body_md5 = {};  // 16 bytes: sent as Content-MD5; "" = not sent
  size_t reply_bytes_max = 1 << 20;
  // The storage may send "200 OK" first and then an error as the body.
  bool may_fail_late = false;
  // Looks at a reply that seems a success: it may be cut, or what was stored may be wrong.
  // kUnavailable is tried again. Null: nothing to look at.
  std::function<absl::Status(const base::http::Reply&)> check = nullptr;
};

// On the loop; many calls at a time.
class S3Client {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    boost::asio::any_io_executor loop;
    remote::Environment environment;  // AWS_CA_BUNDLE
  };
  struct Options {
    remote::StoreUrl url;
    Location location;
    std::string region;
    remote::RetryOptions retries;
  };
  static absl::StatusOr<std::unique_ptr<S3Client>> Create(
      Deps deps, Options options, std::unique_ptr<CredentialKeeper> credentials);

  // A reply with a status of 200 to 299. What may pass is tried again a few times: busy servers,
  // cut connections, expired credentials (once renewed), a clock that is off (the server's is
  // learned). A call may so take effect twice. Errors: ErrorOf of s3_errors.h; where there was no
  // answer kUnavailable, kDeadlineExceeded, kPermissionDenied (certificate); those of the
  // credentials.
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> Send(Call call);

  // "s3: PUT s3://bucket/key", for messages.
  std::string Describe(const Call& call) const;
  // Our clock, corrected by what the server said.
  absl::Time Now() const { return server_clock_.Now(); }
  base::Clock& clock() { return deps_.clock; }
  base::Rng& rng() { return deps_.rng; }

 private:
  S3Client(Deps deps, Options options, std::unique_ptr<CredentialKeeper> credentials,
           std::unique_ptr<base::http::Client> http);

  base::http::Request Sign(const Call& call, const Credentials& credentials) const;
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> SendOnce(const Call& call);
  boost::asio::awaitable<absl::Status> ErrorOfReply(const Call& call, base::http::Reply reply,
                                                    Credentials credentials,
                                                    absl::Duration clock_offset);

  const Deps deps_;
  const Options options_;
  std::unique_ptr<CredentialKeeper> credentials_;
  std::unique_ptr<base::http::Client> http_;
  remote::ServerClock server_clock_;
};

}  // namespace boxkeeper::logs::s3
