#include "providers/fakecloud/options.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/duration_text.h"

namespace boxkeeper::providers::fakecloud {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

struct Parsed {
  FakeCloudOptions options;
  std::vector<FieldViolation> violations;
};

Parsed Parse(const Struct& section) {
  Parsed parsed;
  FakeCloudOptions& options = parsed.options;
  options.remote = ReadRemoteOptions(section, "", parsed.violations);
  const std::map<std::string, bool*> flags{
      {"events", &options.events},
      {"name_unique_incl_ended", &options.name_unique_incl_ended},
      {"one_step", &options.one_step}};
  const std::map<std::string, std::chrono::milliseconds*> times{
      {"create_settle", &options.create_settle}, {"list_lag", &options.list_lag}};
  const std::map<std::string, Value> sorted(section.fields().begin(), section.fields().end());
  for (const auto& [key, value] : sorted) {
    if (const auto flag = flags.find(key); flag != flags.end()) {
      if (!value.has_bool_value()) parsed.violations.push_back({key, "must be true or false"});
      *flag->second = value.bool_value();
    } else if (const auto time = times.find(key); time != times.end()) {
      const auto duration = base::DurationFromText(value.string_value());
      if (!duration.ok()) {
        parsed.violations.push_back({key, std::string(duration.status().message())});
        continue;
      }
      *time->second = std::chrono::milliseconds(absl::ToInt64Milliseconds(*duration));
    } else if (!RemoteKeys().contains(key)) {
      parsed.violations.push_back({key, "unknown key"});
    }
  }
  return parsed;
}

}  // namespace

std::vector<FieldViolation> ValidateFakeCloudConfig(const Struct& options) {
  return Parse(options).violations;
}

absl::StatusOr<FakeCloudOptions> ParseFakeCloudOptions(const Struct& options) {
  Parsed parsed = Parse(options);
  if (parsed.violations.empty()) return std::move(parsed.options);
  std::string all;
  for (const FieldViolation& violation : parsed.violations) {
    absl::StrAppend(&all, all.empty() ? "" : "; ", violation.field, ": ", violation.description);
  }
  return absl::InvalidArgumentError(all);
}

}  // namespace boxkeeper::providers::fakecloud
