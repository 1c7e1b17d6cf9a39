#include "launcher/tlv.h"

#include <algorithm>
#include <cstring>

#include "base/core/bytes.h"

namespace boxkeeper::launcher {

namespace {

constexpr size_t kFieldHeaderBytes = 6;

}  // namespace

void TlvWriter::Reserve(size_t more) {
  if (out_.capacity() - out_.size() >= more) return;
  std::string larger;
  larger.reserve(std::max(2 * out_.capacity(), out_.size() + more));
  larger += out_;
  base::WipeString(out_);
  out_ = std::move(larger);
}

void TlvWriter::Bytes(uint16_t tag, std::string_view value) {
  Reserve(kFieldHeaderBytes + value.size());
  base::AppendLittle(out_, tag);
  base::AppendLittle(out_, static_cast<uint32_t>(value.size()));
  out_.append(value);
}

void TlvWriter::Number(uint16_t tag, uint64_t value) {
  if (value == 0) return;
  Reserve(kFieldHeaderBytes + sizeof(value));
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
  if (left_.size() < kFieldHeaderBytes) return false;
  const auto length = base::LittleAt<uint32_t>(left_, 2);
  if (length > left_.size() - kFieldHeaderBytes) return false;
  field->tag = base::LittleAt<uint16_t>(left_, 0);
  field->value = left_.substr(kFieldHeaderBytes, length);
  left_.remove_prefix(kFieldHeaderBytes + length);
  return true;
}

}  // namespace boxkeeper::launcher
