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
                                            int64_t epoch,
                                            const base::Birth& birth) const override {
    std::map<std::string, std::string> labels{{base::kLabelSandbox, id.ToString()},
                                              {base::kLabelEpoch, absl::StrCat(epoch)}};
    if (birth.incarnation != 0) {
      labels[base::kLabelBirth] = absl::StrCat(birth.incarnation, ".", birth.position);
    }
    return labels;
  }
  std::optional<VerifiedSandbox> Verify(const std::string& name,
                                        const std::map<std::string, std::string>& labels,
                                        const std::string&) const override {
    auto id = name.starts_with("bk") ? base::Id128::Parse(std::string_view(name).substr(2))
                                     : std::nullopt;
    if (!id.has_value()) return std::nullopt;
    VerifiedSandbox verified{.id = {*id}};
    if (auto epoch = labels.find(base::kLabelEpoch); epoch != labels.end()) {
      verified.epoch = std::stoll(epoch->second);
    }
    if (auto birth = labels.find(base::kLabelBirth); birth != labels.end()) {
      size_t digits = 0;
      verified.birth.incarnation = std::stoull(birth->second, &digits);
      verified.birth.position = std::stoll(birth->second.substr(digits + 1));
    }
    return verified;
  }
};

}  // namespace boxkeeper::daemon::testing
