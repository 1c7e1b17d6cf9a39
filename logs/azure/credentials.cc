#include "logs/azure/credentials.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crypto/base64.h"
#include "base/run_on.h"
#include "base/status_macros.h"

namespace boxkeeper::logs::azure {

namespace asio = boost::asio;

namespace {

constexpr char kConnectionStringVariable[] = "AZURE_STORAGE_CONNECTION_STRING";
constexpr char kAccountVariable[] = "AZURE_STORAGE_ACCOUNT";
constexpr char kKeyVariable[] = "AZURE_STORAGE_KEY";
constexpr char kSasVariable[] = "AZURE_STORAGE_SAS_TOKEN";
constexpr char kPublicSuffix[] = "core.windows.net";
// The emulator's, published with it (learn.microsoft.com/azure/storage/common/storage-use-azurite).
constexpr char kDevelopmentAccount[] = "devstoreaccount1";
constexpr char kDevelopmentKey[] =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
constexpr char kDevelopmentEndpoint[] = "http://127.0.0.1:10000/devstoreaccount1";
constexpr std::chrono::seconds kLifetime{60};

std::string_view Trimmed(std::string_view text) {
  const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
  while (!text.empty() && is_space(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && is_space(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

bool IsAccountName(std::string_view name) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return name.size() >= 3 && name.size() <= 24 && std::all_of(name.begin(), name.end(), good);
}

absl::StatusOr<Credential> FromKey(std::string_view base64, const std::string& where) {
  auto decoded = base::Base64Decode(Trimmed(base64));
  if (!decoded || decoded->empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat(where,
                     ": is no storage account key (base64, as the portal's 'Access keys' and "
                     "`az storage account keys list` show it)"));
  }
  Credential credential{.key = base::SecretString(*decoded), .sas = {}};
  base::WipeString(*decoded);
  return credential;
}

absl::StatusOr<Credential> FromSas(std::string_view token, const std::string& where) {
  token = Trimmed(token);
  if (token.starts_with('?')) token.remove_prefix(1);
  const auto good = [](char c) { return c > ' ' && c < 0x7f && c != '#'; };
  if (token.find("sig=") == std::string_view::npos ||
      !std::all_of(token.begin(), token.end(), good)) {
    return absl::UnauthenticatedError(
        absl::StrCat(where, ": is no SAS token (sv=...&sp=racwdl&...&sig=..., without the URL)"));
  }
  return Credential{.key = {}, .sas = base::SecretString(token)};
}

absl::StatusOr<std::string> ReadSecretFile(base::FileSystem& files, const std::string& key,
                                           const std::string& path) {
  auto content = base::ReadFile(files, path);
  if (content.ok()) return content;
  return absl::UnauthenticatedError(
      absl::StrCat(key, ": ", path, " cannot be read: ", std::string(content.status().message())));
}

absl::StatusOr<Credential> FromEnvironment(const remote::Environment& environment) {
  if (const std::string text = environment(kConnectionStringVariable); !text.empty()) {
    ASSIGN_OR_RETURN(const ConnectionString parsed, ParseConnectionString(text));
    if (!parsed.key.empty()) return FromKey(parsed.key.view(), kConnectionStringVariable);
    if (!parsed.sas.empty()) return FromSas(parsed.sas.view(), kConnectionStringVariable);
  }
  if (const std::string key = environment(kKeyVariable); !key.empty()) {
    return FromKey(key, kKeyVariable);
  }
  if (const std::string sas = environment(kSasVariable); !sas.empty()) {
    return FromSas(sas, kSasVariable);
  }
  return absl::UnauthenticatedError(
      absl::StrCat("no credentials for Azure: set logs.azure.key_file or logs.azure.sas_file, or ",
                   kConnectionStringVariable, ", ", kKeyVariable, " or ", kSasVariable));
}

}  // namespace

absl::StatusOr<ConnectionString> ParseConnectionString(std::string_view text) {
  ConnectionString parsed;
  std::string protocol = "https", suffix = kPublicSuffix;
  for (std::string_view rest = Trimmed(text); !rest.empty();) {
    const size_t end = std::min(rest.find(';'), rest.size());
    const std::string_view part = Trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(kConnectionStringVariable, ": is no list of NAME=VALUE;"));
    }
    const std::string_view name = part.substr(0, equals), value = part.substr(equals + 1);
    if (name == "UseDevelopmentStorage" && value == "true") {
      parsed.account = kDevelopmentAccount;
      parsed.key = base::SecretString(kDevelopmentKey);
      parsed.endpoint = kDevelopmentEndpoint;
    } else if (name == "AccountName") {
      parsed.account = std::string(value);
    } else if (name == "AccountKey") {
      parsed.key = base::SecretString(value);
    } else if (name == "SharedAccessSignature") {
      parsed.sas = base::SecretString(value);
    } else if (name == "BlobEndpoint") {
      parsed.endpoint = std::string(value);
    } else if (name == "DefaultEndpointsProtocol") {
      protocol = std::string(value);
    } else if (name == "EndpointSuffix") {
      suffix = std::string(value);
    }
  }
  if (parsed.endpoint.empty() && !parsed.account.empty()) {
    parsed.endpoint = absl::StrCat(protocol, "://", parsed.account, ".blob.", suffix);
  }
  return parsed;
}

absl::StatusOr<Account> FindAccount(const Settings& settings,
                                    const remote::Environment& environment) {
  ConnectionString from_string;
  if (const std::string text = environment(kConnectionStringVariable); !text.empty()) {
    ASSIGN_OR_RETURN(from_string, ParseConnectionString(text));
  }
  Account account;
  account.name = !settings.account.empty()      ? settings.account
                 : !from_string.account.empty() ? from_string.account
                                                : environment(kAccountVariable);
  std::string endpoint = settings.endpoint;
  if (endpoint.empty() && settings.account.empty()) endpoint = from_string.endpoint;
  if (endpoint.empty() && IsAccountName(account.name)) {
    endpoint = absl::StrCat("https://", account.name, ".blob.", kPublicSuffix);
  }
  if (endpoint.empty() && !account.name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "logs.azure.account: '", account.name,
        "' is no storage account's name; allowed: 3 to 24 lower-case letters and digits"));
  }
  if (endpoint.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("which storage account? Set logs.azure.account, ", kAccountVariable, " or ",
                     kConnectionStringVariable));
  }
  auto parsed = base::http::ParseBaseUrl(endpoint);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("logs.azure.endpoint: ", std::string(parsed.status().message())));
  }
  account.endpoint = *std::move(parsed);
  const std::string& host = account.endpoint.origin.host;
  if (account.name.empty()) account.name = host.substr(0, host.find('.'));
  return account;
}

