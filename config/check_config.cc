#include "config/check_config.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "config/check_logs.h"
#include "config/check_values.h"
#include "config/listen_address.h"
#include "config/merge_spec.h"
#include "config/read_value.h"
#include "config/text_values.h"

namespace boxkeeper::config {
namespace {

constexpr size_t kUnixPathMax = 107;  // sockaddr_un.sun_path without its NUL

void CheckListeners(const v1::Server& server, Problems* problems) {
  constexpr int kListenersMax = 16;
  if (server.listen_size() == 0 || server.listen_size() > kListenersMax) {
    Add(problems, "server.listen",
        absl::StrCat("has ", server.listen_size(), " listeners; allowed: 1 to ", kListenersMax));
  }
  const bool authenticated =
      !server.tls().client_ca_file().empty() || !server.auth().tokens_file().empty();
  for (int i = 0; i < server.listen_size(); ++i) {
    const std::string key =
        server.listen_size() == 1 ? "server.listen" : absl::StrCat("server.listen[", i, "]");
    const auto address = ParseListenAddress(server.listen(i));
    if (!address.has_value()) {
      Add(problems, key,
          Shown(server.listen(i)) + " is no address to listen on; allowed: " + kListenForm);
    } else if (address->unix_path.size() > kUnixPathMax) {
      Add(problems, key,
          absl::StrCat("the socket's path has ", address->unix_path.size(), " bytes; at most ",
                       kUnixPathMax, " are allowed"));
    } else if (!address->loopback && (!server.has_tls() || !authenticated)) {
      Add(problems, key,
          Shown(server.listen(i)) +
              " is not a loopback address and needs TLS and authentication; allowed: 127.0.0.1, "
              "[::1], localhost or unix:PATH, or server.tls with client_ca_file or "
              "server.auth.tokens_file");
    }
  }
}

void CheckTls(const v1::Server& server, Problems* problems) {
  if (!server.has_tls()) return;
  for (const auto& [name, value] : {std::pair("cert_file", &server.tls().cert_file()),
                                    std::pair("key_file", &server.tls().key_file())}) {
    if (value->empty()) {
      Add(problems, absl::StrCat("server.tls.", name),
          "is missing; server.tls needs cert_file and key_file");
    }
  }
}

void CheckHttp(const std::string& listen, Problems* problems) {
  if (listen.empty()) return;
  const auto address = ParseListenAddress(listen);
  if (!address.has_value() || !address->unix_path.empty() || !address->loopback) {
    Add(problems, "http.listen",
        Shown(listen) +
            " is not allowed: the pages have neither TLS nor authentication; allowed: "
            "127.0.0.1:PORT, [::1]:PORT, localhost:PORT (0 = any free one), or \"\" (off)");
  }
}

void CheckAtMost(const std::string& key, const google::protobuf::Duration& value,
                 const std::string& other_key, const google::protobuf::Duration& other,
                 Problems* problems) {
  if (FromProto(value) <= FromProto(other)) return;
  Add(problems, key, "is longer than " + other_key + "; allowed: at most " + other_key);
}

void CheckSecrets(const v1::Secrets& secrets, Problems* problems) {
  for (int i = 0; i < secrets.allow_env_size(); ++i) {
    const std::string& name = secrets.allow_env(i);
    const bool good =
        std::all_of(name.begin(), name.end(),
                    [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; }) &&
        std::isdigit(static_cast<unsigned char>(name[0])) == 0;
    if (!good) {
      Add(problems, absl::StrCat("secrets.allow_env[", i, "]"),
          Shown(name) + " is no name of a variable; allowed: [A-Za-z_][A-Za-z0-9_]*");
    }
  }
  for (int i = 0; i < secrets.allow_files_size(); ++i) {
    const std::string& path = secrets.allow_files(i);
    if (!IsAbsolute(path) || std::filesystem::path(path).lexically_normal().string() != path) {
      Add(problems, absl::StrCat("secrets.allow_files[", i, "]"),
          Shown(path) +
              " is not allowed; allowed: an absolute path without '.', '..' and '//'; one that "
              "ends in '/' stands for every file below it");
    }
  }
}

void CheckReferences(const v1::Config& config, Problems* problems) {
  if (config.providers_size() == 0) return;  // said already
  std::vector<std::string> names;
  for (const v1::Provider& provider : config.providers()) names.push_back(provider.name());
  const std::string allowed = "; allowed: " + ListOf(names, "and") + ", or auto";
  if (config.default_provider() != "auto" &&
      FindProvider(config, config.default_provider()) == nullptr) {
    Add(problems, "default_provider",
        Shown(config.default_provider()) + " is not under providers" + allowed);
  }
  for (const auto& [name, profile] : config.profiles()) {
    for (const std::string& provider : profile.spec().provider()) {
      if (provider != "auto" && FindProvider(config, provider) == nullptr) {
        Add(problems, absl::StrCat("profiles.", name, ".provider"),
            Shown(provider) + " is not under providers" + allowed);
      }
    }
  }
}

void CheckDeployment(const v1::Deployment& deployment, Problems* problems) {
  const std::string& id = deployment.id();
  const bool good = id.size() <= 63 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
                      return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
                    });
  if (!good) {
    Add(problems, "deployment.id",
        Shown(id) +
            " is not allowed; allowed: 1 to 63 characters of [A-Za-z0-9._-], or \"\" "
            "(generated)");
  }
}

}  // namespace

