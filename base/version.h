// The version of everything built from this tree.
#pragma once

namespace boxkeeper::base {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace boxkeeper::base
