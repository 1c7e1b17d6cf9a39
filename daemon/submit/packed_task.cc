#include "daemon/submit/packed_task.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <utility>

namespace boxkeeper::daemon {
namespace {

namespace rec = ::boxkeeper::store::v1;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

// What a decision mostly takes (five fields, large numbers): room for it is made off the loop.
constexpr size_t kDecisionBytes = 40;
constexpr size_t kDecisionBytesMax = 64;
constexpr size_t kHeaderBytesMax = 6;  // a tag of one byte, a length of up to five

int64_t Millis(const google::protobuf::Duration& d) {
  return d.seconds() * 1000 + d.nanos() / 1'000'000;
}
int64_t Millis(const google::protobuf::Timestamp& t) {
  return t.seconds() * 1000 + t.nanos() / 1'000'000;
}

uint8_t* WriteNumber(int field, int64_t number, uint8_t* out) {
  return number == 0 ? out : WireFormatLite::WriteInt64ToArray(field, number, out);
}

}  // namespace

std::string OwnLogPath(const rec::Accepted& accepted) {
  const v1::LogSpec& log = accepted.spec().log();
  return log.layout() == "airflow" ? "" : log.path();
}

TaskFacts FactsOf(const rec::Accepted& accepted) {
  TaskFacts facts;
  const v1::SandboxSpec& spec = accepted.spec();
  facts.owner = accepted.owner();
  if (spec.provider_size() > 0) facts.provider = spec.provider(0);
  facts.own_log_path = OwnLogPath(accepted);
  if (spec.has_start_deadline()) facts.start_deadline_ms = Millis(spec.start_deadline());
  if (spec.has_timeout()) facts.timeout_ms = Millis(spec.timeout());
  if (spec.has_grace()) facts.grace_ms = Millis(spec.grace());
  if (accepted.has_lease()) {
    facts.lease_ttl_ms = Millis(accepted.lease().ttl());
    facts.lease_cancels = accepted.lease().on_lapse() == v1::Lease::CANCEL;
  }
  facts.replaces = accepted.replaces();
  facts.priority = spec.priority();
  facts.has_outputs = spec.outputs_size() > 0;
  for (const v1::TaskFile& file : accepted.files()) {
    if (!file.blob().empty()) facts.blobs.push_back(file.blob());
  }
  std::sort(facts.blobs.begin(), facts.blobs.end());
  facts.blobs.erase(std::unique(facts.blobs.begin(), facts.blobs.end()), facts.blobs.end());
  return facts;
}

PackedTask Pack(PreparedTask task) {
  PackedTask packed;
  packed.submission_id = task.submission_id;
  packed.on_live_key = task.on_live_key;
  if (task.violations.empty()) {
    rec::Accepted& record = task.record;
    record.set_submission_id(task.submission_id.id.bytes.data(),
                             task.submission_id.id.bytes.size());
    record.set_digest(task.digest);
    record.set_replaces(task.on_live_key == v1::ON_LIVE_KEY_REPLACE);
    packed.facts = FactsOf(record);
    const size_t bytes = record.ByteSizeLong();
    packed.accepted.reserve(bytes + kDecisionBytes);
    packed.accepted.resize(bytes);
    record.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(packed.accepted.data()));
  }
  packed.violations = std::move(task.violations);
  packed.digest = std::move(task.digest);
  packed.sealed_box = std::move(task.sealed_box);
  packed.facts.key = std::move(task.key);
  return packed;
}

void AppendDecision(const Decision& decision, std::string& accepted) {
  uint8_t bytes[kDecisionBytesMax];
  uint8_t* end = WriteNumber(rec::Accepted::kGenerationFieldNumber, decision.generation, bytes);
  end = WireFormatLite::WriteTagToArray(rec::Accepted::kIdFieldNumber,
                                        WireFormatLite::WIRETYPE_LENGTH_DELIMITED, end);
  const auto& id = decision.id.id.bytes;
  *end++ = static_cast<uint8_t>(id.size());
  end = std::copy(id.begin(), id.end(), end);
  end = WriteNumber(rec::Accepted::kAcceptedAtMsFieldNumber, decision.accepted_at_ms, end);
  end = WriteNumber(rec::Accepted::kAcceptedBootMsFieldNumber, decision.accepted_boot_ms, end);
  end = WriteNumber(rec::Accepted::kAfterGenerationFieldNumber, decision.after_generation, end);
  accepted.append(bytes, end);
}

std::string AcceptedRecord(std::string_view accepted) {
  uint8_t header[kHeaderBytesMax];
  uint8_t* end = WireFormatLite::WriteTagToArray(rec::Record::kAcceptedFieldNumber,
                                                 WireFormatLite::WIRETYPE_LENGTH_DELIMITED, header);
  end = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(accepted.size()), end);
  std::string record;
  record.reserve(static_cast<size_t>(end - header) + accepted.size());
  record.append(header, end);
  record.append(accepted);
  return record;
}

}  // namespace boxkeeper::daemon
