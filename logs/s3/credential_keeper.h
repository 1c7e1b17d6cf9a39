// Credentials at hand: fetched when needed, renewed before they expire.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/wait_list.h"
#include "logs/s3/credentials.h"

namespace boxkeeper::logs::s3 {

// On the loop. Sources are asked in their order, the first that has credentials wins; one fetch at
// a time, however many wait for it. `now` of Get is the server's time where that is known. `clock`
// outlives it.
class CredentialKeeper {
 public:
  CredentialKeeper(base::Clock& clock, std::vector<std::unique_ptr<CredentialSource>> sources);

  // Good for some minutes more, or for as long as they last if newer ones cannot be had.
  // kFailedPrecondition: there are none anywhere, with the places that were looked at; else the
  // source's error.
  boost::asio::awaitable<absl::StatusOr<Credentials>> Get();

  // After a server refused `refused`: true if other ones are at hand now.
  boost::asio::awaitable<bool> Renew(Credentials refused);

 private:
  class Flight;

  bool IsGood(base::BootClock::duration margin) const;
  boost::asio::awaitable<absl::Status> FetchOnce();
  boost::asio::awaitable<absl::StatusOr<Credentials>> AskSources();

  base::Clock& clock_;
  std::vector<std::unique_ptr<CredentialSource>> sources_;
  std::optional<Credentials> current_;
  base::BootTime fetched_ = base::BootTime::min();  // when the last fetch ended
  bool fetching_ = false;
  base::WaitList changed_;
};

}  // namespace boxkeeper::logs::s3