void ResolvePaths(v1::Config* config, Problems* problems) {
  if (!IsAbsolute(config->state_dir())) {
    Add(problems, "state_dir",
        Shown(config->state_dir()) +
            " is not absolute; allowed: a path that starts with '/' (without the key: "
            "STATE_DIRECTORY, XDG_STATE_HOME or HOME of the environment)");
    return;
  }
  std::string dir = std::filesystem::path(config->state_dir()).lexically_normal().string();
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  config->set_state_dir(dir);
  const auto resolve = [&dir](std::string* path) { *path = Absolute(dir, *path); };
  resolve(config->mutable_deployment()->mutable_key_file());
  resolve(config->mutable_store()->mutable_sqlite()->mutable_path());
  resolve(config->mutable_spool()->mutable_path());
  resolve(config->mutable_blobs()->mutable_path());
  resolve(config->mutable_server()->mutable_auth()->mutable_tokens_file());
  ResolveLogs(dir, config->mutable_logs());
  if (config->server().has_tls()) {
    v1::Tls* tls = config->mutable_server()->mutable_tls();
    resolve(tls->mutable_cert_file());
    resolve(tls->mutable_key_file());
    resolve(tls->mutable_client_ca_file());
  }
  for (std::string& listen : *config->mutable_server()->mutable_listen()) {
    const auto address = ParseListenAddress(listen);
    if (address.has_value() && !address->unix_path.empty()) {
      listen = "unix:" + Absolute(dir, address->unix_path);
    }
  }
}

void CheckConfig(const v1::Config& config, bool check_files, Problems* problems) {
  CheckDeployment(config.deployment(), problems);
  CheckTls(config.server(), problems);
  CheckListeners(config.server(), problems);
  CheckHttp(config.http().listen(), problems);
  CheckLogs(config.logs(), check_files, problems);
  CheckAtMost("logs.flush_interval", config.logs().flush_interval(), "logs.flush_interval_max",
              config.logs().flush_interval_max(), problems);
  const v1::Scheduling& scheduling = config.scheduling();
  CheckAtMost("scheduling.retry_backoff.initial", scheduling.retry_backoff().initial(),
              "scheduling.retry_backoff.max", scheduling.retry_backoff().max(), problems);
  CheckAtMost("scheduling.retention", scheduling.retention(), "scheduling.unacked_retention",
              scheduling.unacked_retention(), problems);
  CheckSecrets(config.secrets(), problems);
  CheckReferences(config, problems);
  if (!check_files) return;
  CheckReadable(config.server().tls().cert_file(), "server.tls.cert_file", problems);
  CheckReadable(config.server().tls().key_file(), "server.tls.key_file", problems);
  CheckReadable(config.server().tls().client_ca_file(), "server.tls.client_ca_file", problems);
  CheckReadable(config.server().auth().tokens_file(), "server.auth.tokens_file", problems);
}

}  // namespace boxkeeper::config
