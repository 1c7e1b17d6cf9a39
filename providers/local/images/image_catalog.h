// The images of a provider's configuration, for the loop.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/wait_list.h"
#include "providers/local/images/image_store.h"
#include "providers/local/images/oci_layout.h"

namespace boxkeeper::providers::local {

// What a sandbox with an image needs.
struct PreparedImage {
  std::string root;    // absolute path
  std::string digest;  // "" for a directory
  ImageDefaults defaults;
};

// Resolves and unpacks images by name. What a name means is looked up once, by Open, and then stays
// until the process ends; a name that meant nothing usable is looked up again when it is asked for.
// Lives on the loop; file work happens on one thread of its own, since it takes minutes for large
// images. Its end stops that work and waits for it.
class ImageCatalog {
 public:
  // `images`: paths by name; `directory`: of the ImageStore.
  ImageCatalog(boost::asio::any_io_executor loop, base::Clock& clock,
               const std::map<std::string, std::string>& images, std::string directory);
  ~ImageCatalog();

  // Looks every image up. kInvalidArgument naming all that are unusable; the others can be used.
  // Repeatable.
  boost::asio::awaitable<absl::Status> Open(base::BootTime deadline);

  // The image, unpacked if it was not yet. kNotFound: no such name, or nothing at its path;
  // kInvalidArgument, kPermissionDenied, kDataLoss, kResourceExhausted, ...: it cannot be used (the
  // next call tries again); kDeadlineExceeded: it is still being unpacked, which goes on.
  boost::asio::awaitable<absl::StatusOr<PreparedImage>> Prepare(std::string name,
                                                                base::BootTime deadline);

  // Whether Open found something that RemoveUnused could remove.
  bool HasUnused() const { return has_unused_; }
  // Removes the unpacked images that no name means and that are not in `used` (digests), and what
  // broke off. Goes on in the background; does nothing while a name's meaning is not known.
  void RemoveUnused(std::set<std::string> used);

  // Why images cannot be used, "NAME: why" each, as far as is known.
  std::vector<std::string> Complaints() const;

 private:
  struct Image {
    std::string path;
    absl::StatusOr<ResolvedImage> resolved = absl::UnavailableError("not looked up yet");
    absl::StatusOr<std::string> root = absl::UnavailableError("not unpacked yet");
    bool preparing = false;
  };

  // Runs `work` on the thread, then `done` with its result on the loop, unless this is gone.
  template <typename Work, typename Done>
  void OnThread(Work work, Done done);
  void StartPreparing(Image& image);

  const boost::asio::any_io_executor loop_;
  std::map<std::string, Image> images_;  // never grows or shrinks
  ImageStore store_;
  bool opening_ = false;
  bool has_unused_ = false;
  base::WaitList changed_;
  std::atomic<bool> stop_ = false;
  std::shared_ptr<ImageCatalog*> self_ = std::make_shared<ImageCatalog*>(this);
  boost::asio::thread_pool thread_{1};
};

}  // namespace boxkeeper::providers::local
