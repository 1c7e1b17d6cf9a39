#include "providers/testing/fault_script.h"

#include <yaml-cpp/yaml.h>

#include <array>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/duration_text.h"
#include "base/status_macros.h"
#include "providers/runtime/http_errors.h"

namespace boxkeeper::providers::testing {
namespace {

using std::chrono::nanoseconds;

constexpr std::array<const char*, static_cast<size_t>(Verb::kCount)> kVerbWords{
    "open",    "create",      "start",  "find",    "list",
    "inspect", "read_output", "signal", "destroy", "fence"};

absl::Status Wrong(const std::string& key, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", what));
}

// Reads one map; every key must be asked for.
class MapReader {
 public:
  MapReader(std::string place, const YAML::Node& node) : place_(std::move(place)), node_(node) {
    if (!node.IsDefined() || node.IsNull()) return;
    if (!node.IsMap()) {
      Fail("", "must be a map");
      return;
    }
    for (const auto& entry : node) unread_.insert_or_assign(entry.first.Scalar(), true);
  }

  YAML::Node Take(const std::string& key) {
    if (unread_.erase(key) == 0) return YAML::Node(YAML::NodeType::Undefined);
    return node_[key];
  }
  void Number(const std::string& key, double min, double max, double* out) {
    const YAML::Node node = Take(key);
    if (!node.IsDefined()) return;
    double value = 0;
    if (!node.IsScalar() || !YAML::convert<double>::decode(node, value) || !(value >= min) ||
        !(value <= max)) {
      return Fail(key, absl::StrCat("must be a number from ", min, " to ", max));
    }
    *out = value;
  }
  template <typename Int>
  void Whole(const std::string& key, int64_t min, int64_t max, Int* out) {
    const YAML::Node node = Take(key);
    if (!node.IsDefined()) return;
    int64_t value = 0;
    if (!node.IsScalar() || !YAML::convert<int64_t>::decode(node, value) || value < min ||
        value > max) {
      return Fail(key, absl::StrCat("must be a whole number from ", min, " to ", max));
    }
    *out = static_cast<Int>(value);
  }
  void Time(const std::string& key, nanoseconds* out) {
    const YAML::Node node = Take(key);
    if (!node.IsDefined()) return;
    const auto duration = base::DurationFromText(node.IsScalar() ? node.Scalar() : "");
    if (!duration.ok()) return Fail(key, std::string(duration.status().message()));
    *out = absl::ToChronoNanoseconds(*duration);
  }
  std::string Word(const std::string& key) {
    const YAML::Node node = Take(key);
    if (!node.IsDefined()) return "";
    if (!node.IsScalar()) Fail(key, "must be a word");
    return node.IsScalar() ? node.Scalar() : "";
  }
  // Empty: `all`, or not said.
  std::vector<Verb> Verbs(const std::string& key) {
    const YAML::Node node = Take(key);
    std::vector<Verb> verbs;
    if (!node.IsDefined() || (node.IsScalar() && node.Scalar() == "all")) return verbs;
    if (!node.IsSequence()) Fail(key, "must be 'all' or a list of verbs");
    for (const auto& entry : node) {
      const auto verb = VerbOfWord(entry.IsScalar() ? entry.Scalar() : "");
      if (verb.has_value()) {
        verbs.push_back(*verb);
      } else {
        Fail(key, absl::StrCat("allowed are: ", absl::StrJoin(kVerbWords, ", ")));
      }
    }
    return verbs;
  }
  bool Has(const std::string& key) const { return unread_.contains(key); }
  void Fail(const std::string& key, const std::string& what) {
    if (status_.ok()) status_ = Wrong(key.empty() ? place_ : absl::StrCat(place_, key), what);
  }
  // OK if everything was understood.
  absl::Status Finish() {
    if (status_.ok() && !unread_.empty()) Fail(unread_.begin()->first, "unknown key");
    return status_;
  }

