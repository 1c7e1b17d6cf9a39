#include "logs/s3/local_credentials.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/run_on.h"
#include "base/status_macros.h"
#include "logs/s3/profile_files.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;

namespace {

constexpr size_t kSecretBytesMax = 64 * 1024;

class FileCredentials final : public CredentialSource {
 public:
  FileCredentials(LocalDeps deps, std::string access_key_file, std::string secret_key_file)
      : deps_(std::move(deps)),
        key_(std::move(access_key_file)),
        secret_(std::move(secret_key_file)) {}

  asio::awaitable<absl::StatusOr<Credentials>> Fetch() override {
    auto work = [this]() -> absl::StatusOr<Credentials> {
      ASSIGN_OR_RETURN(const base::SecretString key, ReadSecretLine(deps_.files, key_));
      ASSIGN_OR_RETURN(const base::SecretString secret, ReadSecretLine(deps_.files, secret_));
      Credentials credentials;
      credentials.access_key_id = std::string(key.view());
      credentials.secret_key = ShareSecret(secret.view());
      credentials.source = "logs.s3.access_key_file and logs.s3.secret_key_file";
      return credentials;
    };
    co_return co_await base::RunOn(deps_.pool, std::move(work));
  }

 private:
  LocalDeps deps_;
  const std::string key_, secret_;
};

class EnvironmentCredentials final : public CredentialSource {
 public:
  explicit EnvironmentCredentials(LocalDeps deps) : deps_(std::move(deps)) {}

  asio::awaitable<absl::StatusOr<Credentials>> Fetch() override {
    Credentials credentials;
    credentials.access_key_id = deps_.environment("AWS_ACCESS_KEY_ID");
    credentials.secret_key = ShareSecret(deps_.environment("AWS_SECRET_ACCESS_KEY"));
    const bool has_secret = !credentials.secret_key->empty();
    if (credentials.access_key_id.empty() && !has_secret) {
      co_return absl::NotFoundError("AWS_ACCESS_KEY_ID is not set");
    }
    if (credentials.access_key_id.empty() || !has_secret) {
      co_return absl::InvalidArgumentError(
          "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together");
    }
    const std::string token = deps_.environment("AWS_SESSION_TOKEN");
    if (!token.empty()) credentials.session_token = ShareSecret(token);
    credentials.source = "the environment (AWS_ACCESS_KEY_ID)";
    co_return credentials;
  }

 private:
  LocalDeps deps_;
};

std::string ValueOf(const Profile& profile, const char* key) {
  const auto found = profile.find(key);
  return found == profile.end() ? "" : found->second;
}

class ProfileCredentials final : public CredentialSource {
 public:
  ProfileCredentials(LocalDeps deps, std::string name, bool required)
      : deps_(std::move(deps)), name_(std::move(name)), required_(required) {}

  asio::awaitable<absl::StatusOr<Credentials>> Fetch() override {
    auto work = [this] { return Load(); };
    co_return co_await base::RunOn(deps_.pool, std::move(work));
  }

 private:
  absl::Status Missing(const std::string& what) const {
    const std::string text = absl::StrCat("the profile '", name_, "' ", what);
    return required_ ? absl::FailedPreconditionError(text) : absl::NotFoundError(text);
  }

  absl::StatusOr<Credentials> Load() const {
    ASSIGN_OR_RETURN(const auto profile, LoadProfile(deps_.files, deps_.environment, name_));
    if (!profile)
      return Missing("is not in AWS's shared files (~/.aws/credentials, ~/.aws/config)");
    for (const char* key : {"source_profile", "credential_source", "credential_process",
                            "sso_session", "sso_start_url", "login_session"}) {
      if (profile->contains(key)) {
        return absl::FailedPreconditionError(
            absl::StrCat("the profile '", name_, "' uses ", key,
                         ", which is not supported: use static keys, web_identity_token_file, or "
                         "the role of the container or instance"));
      }
    }
    Credentials credentials;
    credentials.access_key_id = ValueOf(*profile, "aws_access_key_id");
    credentials.secret_key = ShareSecret(ValueOf(*profile, "aws_secret_access_key"));
    const std::string token = ValueOf(*profile, "aws_session_token");
    if (!token.empty()) credentials.session_token = ShareSecret(token);
    if (credentials.access_key_id.empty() || credentials.secret_key->empty()) {
      return Missing("has no aws_access_key_id and aws_secret_access_key");
    }
    credentials.source = absl::StrCat("the profile '", name_, "'");
    return credentials;
  }

  LocalDeps deps_;
  const std::string name_;
  const bool required_;
};

}  // namespace

std::unique_ptr<CredentialSource> MakeFileCredentials(LocalDeps deps, std::string access_key_file,
                                                      std::string secret_key_file) {
  return std::make_unique<FileCredentials>(std::move(deps), std::move(access_key_file),
                                           std::move(secret_key_file));
}

std::unique_ptr<CredentialSource> MakeEnvironmentCredentials(LocalDeps deps) {
  return std::make_unique<EnvironmentCredentials>(std::move(deps));
}

std::unique_ptr<CredentialSource> MakeProfileCredentials(LocalDeps deps, std::string profile,
                                                         bool required) {
  return std::make_unique<ProfileCredentials>(std::move(deps), std::move(profile), required);
}

absl::StatusOr<base::SecretString> ReadSecretLine(base::FileSystem& files,
                                                  const std::string& path) {
  auto file = files.Open(path, {});
  if (!file.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot read ", path, ": ", std::string(file.status().message())));
  }
  ASSIGN_OR_RETURN(std::string text, (*file)->ReadAt(0, kSecretBytesMax));
  std::string_view line(text);
  line = line.substr(0, line.find('\n'));
  constexpr std::string_view kSpaces = " \t\r";
  const size_t first = line.find_first_not_of(kSpaces);
  line = first == std::string_view::npos
             ? std::string_view()
             : line.substr(first, line.find_last_not_of(kSpaces) - first + 1);
  base::SecretString secret(line);
  base::WipeString(text);
  if (secret.empty()) return absl::FailedPreconditionError(absl::StrCat(path, " is empty"));
  return secret;
}

}  // namespace boxkeeper::logs::s3
