#include "store/task_store.h"

namespace boxkeeper::store {

size_t Batch::bytes() const {
  size_t bytes = 0;
  for (const PutRecord& put : puts) bytes += put.record.size();
  return bytes;
}

}  // namespace boxkeeper::store
