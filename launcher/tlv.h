// Tagged fields: the body of every frame, record and launch spec.
//
// A field is tag u16, length u32, then that many bytes; all integers little-endian. A reader skips
// tags that it does not know and takes the default for those that are missing, so either side may
// be newer. Numbers are written with 8 bytes and read with 1 to 8. A list is a repeated tag.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace boxkeeper::launcher {

class TlvWriter {
 public:
  void Bytes(uint16_t tag, std::string_view value);
  // A zero is left out: it is every number's default.
  void Number(uint16_t tag, uint64_t value);
  std::string Take() { return std::move(out_); }

 private:
  // Makes room for `more` bytes; what it outgrows is overwritten, since it may hold secrets.
  void Reserve(size_t more);

  std::string out_;
};

struct Tlv {
  uint16_t tag = 0;
  std::string_view value;

  // The field as a number; longer ones are cut to 8 bytes.
  uint64_t Number() const;
  std::string String() const { return std::string(value); }
};

// Walks the fields of `bytes`, which must outlive it.
class TlvReader {
 public:
  explicit TlvReader(std::string_view bytes) : left_(bytes) {}

  // Takes the next field; false at the end and at a field that does not fit.
  bool Next(Tlv* field);
  // After Next() was false: whether the end was a clean one.
  bool ok() const { return left_.empty(); }

 private:
  std::string_view left_;
};

}  // namespace boxkeeper::launcher
