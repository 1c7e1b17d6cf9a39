"""What each attempt of the probe must meet inside an isolated sandbox: the one error, or the few where kernels differ."""

# Attempts that a control run cannot show succeeding, because success would change the machine: real root would be needed.
ONLY_FOR_REAL_ROOT = {
    "connect_docker", "connect_system_bus", "read_kernel_memory", "read_kernel_log", "open_dev_mem", "open_dev_kmsg",
    "open_dev_port", "open_dev_fuse", "open_dev_kvm", "open_first_disk", "make_disk_device", "make_memory_device",
    "open_by_handle", "open_terminal", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
    "reboot", "swapon", "swapoff", "settimeofday", "clock_settime", "adjtimex", "iopl", "ioperm", "acct", "quotactl",
    "read_kernel_ring_buffer", "vhangup", "become_another_user", "become_another_group", "join_groups", "alg_socket",
    "call_by_x32", "create_in_root", "create_in_usr", "create_in_bin", "create_in_etc", "create_in_dev", "create_in_proc",
    "make_usr_writable", "raise_priority", "real_time_scheduling", "lower_oom_score", "raise_open_files_limit", "kill_init",
    "overwrite_program_of_init", "connect_outside", "datagram_outside", "connect_metadata_service", "write_sysrq", "write_modprobe",
    "umount_proc", "umount_root", "pivot_root", "remount_root_writable", "fsmount", "move_mount", "join_own_user_namespace",
    "read_home_of_root", "read_shadow", "mount_proc", "write_init_memory_file", "read_init_memory",
}

# By what is attempted, in the words of docs/breakout.md.
GROUPS = {
    "the host's files: not there": {
        "read_host_file": "ENOENT", "climb_to_host_file": "ENOENT", "host_file_by_own_root": "ENOENT",
        "host_file_by_init_root": "EACCES", "host_file_by_init_directory": "EACCES", "read_shadow": "ENOENT",
        "read_home_of_root": "ENOENT", "read_homes": "ENOENT", "read_state_dir": "ENOENT", "read_identity_key": "ENOENT",
        "connect_launcher": "ENOENT", "connect_docker": "ENOENT", "connect_system_bus": "ENOENT",
    },
    "the sandbox's own files that stay as they are": {
        "create_in_root": "EROFS", "create_in_usr": {"EROFS", "ENOENT"}, "create_in_bin": "EROFS", "create_in_etc": "EROFS",
        "create_in_dev": "EROFS", "create_in_proc": {"EROFS", "ENOENT", "EACCES"}, "make_usr_writable": {"EROFS", "ENOENT"},
    },
    "the kernel's files": {
        "write_core_pattern": {"EROFS", "EACCES"}, "write_modprobe": {"EROFS", "EACCES", "ENOENT"},
        "write_hostname": {"EROFS", "EACCES"},
        "write_sysrq": {"EROFS", "EACCES", "ENOENT"}, "read_kernel_memory": {"EACCES", "ENOENT", "EPERM"},
        "read_kernel_log": {"EPERM", "EACCES"},
        "read_sys": {"ENOENT", "EACCES"}, "open_dev_mem": "ENOENT", "open_dev_kmsg": "ENOENT", "open_dev_port": "ENOENT",
        "open_dev_fuse": "ENOENT", "open_dev_kvm": "ENOENT", "open_first_disk": "ENOENT", "make_disk_device": "EPERM",
        "make_memory_device": "EPERM", "open_by_handle": "EPERM", "open_terminal": {"ENXIO", "ENOENT"},
    },
    "the kernel's calls": {
        "bpf": "EPERM", "perf_event": "EPERM", "userfaultfd": "EPERM", "io_uring": "EPERM", "add_key": "EPERM",
        "request_key": "EPERM", "keyctl": "EPERM", "call_by_int80": {"SIGSYS", "SIGSEGV", "ENOSYS"},
        "call_by_x32": {"SIGSYS", "ENOSYS", "EPERM"}, "kexec_load": "EPERM", "kexec_file_load": "EPERM", "init_module": "EPERM",
        "finit_module": "EPERM", "delete_module": "EPERM", "reboot": "EPERM", "swapon": "EPERM", "swapoff": "EPERM",
        "settimeofday": "EPERM", "clock_settime": "EPERM", "adjtimex": "EPERM", "sethostname": "EPERM", "iopl": "EPERM",
        "ioperm": "EPERM", "acct": "EPERM", "quotactl": "EPERM", "read_kernel_ring_buffer": "EPERM", "vhangup": "EPERM",
        "take_capabilities": "EPERM", "become_another_user": {"EPERM", "EINVAL"}, "become_another_group": {"EPERM", "EINVAL"},
        "join_groups": "EPERM",
    },
    "mounts and namespaces": {
        "mount_tmpfs": "EPERM", "mount_proc": "EPERM", "bind_mount": "EPERM", "remount_root_writable": "EPERM",
        "share_mounts": "EPERM", "umount_proc": "EPERM", "umount_root": "EPERM", "pivot_root": "EPERM", "chroot": "EPERM",
        "open_tree": "EPERM", "fsopen": "EPERM", "fspick": "EPERM", "fsmount": "EPERM", "move_mount": "EPERM",
        "mount_setattr": "EPERM", "unshare_user": "EPERM", "unshare_mount": "EPERM", "unshare_network": "EPERM",
        "unshare_pid": "EPERM", "unshare_user_and_mount": "EPERM", "clone_user": "EPERM", "clone_mount": "EPERM",
        "clone3_user": "ENOSYS", "join_own_user_namespace": "EPERM", "join_own_mount_namespace": "EPERM",
        "join_network_of_init": {"EPERM", "EACCES"},
    },
    "sockets": {
        "connect_host_loopback": {"ECONNREFUSED", "ENETUNREACH"}, "connect_host_abstract_socket": "ECONNREFUSED",
        "connect_outside": "ENETUNREACH", "datagram_outside": "ENETUNREACH", "connect_metadata_service": "ENETUNREACH",
        "packet_socket": {"EPERM", "EAFNOSUPPORT"}, "raw_icmp_socket": {"EPERM", "EAFNOSUPPORT"},
        "vsock_socket": {"EPERM", "EAFNOSUPPORT"}, "alg_socket": {"EPERM", "EAFNOSUPPORT"},
    },
    "other processes": {
        "signal_host_process": "ESRCH", "see_host_process": "ENOENT", "host_process_environment": "ENOENT",
        "host_process_root": "ENOENT", "pidfd_of_host_process": "ESRCH", "ptrace_host_process": {"EPERM", "ESRCH"},
        "read_host_process_memory": {"EPERM", "ESRCH"}, "descriptor_of_host_process": {"EPERM", "ESRCH"},
        "ptrace_init": "EPERM", "read_init_memory": "EPERM", "write_init_memory_file": "EACCES", "init_descriptors": "EACCES",
        "init_environment": "EACCES", "steal_descriptor_of_init": "EPERM",
        "overwrite_program_of_init": {"EACCES", "EROFS", "ETXTBSY"}, "kill_init": "EPERM",
        "inject_terminal_input": {"EPERM", "ENOENT"},
        "raise_priority": {"EACCES", "EPERM"}, "real_time_scheduling": "EPERM", "lower_oom_score": "EACCES",
        "raise_open_files_limit": "EPERM",
    },
}
PROBES = {name: allowed for group in GROUPS.values() for name, allowed in group.items()}

