// Settings of the daemon's malloc, jemalloc: much of what one thread allocates another frees, and
// glibc's arenas pay for that with locks and with consolidations (docs/performance.md,
// "Admission").

// Read by jemalloc when the process starts. Few arenas and small thread caches: the daemon has some
// 30 threads, of which 5 are busy, and is to be small when it idles.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "narenas:4,tcache_max:4096";
}