 private:
  const std::string place_;  // "faults[2]."
  const YAML::Node node_;
  std::map<std::string, bool> unread_;
  absl::Status status_;
};

// How the words of the language map to kinds, and how often the effect happens if nothing is said.
struct Kind {
  FaultKind kind;
  double effect;
};
const std::map<std::string, Kind>& Kinds() {
  static const auto* const kinds = new std::map<std::string, Kind>{
      {"status", {FaultKind::kAnswer, 0.5}}, {"hang", {FaultKind::kHang, 0.5}},
      {"drip", {FaultKind::kDrip, 1}},       {"lost", {FaultKind::kReset, 1}},
      {"reset", {FaultKind::kReset, 0.5}},   {"cut", {FaultKind::kCut, 1}},
      {"html", {FaultKind::kHtml, 0.5}},     {"garbage", {FaultKind::kGarbage, 0.5}},
      {"huge", {FaultKind::kHuge, 0.5}}};
  return *kinds;
}

void ForVerbs(const std::vector<Verb>& verbs, FakeProviderOptions& options,
              const std::function<void(VerbFaults&)>& change) {
  for (size_t i = 0; i < options.verbs.size(); ++i) {
    const Verb verb = static_cast<Verb>(i);
    // Opening is not a call of the API.
    const bool meant = verbs.empty() ? verb != Verb::kOpen
                                     : std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
    if (meant) change(options.verbs[i]);
  }
}

absl::Status ReadFault(const std::string& place, const YAML::Node& node,
                       FakeProviderOptions& options) {
  MapReader reader(place, node);
  const std::vector<Verb> verbs = reader.Verbs("verbs");
  const std::string word = reader.Word("fault");
  if (word == "latency") {
    Latency latency;
    reader.Time("min", &latency.min);
    latency.max = latency.min;
    reader.Time("max", &latency.max);
    reader.Number("tail", 0, 1, &latency.tail);
    latency.tail_max = latency.max;
    reader.Time("tail_max", &latency.tail_max);
    if (latency.max < latency.min) reader.Fail("max", "must not be below min");
    RETURN_IF_ERROR(reader.Finish());
    ForVerbs(verbs, options, [&](VerbFaults& faults) { faults.latency = latency; });
    return absl::OkStatus();
  }
  const auto kind = Kinds().find(word);
  if (kind == Kinds().end()) {
    reader.Fail("fault", "allowed are: latency, " +
                             absl::StrJoin(Kinds(), ", ", [](auto* out, const auto& k) {
                               absl::StrAppend(out, k.first);
                             }));
    return reader.Finish();
  }
  ErrorFault fault;
  fault.kind = kind->second.kind;
  fault.effect_probability = kind->second.effect;
  fault.probability = 1;
  reader.Number("probability", 0, 1, &fault.probability);
  reader.Whole("count", 0, INT64_MAX, &fault.count);
  reader.Number("effect", 0, 1, &fault.effect_probability);
  if (fault.kind == FaultKind::kAnswer) {
    reader.Whole("status", 400, 599, &fault.http_status);
    reader.Time("retry_after", &fault.retry_after);
    if (fault.http_status == 0) reader.Fail("status", "is needed: 400 to 599");
    StatusMeaning meaning = MeaningOfHttpStatus(fault.http_status);
    // A 404 without the API's own word for it comes from somebody else: it says nothing.
    if (meaning.error_class == pb::NOT_FOUND) meaning = {pb::PROTOCOL, false};
    fault.error_class = meaning.error_class;
    fault.proves_no_effect = meaning.proves_no_effect;
  }
  RETURN_IF_ERROR(reader.Finish());
  ForVerbs(verbs, options, [&](VerbFaults& faults) { faults.errors.push_back(fault); });
  return absl::OkStatus();
}

absl::Status ReadScript(const YAML::Node& root, FakeProviderOptions& options,
                        FakeWorldOptions& world) {
  MapReader reader("", root);
  if (const YAML::Node faults = reader.Take("faults"); faults.IsDefined()) {
    if (!faults.IsSequence()) return Wrong("faults", "must be a list");
    for (size_t i = 0; i < faults.size(); ++i) {
      RETURN_IF_ERROR(ReadFault(absl::StrCat("faults[", i, "]."), faults[i], options));
    }
  }
  MapReader rate("rate_limit.", reader.Take("rate_limit"));
  rate.Number("per_second", 0, 1e9, &options.rate_limit.per_second);
  rate.Time("retry_after", &options.rate_limit.retry_after);
  options.rate_limit.verbs = rate.Verbs("verbs");
  RETURN_IF_ERROR(rate.Finish());
  MapReader vanish("vanish.", reader.Take("vanish"));
  vanish.Number("probability", 0, 1, &options.vanish);
  vanish.Time("within", &options.vanish_within);
  RETURN_IF_ERROR(vanish.Finish());
  reader.Whole("page_size", 1, 1'000'000, &options.page_size);
  reader.Number("duplicate_row", 0, 1, &options.duplicate_row);
  reader.Number("duplicate_page", 0, 0.99, &options.duplicate_page);
  reader.Number("unknown_state", 0, 1, &options.unknown_state);
  reader.Number("hint_lost", 0, 1, &options.hint_lost);
  reader.Number("hint_with_view", 0, 1, &options.hint_with_view);
  reader.Time("create_list_lag", &world.create_list_lag);
  reader.Time("delete_list_lag", &world.delete_list_lag);
  reader.Time("kill_latency", &world.kill_latency);
  reader.Whole("capacity", 0, INT64_MAX, &world.capacity);
  reader.Whole("quota", 0, INT64_MAX, &world.quota);
  return reader.Finish();
}

}  // namespace

const char* VerbWord(Verb verb) { return kVerbWords.at(static_cast<size_t>(verb)); }

std::optional<Verb> VerbOfWord(const std::string& word) {
  for (size_t i = 0; i < kVerbWords.size(); ++i) {
    if (word == kVerbWords[i]) return static_cast<Verb>(i);
  }
  return std::nullopt;
}

absl::Status ApplyFaultScript(const std::string& text, FakeProviderOptions& options,
                              FakeWorldOptions& world) {
  FakeProviderOptions next;
  next.name = options.name;
  next.events = options.events;
  next.spec_keys = options.spec_keys;
  FakeWorldOptions next_world = world;
  const FakeWorldOptions calm;
  next_world.create_list_lag = calm.create_list_lag;
  next_world.delete_list_lag = calm.delete_list_lag;
  next_world.kill_latency = calm.kill_latency;
  next_world.capacity = calm.capacity;
  next_world.quota = calm.quota;
  try {
    RETURN_IF_ERROR(ReadScript(YAML::Load(text), next, next_world));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("not YAML: ", error.what()));
  }
  options = std::move(next);
  world = std::move(next_world);
  return absl::OkStatus();
}

}  // namespace boxkeeper::providers::testing
