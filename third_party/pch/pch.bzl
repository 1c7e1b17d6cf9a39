"""precompiled_headers: parses system headers once for each configuration. docs/adr/0020-precompiled-headers.md says why and how."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "CPP_COMPILE_ACTION_NAME")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _flags(ctx, toolchain):
    """The flags of every other C++ file of this configuration: clang refuses a precompiled header made with different ones."""
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        user_compile_flags = [
            flag
            for flag in ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts
            if not flag.startswith("--config-")  # these find what is made here
        ],
        preprocessor_defines = depset(ctx.attr.defines),
        use_pic = toolchain.needs_pic_for_dynamic_libraries(feature_configuration = features),
    )
    return cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = CPP_COMPILE_ACTION_NAME,
        variables = variables,
    )

def _precompiled_headers(ctx):
    toolchain = find_cpp_toolchain(ctx)
    pch = ctx.actions.declare_file(ctx.label.name + "/headers.pch")
    config = ctx.actions.declare_file(ctx.label.name + "/clang.cfg")

    # The text comes by standard input: a file's path would be the sandbox's, and stand in every list of dependencies.
    ctx.actions.run_shell(
        outputs = [pch],
        inputs = toolchain.all_files,
        command = 'text=$1 out=$2; shift 2; printf "%s" "$text" | "$@" -x c++-header - -o "$out"',
        arguments = [
            "".join(["#include <%s>\n" % header for header in ctx.attr.headers]),
            pch.path,
            toolchain.compiler_executable,
        ] + _flags(ctx, toolchain) + [
            "-fpch-instantiate-templates",
            "-Xclang",
            "-fno-pch-timestamp",
        ],
        # As Bazel's own compile actions: else the path of the sandbox is in the result.
        env = {"PWD": "/proc/self/cwd"},
        mnemonic = "CppPrecompile",
        progress_message = "Precompiling the headers of %s" % ctx.label,
    )
    ctx.actions.write(config, "-include-pch %s\n" % pch.path)
    files = depset([pch, config])
    return [
        DefaultInfo(files = files),
        CcInfo(compilation_context = cc_common.create_compilation_context(headers = files)),
    ]

precompiled_headers = rule(
    implementation = _precompiled_headers,
    doc = """Precompiles `headers`; each C++ file of a target that depends on this uses the result.

    .bazelrc names this target's output folder to clang as a folder of configuration files. clang.cfg there names the
    precompiled header; a file whose target does not depend on this does not see the folder in its sandbox.""",
    attrs = {
        "headers": attr.string_list(mandatory = True, doc = "System headers, as in `#include <...>`."),
        "defines": attr.string_list(doc = "Preprocessor definitions, as those of cc_library."),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    provides = [CcInfo],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
