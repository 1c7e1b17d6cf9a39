// Executor.PutBlob: from the client's stream into the blob store.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "blobs/blob_store.h"
#include "daemon/service/call_host.h"

namespace boxkeeper::daemon {

inline constexpr size_t kBlobPieceBytesMax = 4 << 20;  // of PutBlobRequest.data

// `blobs`: null where there is no blob store.
grpc::ServerReadReactor<grpc::ByteBuffer>* ServePutBlob(CallHost& host, blobs::BlobStore* blobs,
                                                        grpc::CallbackServerContext* context,
                                                        grpc::ByteBuffer* response);

}  // namespace boxkeeper::daemon
