// A part of a stream, as readers get it.
#pragma once

#include <cstdint>
#include <string>

namespace boxkeeper::logs {

struct LogChunk {
  uint64_t offset = 0;    // of data[0], or of the first dropped byte
  std::string data = {};  // byte-exact but for redacted values
  uint64_t dropped_bytes =
      0;  // > 0: that many bytes at `offset` are gone; `data` is empty; go on behind them
  bool end = false;  // nothing comes after this chunk, ever
  // > 0: the stream goes on there, because `data` stands for more or fewer bytes (freed_pieces.h)
  uint64_t goes_on_at = 0;
  uint64_t next() const {
    return goes_on_at > 0 ? goes_on_at : offset + data.size() + dropped_bytes;
  }
};

}  // namespace boxkeeper::logs
