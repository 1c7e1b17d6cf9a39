#include "base/http/base_url.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::base::http {
namespace {

constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;

uint16_t DefaultPort(Scheme scheme) { return scheme == Scheme::kHttp ? kHttpPort : kHttpsPort; }

absl::Status Bad(const char* what) { return absl::InvalidArgumentError(what); }

bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_';
}

bool IsPathCharacter(char c) { return c > ' ' && c < 0x7f && c != '"' && c != '<' && c != '>'; }

// Takes the port off the end of `authority`.
absl::StatusOr<uint16_t> TakePort(std::string_view* authority, Scheme scheme) {
  const size_t colon = authority->rfind(':');
  const size_t bracket = authority->rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return DefaultPort(scheme);
  }
  const std::string_view digits = authority->substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) {
    return Bad("the port is not a number from 1 to 65535");
  }
  authority->remove_suffix(digits.size() + 1);
  return port;
}

absl::StatusOr<Origin> ParseAuthority(std::string_view authority, Scheme scheme) {
  if (authority.find('@') != std::string_view::npos) {
    return Bad("credentials do not belong into an address");
  }
  Origin origin{.scheme = scheme, .host = "", .port = 0};
  ASSIGN_OR_RETURN(origin.port, TakePort(&authority, scheme));
  const bool bracketed = authority.starts_with('[') && authority.ends_with(']');
  if (bracketed) authority = authority.substr(1, authority.size() - 2);
  const auto good = [bracketed](char c) {
    return bracketed ? absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.'
                     : IsHostCharacter(c);
  };
  if (authority.empty() || !std::all_of(authority.begin(), authority.end(), good)) {
    return Bad("the host is missing or has characters that no host has");
  }
  origin.host = absl::AsciiStrToLower(std::string(authority));
  return origin;
}

// The directory of a request target, with the slash.
std::string_view DirectoryOf(std::string_view target) {
  target = target.substr(0, target.find('?'));
  return target.substr(0, target.rfind('/') + 1);
}

}  // namespace

std::string Origin::HostPort() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

std::string Origin::Authority() const {
  if (scheme == Scheme::kUnix) return host;
  if (port != DefaultPort(scheme)) return HostPort();
  return host.find(':') != std::string::npos ? absl::StrCat("[", host, "]") : host;
}

std::string Origin::ToString() const {
  if (scheme == Scheme::kUnix) return absl::StrCat("unix:", socket_path);
  return absl::StrCat(scheme == Scheme::kHttp ? "http://" : "https://", Authority());
}

absl::StatusOr<BaseUrl> ParseBaseUrl(const std::string& text) {
  std::string_view rest = text;
  if (rest.starts_with("unix:")) {
    rest.remove_prefix(5);
    if (rest.starts_with("//")) rest.remove_prefix(2);
    if (!rest.starts_with('/')) return Bad("the path of a unix socket must be absolute");
    Origin origin{.scheme = Scheme::kUnix, .host = "localhost", .port = 0};
    origin.socket_path = std::string(rest);
    return BaseUrl{std::move(origin), ""};
  }
  const size_t colon = rest.find("://");
  const std::string scheme = absl::AsciiStrToLower(std::string(rest.substr(0, colon)));
  if (colon == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return Bad("not an address of the form https://HOST[:PORT][/PATH], http://... or unix:/PATH");
  }
  rest.remove_prefix(colon + 3);
  const size_t slash = rest.find_first_of("/?#");
  std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash);
  if (path.find_first_of("?#") != std::string_view::npos) {
    return Bad("an address has no query and no fragment");
  }
  if (!std::all_of(path.begin(), path.end(), IsPathCharacter)) {
    return Bad("the path has characters that must be percent-encoded");
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  ASSIGN_OR_RETURN(
      Origin origin,
      ParseAuthority(rest.substr(0, slash), scheme == "http" ? Scheme::kHttp : Scheme::kHttps));
  return BaseUrl{std::move(origin), std::string(path)};
}

absl::StatusOr<std::string> ResolveRedirect(const Origin& origin, const std::string& target,
                                            const std::string& location) {
  std::string_view rest = location;
  rest = rest.substr(0, rest.find('#'));
  if (rest.empty() || !std::all_of(rest.begin(), rest.end(), IsPathCharacter)) {
    return absl::UnavailableError("a redirect without a usable Location");
  }
  if (rest.starts_with("//") || rest.find("://") < rest.find_first_of("/?")) {
    const std::string absolute =
        rest.starts_with("//")
            ? absl::StrCat(origin.scheme == Scheme::kHttp ? "http:" : "https:", std::string(rest))
            : std::string(rest);
    const size_t path = absolute.find_first_of("/?", absolute.find("://") + 3);
    const absl::StatusOr<BaseUrl> url = ParseBaseUrl(absolute.substr(0, path));
    if (!url.ok() || url->origin != origin) {
      return absl::PermissionDeniedError("a redirect to another server is not followed");
    }
    if (path == std::string::npos) return std::string("/");
    return absolute[path] == '/' ? absolute.substr(path) : "/" + absolute.substr(path);
  }
  if (rest.starts_with('/')) return std::string(rest);
  if (rest.starts_with('?')) {
    return absl::StrCat(target.substr(0, target.find('?')), std::string(rest));
  }
  return absl::StrCat(std::string(DirectoryOf(target)), std::string(rest));
}

}  // namespace boxkeeper::base::http
