#include "providers/runtime/remote_options.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace boxkeeper::providers {

using google::protobuf::Struct;
namespace http = base::http;

namespace {

// The call runner bounds the calls; this only bounds descriptors should it not.
constexpr size_t kConnectionsMax = 4096;
// Above every deadline: each call brings its own.
constexpr std::chrono::hours kNoTimeout{24};

class Reader {
 public:
  Reader(const Struct& options, std::vector<FieldViolation>& violations)
      : options_(options), violations_(violations) {}

  std::string Text(const std::string& key) {
    const auto found = options_.fields().find(key);
    if (found == options_.fields().end()) return "";
    if (!found->second.has_string_value()) {
      Refuse(key, "must be text");
      return "";
    }
    return found->second.string_value();
  }
  std::string Path(const std::string& key) {
    std::string path = Text(key);
    if (!path.empty() && path[0] != '/') Refuse(key, "must be an absolute path");
    return path;
  }
  bool Flag(const std::string& key) {
    const auto found = options_.fields().find(key);
    if (found == options_.fields().end()) return false;
    if (!found->second.has_bool_value()) Refuse(key, "must be true or false");
    return found->second.bool_value();
  }
  void Refuse(const std::string& key, const std::string& why) { violations_.push_back({key, why}); }

 private:
  const Struct& options_;
  std::vector<FieldViolation>& violations_;
};

absl::StatusOr<std::string> ReadKey(const RemoteOptions& options) {
  std::string key;
  if (!options.api_key_env.empty()) {
    const char* value = std::getenv(options.api_key_env.c_str());
    if (value == nullptr || *value == '\0') {
      return absl::FailedPreconditionError(
          absl::StrCat("api_key_env: the variable ", options.api_key_env, " is not set"));
    }
    key = value;
  } else if (!options.api_key_file.empty()) {
    std::ifstream file(options.api_key_file);
    if (!file || !std::getline(file, key) || key.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("api_key_file: no key in ", options.api_key_file));
    }
  }
  const auto printable = [](unsigned char c) { return c > ' ' && c < 0x7f; };
  if (!std::all_of(key.begin(), key.end(), printable)) {
    return absl::FailedPreconditionError("the API key has characters that none may have");
  }
  return key;
}

}  // namespace

const std::set<std::string>& RemoteKeys() {
  static const auto* const keys = new std::set<std::string>{
      "allow_link_local", "api_key_env", "api_key_file", "base_url", "ca_file", "proxy"};
  return *keys;
}

RemoteOptions ReadRemoteOptions(const Struct& options, const std::string& base_url_default,
                                std::vector<FieldViolation>& violations) {
  Reader reader(options, violations);
  RemoteOptions result;
  std::string base_url = reader.Text("base_url");
  if (base_url.empty()) base_url = base_url_default;
  if (base_url.empty()) {
    reader.Refuse("base_url", "is needed: http://HOST[:PORT][/PATH], https://... or unix:/PATH");
  } else if (auto parsed = http::ParseBaseUrl(base_url); parsed.ok()) {
    result.base_url = *std::move(parsed);
  } else {
    reader.Refuse("base_url", std::string(parsed.status().message()));
  }
  result.api_key_file = reader.Path("api_key_file");
  result.api_key_env = reader.Text("api_key_env");
  if (!result.api_key_file.empty() && !result.api_key_env.empty()) {
    reader.Refuse("api_key_env", "only one of api_key_file and api_key_env");
  }
  result.ca_file = reader.Path("ca_file");
  result.allow_link_local = reader.Flag("allow_link_local");
  if (const std::string proxy = reader.Text("proxy"); !proxy.empty()) {
    auto parsed = http::ParseBaseUrl(proxy);
    if (parsed.ok() && parsed->origin.scheme == http::Scheme::kHttp && parsed->path.empty()) {
      result.proxy = http::Proxy{parsed->origin};
    } else {
      reader.Refuse("proxy", "must be http://HOST:PORT");
    }
  }
  return result;
}

absl::StatusOr<http::ClientOptions> MakeClientOptions(const RemoteOptions& options) {
  auto key = ReadKey(options);
  if (!key.ok()) return key.status();
  http::ClientOptions client;
  client.base = options.base_url;
  client.proxy = options.proxy;
  client.addresses.allow_link_local = options.allow_link_local;
  client.ca_file = options.ca_file;
  client.connections_max = kConnectionsMax;
  client.timeouts.headers = kNoTimeout;
  client.timeouts.idle = kNoTimeout;
  if (!key->empty()) client.headers.Set("Authorization", "Bearer " + *key);
  return client;
}

}  // namespace boxkeeper::providers
