// Who we are to Azure Storage: the account, its key or a SAS, from the configuration or the
// environment.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/http/base_url.h"
#include "base/secret_string.h"
#include "logs/remote/environment.h"

namespace boxkeeper::logs::azure {

// `logs.azure`. Everything may be empty.
struct Settings {
  std::string account = {};
  std::string key_file = {};  // the account's key in base64
  std::string sas_file = {};  // a SAS token, "sv=...&sig=..."
  std::string endpoint = {};  // "https://ACCOUNT.blob.core.windows.net" if empty
};

// AZURE_STORAGE_CONNECTION_STRING, taken apart.
struct ConnectionString {
  std::string account;
  base::SecretString key;  // in base64
  base::SecretString sas;
  std::string endpoint;  // of the Blob service; "" if it says none
};
absl::StatusOr<ConnectionString> ParseConnectionString(std::string_view text);

// Where the account is. What `settings` says goes before AZURE_STORAGE_CONNECTION_STRING and
// AZURE_STORAGE_ACCOUNT. kInvalidArgument that says what is missing.
struct Account {
  std::string name;
  base::http::BaseUrl endpoint;
};
absl::StatusOr<Account> FindAccount(const Settings& settings,
                                    const remote::Environment& environment);

// One of both.
struct Credential {
  base::SecretString key;  // decoded
  base::SecretString sas;  // without '?'
};

// `settings.key_file`, else `sas_file`, else AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY,
// AZURE_STORAGE_SAS_TOKEN. Blocking. kUnauthenticated that says what to set; never quotes a secret.
absl::StatusOr<Credential> LoadCredential(base::FileSystem& files, const Settings& settings,
                                          const remote::Environment& environment);

// Loads the credential when it is first needed, again when a minute has passed (a SAS is renewed by
// replacing its file) and after the server has refused it. On the loop; files are read on `pool`.
class CredentialSource {
 public:
  struct Deps {
    base::Clock& clock;
    base::FileSystem& files;
    boost::asio::any_io_executor pool;
  };
  CredentialSource(Deps deps, Settings settings, remote::Environment environment);

  boost::asio::awaitable<absl::StatusOr<std::shared_ptr<const Credential>>> Get();
  // The server refused it: the next Get reads it anew.
  void Refused() { valid_until_ = {}; }

 private:
  const Deps deps_;
  const Settings settings_;
  const remote::Environment environment_;
  std::shared_ptr<const Credential> credential_;
  base::BootTime valid_until_;
};

}  // namespace boxkeeper::logs::azure
