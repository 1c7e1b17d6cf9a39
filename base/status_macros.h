// RETURN_IF_ERROR and ASSIGN_OR_RETURN (abseil 20220623 has none). In coroutines use the CO_ forms
// and name the awaited result first: `auto result = co_await F(); CO_ASSIGN_OR_RETURN(auto value,
// std::move(result));`
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define BK_STATUS_CONCAT_INNER(a, b) a##b
#define BK_STATUS_CONCAT(a, b) BK_STATUS_CONCAT_INNER(a, b)

#define BK_RETURN_IF_ERROR_IMPL(ret, expr) \
  do {                                     \
    ::absl::Status bk_status = (expr);     \
    if (!bk_status.ok()) ret bk_status;    \
  } while (false)
#define RETURN_IF_ERROR(expr) BK_RETURN_IF_ERROR_IMPL(return, expr)
#define CO_RETURN_IF_ERROR(expr) BK_RETURN_IF_ERROR_IMPL(co_return, expr)

#define BK_ASSIGN_OR_RETURN_IMPL(ret, tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) ret tmp.status();                    \
  lhs = *std::move(tmp)
#define ASSIGN_OR_RETURN(lhs, expr) \
  BK_ASSIGN_OR_RETURN_IMPL(return, BK_STATUS_CONCAT(bk_or_, __LINE__), lhs, expr)
#define CO_ASSIGN_OR_RETURN(lhs, expr) \
  BK_ASSIGN_OR_RETURN_IMPL(co_return, BK_STATUS_CONCAT(bk_or_, __LINE__), lhs, expr)