NO_CAPABILITIES = "0" * 16
FACTS = {
    "CapInh": NO_CAPABILITIES, "CapPrm": NO_CAPABILITIES, "CapEff": NO_CAPABILITIES, "CapBnd": NO_CAPABILITIES,
    "CapAmb": NO_CAPABILITIES, "NoNewPrivs": "1", "Seccomp": "2", "descriptors": "0 1 2", "parent_of_init": "0",
    "mounts_with_setuid": "",
}
# What a sandbox's environment and /dev hold at most.
ENVIRONMENT = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "BOXKEEPER_SANDBOX", "PWD", "OLDPWD", "SHLVL", "_", "TMPDIR"}
DEVICES = {"core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}


def _allowed(entry):
    return {entry} if isinstance(entry, str) else entry


def document():
    """The table of docs/breakout.md."""
    lines = ["| attempt | is refused with | without a sandbox |", "|---|---|---|"]
    for group, probes in GROUPS.items():
        lines.append(f"| **{group}** | | |")
        for name, entry in probes.items():
            without = "not shown" if name in ONLY_FOR_REAL_ROOT else "succeeds"
            lines.append(f"| `{name}` | {' or '.join(sorted(_allowed(entry)))} | {without} |")
    return "\n".join(lines) + "\n"


def wrong(table, got):
    """Lines about each entry of `table` that `got` does not meet, and about what `got` has beside it."""
    lines = []
    for name, allowed in table.items():
        allowed = _allowed(allowed)
        if got.get(name) not in allowed:
            lines.append(f"{name}: {got.get(name, 'not tried')}, expected {' or '.join(sorted(allowed)) or 'nothing'}")
    return lines


if __name__ == "__main__":
    print(document(), end="")
