// What the launcher reads back: the records of a sandbox's directory, the launch spec of a memfd,
// notices of supervisors, reports of an init. First byte: which, and whether the rest stands inside
// a valid frame (the checksum would keep a mutation out).
#include <optional>
#include <string>

#include "base/core/bytes.h"
#include "base/core/crc32c.h"
#include "launcher/isolation/init_link.h"
#include "launcher/launch_spec.h"
#include "launcher/records.h"
#include "launcher/supervisor_link.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using namespace launcher;

// launcher/records.h: magic, kind, version, length, checksum, payload.
std::string Framed(uint16_t kind, std::string_view payload) {
  std::string out = "BKLR";
  base::AppendLittle(out, kind);
  base::AppendLittle<uint16_t>(out, 1);
  base::AppendLittle(out, static_cast<uint32_t>(payload.size()));
  base::AppendLittle(out, base::Crc32c(payload, base::Crc32c(out)));
  return out.append(payload);
}

template <typename Record>
void CheckRecord(std::string_view bytes) {
  Record record;
  if (!DecodeRecord(bytes, &record)) return;
  const std::string encoded = EncodeRecord(record);
  Record again;
  Require(DecodeRecord(encoded, &again), "a record that was written is read");
  Require(EncodeRecord(again) == encoded, "a record is stable");
}

void CheckRecords(std::string_view bytes) {
  CheckRecord<BootRecord>(bytes);
  CheckRecord<StartedRecord>(bytes);
  CheckRecord<PidRecord>(bytes);
  CheckRecord<ExitRecord>(bytes);
}

void CheckSpec(std::string_view bytes) {
  LaunchSpec spec;
  std::string error;
  if (!DecodeLaunchSpec(bytes, &spec, &error)) {
    Require(!error.empty(), "a launch spec that is refused says why");
    return;
  }
  (void)ValidateLaunchSpec(spec);
  LaunchSpec again;
  Require(DecodeLaunchSpec(EncodeLaunchSpec(spec), &again, &error) && again == spec,
          "a launch spec is stable", error);
  spec.Wipe();
}

std::string SpecFrame(std::string_view payload) {
  std::string out = "BXLS";
  base::AppendLittle(out, kLaunchSpecVersion);
  base::AppendLittle<uint16_t>(out, 0);
  base::AppendLittle(out, static_cast<uint64_t>(payload.size()));
  return out.append(payload);
}

// Takes messages off the front until none is whole; each is taken once.
void CheckNotices(std::string buffer) {
  Notice notice;
  for (size_t before = buffer.size(); TakeNotice(&buffer, &notice); before = buffer.size()) {
    Require(buffer.size() < before, "a notice is taken off the buffer");
    std::string encoded = EncodeNotice(notice);
    Notice again;
    Require(TakeNotice(&encoded, &again) && encoded.empty(), "a notice is one message");
    Require(again.sandbox_id == notice.sandbox_id && again.record == notice.record,
            "a notice is stable");
  }
}

void CheckReports(std::string buffer) {
  for (size_t before = buffer.size();; before = buffer.size()) {
    const std::optional<InitReport> report = TakeReport(&buffer);
    if (!report) return;
    Require(buffer.size() < before, "a report is taken off the buffer");
  }
}

void CheckControl(std::string_view bytes) {
  if (bytes.size() < sizeof(uint64_t)) return;
  const Control control = UnpackControl(base::LittleAt<uint64_t>(bytes, 0));
  const uint64_t packed = PackControl(control);
  Require(PackControl(UnpackControl(packed)) == packed, "a control word is stable");
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper::fuzz;
  if (size == 0) return 0;
  const std::string_view bytes = View(data + 1, size - 1);
  switch (data[0] % 11) {
    case 0:
      CheckRecords(bytes);
      break;
    case 1:
    case 2:
    case 3:
    case 4:
      CheckRecords(Framed(static_cast<uint16_t>(data[0] % 11), bytes));
      break;
    case 5:
      CheckSpec(bytes);
      break;
    case 6:
      CheckSpec(SpecFrame(bytes));
      break;
    case 7:
      CheckNotices(std::string(bytes));
      break;
    case 8:
      CheckReports(std::string(bytes));
      break;
    default:
      CheckControl(bytes);
      break;
  }
  return 0;
}
