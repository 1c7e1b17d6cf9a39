// Access tokens for Google's APIs, fetched before they are needed.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/http/client.h"
#include "base/rng.h"
#include "base/secret_string.h"
#include "base/slots.h"
#include "logs/gcs/credentials.h"
#include "logs/remote/retry.h"
#include "logs/remote/server_clock.h"

namespace boxkeeper::logs::gcs {

// On the loop's thread. A token is replaced five minutes before it expires, by one request however
// many wait for it; while that fails, the old one is used until its end. Credentials are read anew
// for each, so a replaced key file is in force within the hour, or when the server refuses a token.
class TokenSource {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    boost::asio::any_io_executor loop;
    boost::asio::any_io_executor pool;
  };
  TokenSource(Deps deps, Settings settings, remote::Environment environment,
              remote::RetryOptions retry);

  // Null: requests go without one. kUnauthenticated says what to fix.
  boost::asio::awaitable<absl::StatusOr<std::shared_ptr<const base::SecretString>>> Get();
  // The server does not accept it: the next Get fetches another one.
  void Refused(const std::shared_ptr<const base::SecretString>& token);

 private:
  bool IsFresh() const;
  boost::asio::awaitable<absl::Status> Refresh();
  boost::asio::awaitable<absl::Status> FetchOnce();
  boost::asio::awaitable<absl::StatusOr<base::http::Reply>> Ask(const Credentials& credentials);
  absl::Status Take(const base::http::Reply& reply);
  absl::Status ErrorOf(const base::http::Reply& reply, bool clock_changed) const;

  const Deps deps_;
  const Settings settings_;
  const remote::Environment environment_;
  const remote::RetryOptions retry_;
  base::Slots one_at_a_time_;
  remote::ServerClock server_clock_;
  std::string source_;  // of the credentials, for messages
  bool anonymous_ = false;
  std::shared_ptr<const base::SecretString> token_;
  base::BootTime refresh_at_, expires_at_;
};

}  // namespace boxkeeper::logs::gcs
