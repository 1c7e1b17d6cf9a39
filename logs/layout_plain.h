// The `plain` layout: one object per stream, byte i of the stream at place i, but for one gap where
// the limit dropped bytes: there stands a marker, and what follows moves up behind it.
#pragma once

#include <cstdint>
#include <string>

#include "logs/spool_files.h"

namespace boxkeeper::logs {

// "\n[boxkeeper: dropped N bytes]\n"; empty for an empty gap.
std::string PlainMarker(const Hole& gap);

// Where byte `offset` of the stream stands in the object. For an offset in the gap: where the
// marker begins.
uint64_t PlainPlace(const Hole& gap, uint64_t offset);

}  // namespace boxkeeper::logs
