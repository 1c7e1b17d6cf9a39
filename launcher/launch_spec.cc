#include "launcher/launch_spec.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/core/bytes.h"
#include "launcher/tlv.h"

namespace boxkeeper::launcher {
namespace {

constexpr std::string_view kMagic = "BXLS";
constexpr size_t kHeaderBytes = 16;
constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;

enum Tag : uint16_t {
  kCommandKind = 1,
  kArg = 2,
  kText = 3,
  kLang = 4,
  kEnv = 5,        // EnvVar
  kSecretEnv = 6,  // EnvVar
  kFile = 7,       // LaunchFile
  kWorkdir = 8,
  kUser = 9,
  kRunTimeoutMs = 10,
  kGraceMs = 11,
  kStdoutPath = 12,
  kStderrPath = 13,
  kIndexPath = 14,
  kLogBytesMax = 15,
  kOverflow = 16,
  kFinalDrainMs = 17,
  kIsolation = 18,  // IsolationSpec, LimitsSpec, OutputsSpec and more: what must not be skipped
};
enum EnvTag : uint16_t { kEnvName = 1, kEnvValue = 2 };
enum FileTag : uint16_t {
  kFilePath = 1,
  kFileMode = 2,
  kFileContent = 3,
  kFileSecret = 4,
  kFileBlobPath = 5,
  kFileBlobSha256 = 6,
};
enum IsolationTag : uint16_t {
  kIsolationKind = 1,
  kHostNetwork = 2,
  kRoot = 3,
  kVolume = 5,  // Volume; 4 is not to be used again
  kCpuMillis = 6,
  kMemoryBytes = 7,
  kPids = 8,
  kDiskBytes = 9,
  kOutputPattern = 10,
  kOutputsPath = 11,
  kOutputFilesMax = 12,
  kOutputBytesMax = 13,
  kOutputsTimeoutMs = 14,
  kStdinPath = 15,
  kBlobFile = 16,  // LaunchFile with a blob
};
enum VolumeTag : uint16_t {
  kVolumeSource = 1,
  kVolumeTarget = 2,
  kVolumeReadOnly = 3,
  kVolumeBeneath = 4,
};

std::string EncodeEnv(const EnvVar& variable) {
  TlvWriter out;
  out.Bytes(kEnvName, variable.name);
  out.Bytes(kEnvValue, variable.value);
  return out.Take();
}

bool DecodeEnv(std::string_view bytes, EnvVar* variable) {
  TlvReader reader(bytes);
  Tlv field;
  while (reader.Next(&field)) {
    if (field.tag == kEnvName) variable->name = field.String();
    if (field.tag == kEnvValue) variable->value = field.String();
  }
  return reader.ok();
}

std::string EncodeFile(const LaunchFile& file) {
  TlvWriter out;
  out.Bytes(kFilePath, file.path);
  out.Number(kFileMode, file.mode);
  out.Bytes(kFileContent, file.content);
  out.Number(kFileSecret, file.secret);
  if (file.blob_path.empty()) return out.Take();
  out.Bytes(kFileBlobPath, file.blob_path);
  out.Bytes(kFileBlobSha256, file.blob_sha256);
  return out.Take();
}

bool DecodeFile(std::string_view bytes, LaunchFile* file) {
  file->mode = 0;
  TlvReader reader(bytes);
  Tlv field;
  while (reader.Next(&field)) {
    if (field.tag == kFilePath) file->path = field.String();
    if (field.tag == kFileMode) file->mode = static_cast<uint32_t>(field.Number());
    if (field.tag == kFileContent) file->content = field.String();
    if (field.tag == kFileSecret) file->secret = field.Number() != 0;
    if (field.tag == kFileBlobPath) file->blob_path = field.String();
    if (field.tag == kFileBlobSha256) file->blob_sha256 = field.String();
  }
  return reader.ok();
}

bool HasBlob(const LaunchFile& file) {
  return !file.blob_path.empty() || !file.blob_sha256.empty();
}

std::string EncodeVolume(const Volume& volume) {
  TlvWriter out;
  out.Bytes(kVolumeSource, volume.source);
  out.Bytes(kVolumeTarget, volume.target);
  out.Number(kVolumeReadOnly, volume.read_only);
  out.Bytes(kVolumeBeneath, volume.beneath);
  return out.Take();
}

bool DecodeVolume(std::string_view bytes, Volume* volume) {
  volume->read_only = false;
  TlvReader reader(bytes);
  Tlv field;
  while (reader.Next(&field)) {
    if (field.tag == kVolumeSource) volume->source = field.String();
    if (field.tag == kVolumeTarget) volume->target = field.String();
    if (field.tag == kVolumeReadOnly) volume->read_only = field.Number() != 0;
    if (field.tag == kVolumeBeneath) volume->beneath = field.String();
  }
  return reader.ok();
}

// A restriction left out is one that an older launcher need not know.
std::string EncodeIsolation(const LaunchSpec& spec) {
  const IsolationSpec& isolation = spec.isolation;
  const LimitsSpec& limits = spec.limits;
  TlvWriter out;
  out.Number(kIsolationKind, static_cast<uint64_t>(isolation.kind));
  if (isolation.host_network) out.Number(kHostNetwork, 1);
  if (!isolation.root.empty()) out.Bytes(kRoot, isolation.root);
  for (const Volume& volume : isolation.volumes) out.Bytes(kVolume, EncodeVolume(volume));
  if (limits.cpu_millis > 0) out.Number(kCpuMillis, limits.cpu_millis);
  if (limits.memory_bytes > 0) out.Number(kMemoryBytes, limits.memory_bytes);
  if (limits.pids > 0) out.Number(kPids, limits.pids);
  if (limits.disk_bytes > 0) out.Number(kDiskBytes, limits.disk_bytes);
  if (!spec.stdin_path.empty()) out.Bytes(kStdinPath, spec.stdin_path);
  for (const LaunchFile& file : spec.files) {
    if (!file.blob_path.empty()) out.Bytes(kBlobFile, EncodeFile(file));
  }
  const OutputsSpec& outputs = spec.outputs;
  if (outputs.patterns.empty()) return out.Take();
  for (const std::string& pattern : outputs.patterns) out.Bytes(kOutputPattern, pattern);
  out.Bytes(kOutputsPath, outputs.path);
  out.Number(kOutputFilesMax, outputs.files_max);
  out.Number(kOutputBytesMax, outputs.bytes_max);
  out.Number(kOutputsTimeoutMs, outputs.timeout_ms);
  return out.Take();
}

// False for a restriction that this code does not know: it must not be dropped.
bool AssignIsolation(const Tlv& field, LaunchSpec* spec) {
  IsolationSpec* isolation = &spec->isolation;
  LimitsSpec* limits = &spec->limits;
  switch (field.tag) {
    case kIsolationKind:
      if (field.Number() == 0 ||
          field.Number() > static_cast<uint64_t>(IsolationKind::kBubblewrap)) {
        return false;
      }
      isolation->kind = static_cast<IsolationKind>(field.Number());
      return true;
    case kHostNetwork:
      isolation->host_network = field.Number() != 0;
      return true;
    case kRoot:
      isolation->root = field.String();
      return true;
    case kVolume:
      return DecodeVolume(field.value, &isolation->volumes.emplace_back());
    case kCpuMillis:
      limits->cpu_millis = field.Number();
      return true;
    case kMemoryBytes:
      limits->memory_bytes = field.Number();
      return true;
    case kPids:
      limits->pids = field.Number();
      return true;
    case kDiskBytes:
      limits->disk_bytes = field.Number();
      return true;
    case kOutputPattern:
      spec->outputs.patterns.push_back(field.String());
      return true;
    case kOutputsPath:
      spec->outputs.path = field.String();
      return true;
    case kOutputFilesMax:
      spec->outputs.files_max = field.Number();
      return true;
    case kOutputBytesMax:
      spec->outputs.bytes_max = field.Number();
      return true;
    case kOutputsTimeoutMs:
      spec->outputs.timeout_ms = field.Number();
      return true;
    case kStdinPath:
      spec->stdin_path = field.String();
      return true;
    case kBlobFile:
      return DecodeFile(field.value, &spec->files.emplace_back()) &&
             !spec->files.back().blob_path.empty();
    default:
      return false;
  }
}

bool DecodeIsolation(std::string_view bytes, LaunchSpec* spec) {
  TlvReader reader(bytes);
  Tlv field;
  while (reader.Next(&field)) {
    if (!AssignIsolation(field, spec)) return false;
  }
  return reader.ok();
}

bool AssignEnum(const Tlv& field, uint64_t last, uint8_t* value) {
  if (field.Number() == 0 || field.Number() > last) return false;
  *value = static_cast<uint8_t>(field.Number());
  return true;
}

// False when the field's value is not acceptable.
bool Assign(const Tlv& field, LaunchSpec* spec) {
  switch (field.tag) {
    case kCommandKind:
      return AssignEnum(field, static_cast<uint64_t>(CommandKind::kScript),
                        reinterpret_cast<uint8_t*>(&spec->command.kind));
    case kArg:
      spec->command.argv.push_back(field.String());
      return true;
    case kText:
      spec->command.text = field.String();
      return true;
    case kLang:
      spec->command.lang = field.String();
      return true;
    case kEnv:
      return DecodeEnv(field.value, &spec->env.emplace_back());
    case kSecretEnv:
      return DecodeEnv(field.value, &spec->secret_env.emplace_back());
    case kFile:
      // Nobody writes one behind those of blobs.
      if (!spec->files.empty() && HasBlob(spec->files.back())) return false;
      return DecodeFile(field.value, &spec->files.emplace_back()) && !HasBlob(spec->files.back());
    case kWorkdir:
      spec->workdir = field.String();
      return true;
    case kUser:
      spec->user = field.String();
      return true;
    case kRunTimeoutMs:
      spec->run_timeout_ms = field.Number();
      return true;
    case kGraceMs:
      spec->grace_ms = field.Number();
      return true;
    case kStdoutPath:
      spec->stdout_path = field.String();
      return true;
    case kStderrPath:
      spec->stderr_path = field.String();
      return true;
    case kIndexPath:
      spec->index_path = field.String();
      return true;
    case kLogBytesMax:
      spec->log_bytes_max = field.Number();
      return true;
    case kOverflow:
      return AssignEnum(field, static_cast<uint64_t>(OverflowPolicy::kBlock),
                        reinterpret_cast<uint8_t*>(&spec->overflow));
    case kFinalDrainMs:
      spec->final_drain_ms = field.Number();
      return true;
    case kIsolation:
      return DecodeIsolation(field.value, spec);
    default:
      return true;
  }
}

void WipeEnv(std::vector<EnvVar>& env) {
  for (EnvVar& variable : env) base::WipeString(variable.value);
  env.clear();
}

}  // namespace

void LaunchSpec::Wipe() {
  WipeEnv(env);
  WipeEnv(secret_env);
  for (LaunchFile& file : files) base::WipeString(file.content);
  files.clear();
  for (std::string& arg : command.argv) base::WipeString(arg);
  base::WipeString(command.text);
}

std::string EncodeLaunchSpec(const LaunchSpec& spec) {
  TlvWriter out;
  out.Number(kCommandKind, static_cast<uint64_t>(spec.command.kind));
  for (const std::string& arg : spec.command.argv) out.Bytes(kArg, arg);
  out.Bytes(kText, spec.command.text);
  out.Bytes(kLang, spec.command.lang);
  for (const EnvVar& variable : spec.env) out.Bytes(kEnv, EncodeEnv(variable));
  const auto write_and_wipe = [&out](uint16_t tag, std::string field) {
    out.Bytes(tag, field);
    base::WipeString(field);
  };
  for (const EnvVar& variable : spec.secret_env) write_and_wipe(kSecretEnv, EncodeEnv(variable));
  for (const LaunchFile& file : spec.files) {
    if (file.blob_path.empty()) write_and_wipe(kFile, EncodeFile(file));
  }
  out.Bytes(kWorkdir, spec.workdir);
  out.Bytes(kUser, spec.user);
  out.Number(kRunTimeoutMs, spec.run_timeout_ms);
  out.Number(kGraceMs, spec.grace_ms);
  out.Bytes(kStdoutPath, spec.stdout_path);
  out.Bytes(kStderrPath, spec.stderr_path);
  out.Bytes(kIndexPath, spec.index_path);
  out.Number(kLogBytesMax, spec.log_bytes_max);
  out.Number(kOverflow, static_cast<uint64_t>(spec.overflow));
  out.Number(kFinalDrainMs, spec.final_drain_ms);
  out.Bytes(kIsolation, EncodeIsolation(spec));
  std::string fields = out.Take();
  std::string bytes(kMagic);
  bytes.reserve(kHeaderBytes + fields.size());
  base::AppendLittle(bytes, kLaunchSpecVersion);
  base::AppendLittle<uint16_t>(bytes, 0);
  base::AppendLittle<uint64_t>(bytes, fields.size());
  bytes += fields;
  base::WipeString(fields);
  return bytes;
}

bool DecodeLaunchSpec(std::string_view bytes, LaunchSpec* spec, std::string* error) {
  *spec = {};
  // A number that is left out is zero, not this struct's default.
  spec->grace_ms = spec->final_drain_ms = 0;
  if (bytes.size() < kHeaderBytes || !bytes.starts_with(kMagic) ||
      base::LittleAt<uint64_t>(bytes, 8) != bytes.size() - kHeaderBytes) {
    *error = "launch spec: damaged header";
    return false;
  }
  if (base::LittleAt<uint16_t>(bytes, 4) != kLaunchSpecVersion) {
    *error = "launch spec: layout version " + std::to_string(base::LittleAt<uint16_t>(bytes, 4)) +
             " is not known to this launcher";
    return false;
  }
  TlvReader reader(bytes.substr(kHeaderBytes));
  Tlv field;
  while (reader.Next(&field)) {
    if (!Assign(field, spec)) {
      *error = "launch spec: field " + std::to_string(field.tag) +
               " has a value that this launcher does not know";
      return false;
    }
  }
  // Bounds of nothing are nothing.
  if (spec->outputs.patterns.empty()) spec->outputs = {};
  if (!reader.ok()) *error = "launch spec: damaged fields";
  return reader.ok();
}

base::UniqueFd MakeSealedMemfd(std::string_view bytes) {
  base::UniqueFd fd(memfd_create("boxkeeper-launch-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return fd;
  while (!bytes.empty()) {
    const ssize_t written = write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return base::UniqueFd();
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return base::UniqueFd();
  return fd;
}

bool ReadSealedMemfd(int fd, std::string* bytes, std::string* error) {
  const int seals = fcntl(fd, F_GET_SEALS);
  struct stat status{};
  if (seals < 0 || (seals & kSeals) != kSeals || fstat(fd, &status) != 0) {
    *error = "launch spec: not a sealed memfd";
    return false;
  }
  if (status.st_size < 0 || static_cast<size_t>(status.st_size) > kLaunchSpecBytesMax) {
    *error = "launch spec: above 64 MiB";
    return false;
  }
  bytes->resize(static_cast<size_t>(status.st_size));
  for (size_t done = 0; done < bytes->size();) {
    const ssize_t got = pread(fd, bytes->data() + done, bytes->size() - done, done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      *error = std::string("launch spec: read: ") + std::strerror(errno);
      return false;
    }
    done += static_cast<size_t>(got);
  }
  return true;
}

}  // namespace boxkeeper::launcher
