// A SubmitTasks request as the network brings it: bounds, parsing, validation, packing, the store's
// record. No accepted submission breaks a documented bound; what the store will hold reads back as
// what was decided.
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <set>

#include "base/task_key.h"
#include "boxkeeper/v1/executor.pb.h"
#include "config/load_config.h"
#include "config/spec_decoder.h"
#include "daemon/core/task_table.h"
#include "daemon/service/request_bounds.h"
#include "daemon/service/request_checks.h"
#include "daemon/service/wire.h"
#include "daemon/submit/canonical.h"
#include "daemon/submit/packed_task.h"
#include "daemon/submit/prepare.h"
#include "daemon/submit/testing/fake_secret_keeper.h"
#include "daemon/submit/testing/stub_provider.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using daemon::PackedTask;
using google::protobuf::util::MessageDifferencer;

constexpr char kConfig[] = R"(
state_dir: /s
scheduling: {default_timeout: 1h}
providers:
  small: {type: stub, env: {FROM: provider}}
  large: {type: stub, image: base}
profiles:
  heavy: {cpu: 4}
  to_large: {provider: large, cpu: 4}
secrets: {allow_env: [TOKEN]}
)";

// Bounds of docs/errors.md and the API's comments.
constexpr size_t kItemBytes = 1 << 20;
constexpr size_t kViolations = 100;
constexpr int kLabels = 64;

struct World {
  World() {
    config::LoadOptions options;
    options.providers["stub"] = nullptr;
    auto loaded = config::LoadConfigText(kConfig, "fuzz.yaml", options);
    registry["small"] =
        std::make_shared<daemon::testing::StubProvider>("small", std::vector<std::string>{});
    registry["large"] = std::make_shared<daemon::testing::StubProvider>(
        "large",
        std::vector<std::string>{"cpu", "image", "memory_mb", "volumes", "provider_options"});
    context = daemon::MakePrepareContext(std::make_shared<config::v1::Config>(loaded.config),
                                         registry, keeper);
    context.read_env = [](const std::string& name) -> absl::StatusOr<std::string> {
      if (name != "TOKEN") return absl::PermissionDeniedError("is not allowed; allowed: TOKEN");
      return std::string("from-env");
    };
    context.read_file = [](const std::string&) -> absl::StatusOr<std::string> {
      return absl::PermissionDeniedError("is not allowed");
    };
  }
  daemon::testing::FakeSecretKeeper keeper;
  providers::ProviderRegistry registry;
  daemon::PrepareContext context;
};

