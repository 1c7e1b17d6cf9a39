// Keys of AWS and its likes, and where they come from.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/secret_string.h"

namespace boxkeeper::logs::s3 {

// Cheap to copy. The secret parts have no way into a message.
struct Credentials {
  std::string access_key_id;
  std::shared_ptr<const base::SecretString> secret_key;
  std::shared_ptr<const base::SecretString> session_token;  // null: none
  absl::Time expires = absl::InfiniteFuture();
  std::string source;  // for messages: "the profile 'prod'"
};

inline std::shared_ptr<const base::SecretString> ShareSecret(std::string_view value) {
  return std::make_shared<const base::SecretString>(value);
}

// One place where credentials may be. On the loop.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // kNotFound: there are none here, ask the next place. kUnavailable and kDeadlineExceeded: worth a
  // retry. Others need an operator; messages say where and what, never a value.
  virtual boost::asio::awaitable<absl::StatusOr<Credentials>> Fetch() = 0;
};

}  // namespace boxkeeper::logs::s3
