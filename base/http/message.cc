#include "base/http/message.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"

namespace boxkeeper::base::http {
namespace {

constexpr char kNotSentUrl[] = "boxkeeper/http-not-sent";

bool SameName(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase(absl::string_view(a.data(), a.size()),
                                absl::string_view(b.data(), b.size()));
}

}  // namespace

void Headers::Add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void Headers::Set(const std::string& name, std::string value) {
  std::erase_if(fields_, [&](const auto& field) { return SameName(field.first, name); });
  Add(name, std::move(value));
}

const std::string* Headers::Find(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (SameName(field, name)) return &value;
  }
  return nullptr;
}

absl::Status MarkNotSent(absl::Status status) {
  if (!status.ok()) status.SetPayload(kNotSentUrl, absl::Cord("1"));
  return status;
}

bool IsCertainlyNotSent(const absl::Status& status) {
  return status.GetPayload(kNotSentUrl).has_value();
}

}  // namespace boxkeeper::base::http