World& TheWorld() {
  static auto* world = new World;
  return *world;
}

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }
bool HasControl(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

void CheckRefusal(const daemon::PreparedTask& task) {
  Require(task.violations.size() <= kViolations, "a refusal lists no more than 100 violations");
  for (const providers::FieldViolation& violation : task.violations) {
    Require(!violation.field.empty() && !violation.description.empty(),
            "a violation names its field and says what is allowed", violation.description);
  }
}

void CheckKey(const store::v1::Accepted& record) {
  const v1::TaskKey& key = record.key();
  Require(!key.name().empty(), "a key has a name");
  for (const std::string* part : {&key.namespace_(), &key.group(), &key.run(), &key.name()}) {
    Require(part->size() <= 512 && !HasControl(*part), "parts of a key are bounded", *part);
  }
  Require(key.try_() >= 1 && key.index() >= -1, "a key's numbers are in range");
  const absl::StatusOr<v1::TaskKey> parsed = base::ParseKey(base::KeyString(key));
  Require(parsed.ok() && MessageDifferencer::Equals(*parsed, key), "a key's text reads back equal",
          base::KeyString(key));
}

void CheckFiles(const store::v1::Accepted& record) {
  Require(record.files_size() <= 1000, "at most 1000 files");
  std::set<std::string> paths;
  for (const v1::TaskFile& file : record.files()) {
    const std::string& path = file.path();
    Require(paths.insert(path).second, "each path once", path);
    Require(!HasNul(path) && path.size() <= 4096 && !path.ends_with('/'), "a path names a file",
            path);
    Require(("/" + path + "/").find("/../") == std::string::npos, "no '..' in a path", path);
    Require(file.mode() != 0 && file.mode() <= 07777 && !file.secret(), "a file's mode is set");
  }
}

void CheckSpec(const store::v1::Accepted& record) {
  const v1::SandboxSpec& spec = record.spec();
  Require(spec.provider_size() == 1, "one provider after acceptance");
  for (const auto& [name, value] : spec.env()) {
    Require(config::CheckEnvName(name).empty() && !HasNul(value), "variables have names", name);
  }
  Require(spec.timeout().seconds() >= 0 && spec.grace().seconds() >= 0,
          "durations are not negative");
  Require(spec.cpu() >= 0 && spec.memory_mb() >= 0 && spec.pids() >= 0, "sizes are not negative");
  for (const std::string& name : record.secret_names()) {
    Require(config::CheckEnvName(name).empty() && !spec.env().contains(name),
            "a secret is no variable of the record", name);
  }
}

void CheckAccepted(const store::v1::Accepted& record) {
  CheckKey(record);
  CheckFiles(record);
  CheckSpec(record);
  Require(record.owner().size() <= 256 && !HasControl(record.owner()), "an owner is bounded");
  Require(record.trace_context().size() <= 512, "a trace context is bounded");
  Require(record.labels_size() <= kLabels, "at most 64 labels");
  for (const auto& [key, value] : record.labels()) {
    Require(!key.empty() && key.size() <= 63 && value.size() <= 256 && !HasControl(value),
            "labels are bounded", key);
  }
  for (const std::string& arg : record.command().argv().args()) {
    Require(!HasNul(arg), "no NUL in an argument");
  }
  Require(!HasNul(record.command().shell()) && !HasNul(record.command().script().body()),
          "no NUL in a command");
  Require(record.command().form_case() != v1::Command::FORM_NOT_SET, "there is a command");
  if (record.has_lease()) {
    const auto& ttl = record.lease().ttl();
    Require(ttl.seconds() >= 0 && ttl.nanos() >= 0 && ttl.seconds() + ttl.nanos() > 0 &&
                ttl.seconds() < 604'800,
            "a lease is bounded");
  }
}

// As the core does, then as the next start does.
void CheckStored(PackedTask packed, int64_t generation) {
  const daemon::Decision decision{.generation = generation,
                                  .id = {{{1, 2, 3}}},
                                  .accepted_at_ms = 1'767'225'600'000,
                                  .accepted_boot_ms = 77};
  daemon::AppendDecision(decision, packed.accepted);
  store::v1::Record record;
  Require(record.ParseFromString(daemon::AcceptedRecord(packed.accepted)), "the record parses");
  const store::v1::Accepted& accepted = record.accepted();
  Require(accepted.generation() == generation && accepted.accepted_boot_ms() == 77,
          "the core's decision is in the record");
  CheckAccepted(accepted);
  const daemon::TaskFacts facts = daemon::FactsOf(accepted);
  Require(facts.owner == packed.facts.owner && facts.provider == packed.facts.provider &&
              facts.timeout_ms == packed.facts.timeout_ms &&
              facts.start_deadline_ms == packed.facts.start_deadline_ms &&
              facts.lease_ttl_ms == packed.facts.lease_ttl_ms &&
              facts.priority == packed.facts.priority && facts.replaces == packed.facts.replaces,
          "facts before and after the store are equal");
  Require(facts.timeout_ms >= 0 && facts.start_deadline_ms >= 0 && facts.lease_ttl_ms >= 0,
          "times are not negative");
  daemon::TaskTable table;
  Require(table.Apply(generation, record).ok(), "the record applies");
  Require(*table.Find(generation)->key == packed.facts.key,
          "the key is the one that was decided by");
}

void CheckItem(const v1::TaskSpec& spec, int64_t generation) {
  const daemon::PrepareContext& context = TheWorld().context;
  daemon::PreparedTask task = daemon::Prepare(spec, context);
  CheckRefusal(task);
  const bool refused = !task.violations.empty();
  if (!refused) {
    Require(spec.ByteSizeLong() <= kItemBytes, "an item of at most 1 MiB");
    Require(task.digest.size() == 32, "a digest");
    v1::TaskSpec copy;
    Require(copy.ParseFromString(spec.SerializeAsString()), "a message parses again");
    Require(daemon::ContentDigest(copy, TheWorld().keeper) == task.digest,
            "equal content has an equal digest");
  }
  PackedTask packed = daemon::Pack(std::move(task));
  if (!refused) CheckStored(std::move(packed), generation);
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper;
  if (!daemon::CheckBatchBytes(size).ok()) return 0;
  const grpc::Slice slice(data, size);
  const grpc::ByteBuffer wire(&slice, 1);
  v1::SubmitTasksRequest request;
  if (!daemon::ParseRequest(wire, request).ok()) return 0;
  fuzz::Require(request.tasks_size() <= daemon::kItemsMax, "at most 1000 items");
  int64_t generation = 0;
  for (const v1::TaskSpec& spec : request.tasks()) fuzz::CheckItem(spec, ++generation);
  return 0;
}
