#include "launcher/tlv.h"

#include <algorithm>
#include <cstring>

#include "base/core/bytes.h"

namespace boxkeeper::launcher {

void TlvWriter::Bytes(uint16_t tag, std::string_view value) {
  base::AppendLittle(out_, tag);
  base::AppendLittle(out_, static_cast<uint32_t>(value.size()));
  out_.append(value);
}

void TlvWriter::Number(uint16_t tag, uint64_t value) {
  if (value == 0) return;
  base::AppendLittle(out_, tag);
  base::AppendLittle<uint32_t>(out_, sizeof(value));
  base::AppendLittle(out_, value);
}

uint64_t Tlv::Number() const {
  uint64_t number = 0;
  std::memcpy(&number, value.data(), std::min(value.size(), sizeof(number)));
  return number;
}

bool TlvReader::Next(Tlv* field) {
  constexpr size_t kHeader = 6;
  if (left_.size() < kHeader) return false;
  const auto length = base::LittleAt<uint32_t>(left_, 2);
  if (length > left_.size() - kHeader) return false;
  field->tag = base::LittleAt<uint16_t>(left_, 0);
  field->value = left_.substr(kHeader, length);
  left_.remove_prefix(kHeader + length);
  return true;
}

}  // namespace boxkeeper::launcher
