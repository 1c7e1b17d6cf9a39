#include "bench/requests.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace boxkeeper::bench {
namespace {

std::string RandomRun() {
  std::random_device random;
  return absl::StrFormat("%08x-%04x-4%03x-8%03x-", random(), random() & 0xffffU, random() & 0xfffU,
                         random() & 0xfffU);
}

void AddFile(const std::string& path, v1::TaskSpec& spec) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(2);
  }
  auto* file = spec.add_files();
  file->set_path(path.substr(path.rfind('/') + 1));
  file->set_content(std::string(std::istreambuf_iterator<char>(in), {}));
  file->set_mode(0755);
}

}  // namespace

TaskMaker::TaskMaker(const TaskTemplate& common) : run_(RandomRun()) {
  blank_.set_owner(common.owner);
  for (const std::string& word : common.argv)
    blank_.mutable_command()->mutable_argv()->add_args(word);
  auto& overrides = *blank_.mutable_sandbox_override()->mutable_fields();
  if (!common.provider.empty()) overrides["provider"].set_string_value(common.provider);
  if (common.padding > 0) (*blank_.mutable_labels())["padding"] = std::string(common.padding, 'x');
  if (!common.file.empty()) AddFile(common.file, blank_);
}

void TaskMaker::Number(v1::TaskSpec& spec, uint64_t index) const {
  std::string number = absl::StrFormat("%012x", index);
  spec.set_submission_id(run_ + number);
  v1::TaskKey& key = *spec.mutable_key();
  key.set_kind(v1::TaskKey::TASK);
  key.set_group("bench");
  key.set_run(run_.substr(0, 8));
  key.set_name(std::move(number));
}

std::optional<uint64_t> TaskMaker::IndexOf(const std::string& submission_id) const {
  uint64_t index = 0;
  if (submission_id.compare(0, run_.size(), run_) != 0) return std::nullopt;
  if (!absl::SimpleHexAtoi(submission_id.substr(run_.size()), &index)) return std::nullopt;
  return index;
}

}  // namespace boxkeeper::bench
