#include "logs/s3/credential_keeper.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

// New ones are fetched so long before the old ones expire.
constexpr minutes kRenewBefore{5};
// Between fetches while there are credentials that still work.
constexpr seconds kPause{10};

bool SameText(const std::shared_ptr<const base::SecretString>& a,
              const std::shared_ptr<const base::SecretString>& b) {
  if (a == nullptr || b == nullptr) return a == b;
  return a->view() == b->view();
}

bool Same(const Credentials& a, const Credentials& b) {
  return a.access_key_id == b.access_key_id && SameText(a.secret_key, b.secret_key) &&
         SameText(a.session_token, b.session_token);
}

}  // namespace

// Lets the next one fetch however this one ends, also when it is cancelled.
class CredentialKeeper::Flight {
 public:
  explicit Flight(CredentialKeeper& keeper) : keeper_(keeper) { keeper_.fetching_ = true; }
  ~Flight() {
    keeper_.fetching_ = false;
    keeper_.fetched_ = keeper_.clock_.Boot();
    keeper_.changed_.NotifyAll();
  }

 private:
  CredentialKeeper& keeper_;
};

CredentialKeeper::CredentialKeeper(base::Clock& clock,
                                   std::vector<std::unique_ptr<CredentialSource>> sources)
    : clock_(clock), sources_(std::move(sources)), changed_(clock) {}

bool CredentialKeeper::IsGood(base::BootClock::duration margin) const {
  return current_ && clock_.Now() + absl::FromChrono(margin) < current_->expires;
}

asio::awaitable<absl::StatusOr<Credentials>> CredentialKeeper::AskSources() {
  std::string looked;
  for (const auto& source : sources_) {
    auto fetched = co_await source->Fetch();
    if (!absl::IsNotFound(fetched.status())) co_return fetched;
    absl::StrAppend(&looked, looked.empty() ? "" : "; ", std::string(fetched.status().message()));
  }
  co_return absl::FailedPreconditionError(absl::StrCat("no credentials: ", looked));
}

asio::awaitable<absl::Status> CredentialKeeper::FetchOnce() {
  Flight flight(*this);
  auto fetched = co_await AskSources();
  CO_RETURN_IF_ERROR(fetched.status());
  current_ = *std::move(fetched);
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<Credentials>> CredentialKeeper::Get() {
  while (!IsGood(kRenewBefore)) {
    const bool usable = IsGood(seconds(0));
    // Others are fetching, or did so a moment ago: what there is will do.
    if (usable && (fetching_ || clock_.Boot() < fetched_ + kPause)) break;
    if (fetching_) {
      absl::Status waited = co_await changed_.Wait(base::BootTime::max());
      CO_RETURN_IF_ERROR(waited);
      if (!current_) continue;
      // Whatever the other one got is the newest that can be had.
      if (!fetching_) break;
      continue;
    }
    absl::Status fetched = co_await FetchOnce();
    if (!fetched.ok() && !usable) co_return fetched;
    break;
  }
  co_return *current_;
}

asio::awaitable<bool> CredentialKeeper::Renew(Credentials refused) {
  if (current_ && !Same(*current_, refused)) co_return true;
  while (fetching_) {
    absl::Status waited = co_await changed_.Wait(base::BootTime::max());
    if (!waited.ok()) co_return false;
  }
  if (current_ && !Same(*current_, refused)) co_return true;
  if (clock_.Boot() < fetched_ + kPause) co_return false;
  absl::Status fetched = co_await FetchOnce();
  co_return fetched.ok() && !Same(*current_, refused);
}

}  // namespace boxkeeper::logs::s3
