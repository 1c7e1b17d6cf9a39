#include "launcher/abilities.h"

#include "launcher/tlv.h"

namespace boxkeeper::launcher {
namespace {

enum Tag : uint16_t { kBubblewrap = 1, kCpu = 2, kMemory = 3, kPids = 4, kDisk = 5 };

std::string EncodeOne(const Ability& ability) {
  TlvWriter out;
  out.Bytes(1, ability.how);
  out.Bytes(2, ability.why_not);
  return out.Take();
}

bool DecodeOne(std::string_view bytes, Ability* ability) {
  *ability = {};
  TlvReader reader(bytes);
  Tlv field;
  while (reader.Next(&field)) {
    if (field.tag == 1) ability->how = field.String();
    if (field.tag == 2) ability->why_not = field.String();
  }
  return reader.ok();
}

Ability* Find(uint16_t tag, Abilities* abilities) {
  switch (tag) {
    case kBubblewrap:
      return &abilities->bubblewrap;
    case kCpu:
      return &abilities->cpu;
    case kMemory:
      return &abilities->memory;
    case kPids:
      return &abilities->pids;
    case kDisk:
      return &abilities->disk;
    default:
      return nullptr;
  }
}

}  // namespace

std::string Encode(const Abilities& abilities) {
  TlvWriter out;
  out.Bytes(kBubblewrap, EncodeOne(abilities.bubblewrap));
  out.Bytes(kCpu, EncodeOne(abilities.cpu));
  out.Bytes(kMemory, EncodeOne(abilities.memory));
  out.Bytes(kPids, EncodeOne(abilities.pids));
  out.Bytes(kDisk, EncodeOne(abilities.disk));
  return out.Take();
}

bool Decode(std::string_view payload, Abilities* abilities) {
  for (const uint16_t tag : {kBubblewrap, kCpu, kMemory, kPids, kDisk}) {
    *Find(tag, abilities) = {.how = "", .why_not = "this boxlaunch does not know it: restart it"};
  }
  TlvReader reader(payload);
  Tlv field;
  while (reader.Next(&field)) {
    Ability* ability = Find(field.tag, abilities);
    if (ability != nullptr && !DecodeOne(field.value, ability)) return false;
  }
  return reader.ok();
}

}  // namespace boxkeeper::launcher
