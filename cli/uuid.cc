#include "cli/uuid.h"

#include "base/id128.h"
#include "base/rng.h"

namespace boxkeeper::cli {

std::string NewUuid() {
  base::Id128 id = base::MakeSystemRng()->NewId();
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0F) | 0x40);
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3F) | 0x80);
  return id.ToUuid();
}

}  // namespace boxkeeper::cli
