"""A fuzz target: the same source for the engine and for replaying its corpus as a test."""

def fuzz_target(name, deps):
    """Makes of `<name>_fuzz.cc`, which defines LLVMFuzzerTestOneInput:

    * `<name>_fuzz`: with libFuzzer's engine; only for --config=fuzz and --config=asan, so not part of `//...`;
    * `<name>_replay_test`: every input of `corpus/<name>` once, as a GoogleTest case, in any configuration.
    """
    native.cc_library(
        name = name,
        testonly = True,
        srcs = [name + "_fuzz.cc"],
        deps = [":property"] + deps,
        alwayslink = True,
    )
    native.cc_binary(
        name = name + "_fuzz",
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        linkstatic = True,
        tags = ["manual"],
        deps = [":" + name],
    )
    native.cc_test(
        name = name + "_replay_test",
        size = "small",
        args = ["tests/fuzz/corpus/" + name],
        data = native.glob(["corpus/" + name + "/*"]),
        deps = [
            ":" + name,
            ":replay_main",
        ],
    )