absl::StatusOr<Credential> LoadCredential(base::FileSystem& files, const Settings& settings,
                                          const remote::Environment& environment) {
  if (settings.key_file.empty() && settings.sas_file.empty()) return FromEnvironment(environment);
  const bool is_key = !settings.key_file.empty();
  const std::string name = is_key ? "logs.azure.key_file" : "logs.azure.sas_file";
  const std::string& path = is_key ? settings.key_file : settings.sas_file;
  ASSIGN_OR_RETURN(std::string content, ReadSecretFile(files, name, path));
  const std::string where = absl::StrCat(name, ": ", path);
  auto credential = is_key ? FromKey(content, where) : FromSas(content, where);
  base::WipeString(content);
  return credential;
}

CredentialSource::CredentialSource(Deps deps, Settings settings, remote::Environment environment)
    : deps_(deps), settings_(std::move(settings)), environment_(std::move(environment)) {}

asio::awaitable<absl::StatusOr<std::shared_ptr<const Credential>>> CredentialSource::Get() {
  if (credential_ != nullptr && deps_.clock.Boot() < valid_until_) co_return credential_;
  auto load = [this]() -> absl::StatusOr<std::shared_ptr<const Credential>> {
    ASSIGN_OR_RETURN(Credential loaded, LoadCredential(deps_.files, settings_, environment_));
    return std::make_shared<const Credential>(std::move(loaded));
  };
  auto loaded = co_await base::RunOn(deps_.pool, std::move(load));
  CO_RETURN_IF_ERROR(loaded.status());
  credential_ = *std::move(loaded);
  valid_until_ = deps_.clock.Boot() + kLifetime;
  co_return credential_;
}

}  // namespace boxkeeper::logs::azure
