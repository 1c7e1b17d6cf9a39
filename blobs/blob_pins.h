// What the daemon's core asks of stored blobs.
#pragma once

#include <string>

namespace boxkeeper::blobs {

// Used on the loop. `sha256`: 64 lower-case hexadecimal digits.
class BlobPins {
 public:
  virtual ~BlobPins() = default;
  // Holds a blob until as many Unpins. False: it is not here, and nothing is held.
  virtual bool Pin(const std::string& sha256) = 0;
  // From the last one on it is kept for the store's ttl.
  virtual void Unpin(const std::string& sha256) = 0;
  // Absolute path of the file with its content; of no file, if the blob is not here.
  virtual std::string PathOf(const std::string& sha256) const = 0;
};

}  // namespace boxkeeper::blobs
