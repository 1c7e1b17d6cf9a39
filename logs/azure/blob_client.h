// Requests to one container of Azure Blob Storage: signed, tried again, with their errors
// understood.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/http/client.h"
#include "base/rng.h"
#include "logs/azure/credentials.h"
#include "logs/remote/encode.h"
#include "logs/remote/errors.h"
#include "logs/remote/retry.h"
#include "logs/remote/server_clock.h"

namespace boxkeeper::logs::azure {

struct BlobRequest {
  std::string method = "GET";
  std::string blob = {};  // its whole name; "" = the container itself
  remote::Query query = {};
  base::http::Headers headers = {};
  std::string body = {};  // its MD5 is sent with it
  // Judges an answer below 300; what it refuses as kUnavailable is asked for again.
  std::function<absl::Status(const base::http::Reply&)> check = {};
};

// The word that Azure has for what went wrong ("BlobNotFound"); "" for errors of other origin.
std::string ErrorCodeOf(const absl::Status& status);

// On the loop's thread.
class BlobClient {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    std::unique_ptr<base::http::Client> http;  // of the account's endpoint
    std::unique_ptr<CredentialSource> credentials;
    remote::RetryOptions retry = {};
  };
  BlobClient(Deps deps, Account account, std::string container);

  // The answer of a status below 300. `what` stands in front of an error: "logs/a/stdout: append".
  // Errors as remote::CodeOfHttp says, but for: kInvalidArgument where the container is missing,
  // kUnauthenticated where the signature is not accepted; both say what to fix. An error after
  // which nobody knows whether the request took effect is tried again: callers make requests that
  // can be repeated.
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> Call(std::string what,
                                                                 BlobRequest request,
                                                                 size_t reply_bytes_max);

  // The blob's URL as Copy Blob wants to have its source named. Has the SAS in it: a secret.
  boost::asio::awaitable<absl::StatusOr<base::SecretString>> SourceUrl(std::string blob);

  base::Clock& clock() { return deps_.clock; }
  const remote::ServerClock& server_clock() const { return server_clock_; }
  const std::string& container() const { return container_; }
  const Account& account() const { return account_; }

 private:
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> Once(const std::string& what,
                                                                 const BlobRequest& request,
                                                                 size_t reply_bytes_max);
  base::http::Request Sign(const BlobRequest& request, const Credential& credential) const;
  // What an operator can do; "" if it is nobody's fault.
  std::string FixFor(absl::StatusCode code, const std::string& azure_code) const;
  absl::Status ErrorOf(const std::string& what, const base::http::Reply& reply);

  const Deps deps_;
  const Account account_;
  const std::string container_;
  remote::ServerClock server_clock_;
};

}  // namespace boxkeeper::logs::azure
