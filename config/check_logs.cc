#include "config/check_logs.h"

#include <string_view>

#include "config/read_value.h"

namespace boxkeeper::config {
namespace {

constexpr char kFileScheme[] = "file://";
constexpr char kUrlForms[] =
    "file:///DIRECTORY, s3://BUCKET[/PREFIX], gs://BUCKET[/PREFIX], azure://CONTAINER[/PREFIX]";

// "s3" of "s3://bucket"; empty if it is no URL.
std::string SchemeOf(const std::string& url) {
  const size_t end = url.find("://");
  return end == std::string::npos ? "" : url.substr(0, end);
}

void CheckUrl(const std::string& url, Problems* problems) {
  if (url.empty()) return;  // only where there is no good state_dir
  const std::string scheme = SchemeOf(url);
  if (scheme == "file") {
    if (IsAbsolute(url.substr(std::string_view(kFileScheme).size()))) return;
    return Add(problems, "logs.url",
               Shown(url) + " has no absolute path; allowed: file:///DIRECTORY (three slashes)");
  }
  if (scheme != "s3" && scheme != "gs" && scheme != "azure") {
    return Add(problems, "logs.url",
               Shown(url) + (scheme.empty() ? " is no URL" : " is no kind of store that is known") +
                   "; allowed: " + kUrlForms);
  }
  const std::string bucket =
      url.substr(scheme.size() + 3, url.find('/', scheme.size() + 3) - scheme.size() - 3);
  if (bucket.empty()) {
    Add(problems, "logs.url",
        Shown(url) + " names no " + (scheme == "azure" ? "container" : "bucket") +
            "; allowed: " + kUrlForms);
  } else if (bucket.find_first_of("@?#:") != std::string::npos) {
    // Never shown: it may be a password.
    Add(problems, "logs.url",
        "credentials, options and ports have no place in the URL; allowed: " +
            std::string(kUrlForms));
  }
}

void CheckEndpoint(const std::string& key, const std::string& endpoint, Problems* problems) {
  if (endpoint.empty()) return;
  const std::string scheme = SchemeOf(endpoint);
  const bool http = scheme == "https" || scheme == "http";
  if (http && endpoint.size() > scheme.size() + 3 && endpoint.find('@') == std::string::npos)
    return;
  Add(problems, key,
      (endpoint.find('@') == std::string::npos ? Shown(endpoint) + " is no address of a server"
                                               : std::string("credentials have no place in it")) +
          "; allowed: https://HOST[:PORT] (or http://)");
}

// A section of another store than the URL's is a mistake: most of the time the URL is.
void CheckUsed(bool there, const std::string& section, const std::string& scheme,
               const std::string& url, Problems* problems) {
  if (!there || SchemeOf(url) == scheme) return;
  Add(problems, "logs." + section,
      "is there, but logs.url is " + Shown(url) + "; allowed: with logs.url: " + scheme +
          "://… only");
}

void CheckS3(const v1::S3& s3, Problems* problems) {
  CheckEndpoint("logs.s3.endpoint", s3.endpoint(), problems);
  const bool access = !s3.access_key_file().empty();
  const bool secret = !s3.secret_key_file().empty();
  if (access != secret) {
    Add(problems, access ? "logs.s3.secret_key_file" : "logs.s3.access_key_file",
        "is missing; allowed: access_key_file and secret_key_file together, or neither");
  }
  if (access && !s3.profile().empty()) {
    Add(problems, "logs.s3.profile", "is there beside access_key_file; allowed: one of them");
  }
}

void CheckAzure(const v1::Azure& azure, Problems* problems) {
  CheckEndpoint("logs.azure.endpoint", azure.endpoint(), problems);
  if (!azure.key_file().empty() && !azure.sas_file().empty()) {
    Add(problems, "logs.azure.sas_file", "is there beside key_file; allowed: one of them");
  }
}

void CheckFiles(const v1::Logs& logs, Problems* problems) {
  CheckReadable(logs.s3().access_key_file(), "logs.s3.access_key_file", problems);
  CheckReadable(logs.s3().secret_key_file(), "logs.s3.secret_key_file", problems);
  CheckReadable(logs.gcs().credentials_file(), "logs.gcs.credentials_file", problems);
  CheckReadable(logs.azure().key_file(), "logs.azure.key_file", problems);
  CheckReadable(logs.azure().sas_file(), "logs.azure.sas_file", problems);
}

}  // namespace

void ResolveLogs(const std::string& state_dir, v1::Logs* logs) {
  const auto resolve = [&state_dir](std::string* path) { *path = Absolute(state_dir, *path); };
  if (logs->has_s3()) {
    resolve(logs->mutable_s3()->mutable_access_key_file());
    resolve(logs->mutable_s3()->mutable_secret_key_file());
  }
  if (logs->has_gcs()) resolve(logs->mutable_gcs()->mutable_credentials_file());
  if (logs->has_azure()) {
    resolve(logs->mutable_azure()->mutable_key_file());
    resolve(logs->mutable_azure()->mutable_sas_file());
  }
  if (logs->url().empty()) logs->set_url(kFileScheme + state_dir + "/logs");
}

void CheckLogs(const v1::Logs& logs, bool check_files, Problems* problems) {
  CheckUrl(logs.url(), problems);
  CheckUsed(logs.has_s3(), "s3", "s3", logs.url(), problems);
  CheckUsed(logs.has_gcs(), "gcs", "gs", logs.url(), problems);
  CheckUsed(logs.has_azure(), "azure", "azure", logs.url(), problems);
  CheckS3(logs.s3(), problems);
  CheckEndpoint("logs.gcs.endpoint", logs.gcs().endpoint(), problems);
  CheckAzure(logs.azure(), problems);
  if (check_files) CheckFiles(logs, problems);
}

}  // namespace boxkeeper::config
