// Names and labels without keys, for tests: anything that parses is ours.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "daemon/core/naming.h"

namespace boxkeeper::daemon::testing {

class PlainNaming : public Naming {
 public:
  std::string Name(const base::SandboxId& id) const override { return "bk" + id.ToString(); }
  std::map<std::string, std::string> Labels(const base::SandboxId& id, const std::string&, int32_t,
                                            int64_t epoch) const override {
    return {{"boxkeeper.sandbox", id.ToString()}, {"boxkeeper.epoch", absl::StrCat(epoch)}};
  }
  std::optional<VerifiedSandbox> Verify(const std::string& name,
                                        const std::map<std::string, std::string>& labels,
                                        const std::string&) const override {
    auto id = name.starts_with("bk") ? base::Id128::Parse(std::string_view(name).substr(2))
                                     : std::nullopt;
    if (!id.has_value()) return std::nullopt;
    auto epoch = labels.find("boxkeeper.epoch");
    return VerifiedSandbox{{*id}, epoch == labels.end() ? 0 : std::stoll(epoch->second)};
  }
};

}  // namespace boxkeeper::daemon::testing
