// Places where test builds can break the program on purpose: die at a moment that matters, or carry
// a realistic bug that a test must find. Neither can be switched on in a product binary: what arms
// them (base/testing:armed_fault_points) is linked into test binaries only.
#pragma once

namespace boxkeeper::base {

// A moment at which a crash is worth trying, named "<what>.<when>", e.g. "commit.before_sync". Any
// thread.
void Failpoint(const char* name);

// True while a test has switched this bug on; always false in the product. Any thread.
//
//   if (!base::Mutated("start_before_sync")) co_await Durable();
bool Mutated(const char* name);

}  // namespace boxkeeper::base
