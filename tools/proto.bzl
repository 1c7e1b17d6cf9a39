"""proto_cc: C++ messages and, optionally, gRPC stubs by Debian's protoc. The only macro of the build."""

def proto_cc(name, srcs, deps = [], grpc = False, visibility = ["//visibility:public"]):
    """Compiles `srcs` (one folder, paths from the workspace's proto/) to a cc_library.

    Args:
      name: the cc_library's name; a filegroup `<name>_srcs` with all sources needed to import it stands beside it.
      srcs: .proto files of this package.
      deps: other proto_cc targets whose files these import.
      grpc: also generate service stubs.
      visibility: as everywhere.
    """
    native.filegroup(
        name = name + "_srcs",
        srcs = srcs + [d + "_srcs" for d in deps],
        visibility = ["//visibility:public"],
    )
    package = native.package_name()
    outs = []
    for src in srcs:
        stem = src[:-len(".proto")]
        outs += [stem + ".pb.cc", stem + ".pb.h"]
        if grpc:
            outs += [stem + ".grpc.pb.cc", stem + ".grpc.pb.h"]
    plugin = "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin --grpc_out=$(BINDIR)/proto" if grpc else ""
    native.genrule(
        name = name + "_gen",
        srcs = [":" + name + "_srcs"],
        outs = outs,
        cmd = "/usr/bin/protoc -Iproto -I/usr/include --experimental_allow_proto3_optional --cpp_out=$(BINDIR)/proto %s %s" % (
            plugin,
            " ".join([package + "/" + s for s in srcs]),
        ),
    )
    native.cc_library(
        name = name,
        srcs = [o for o in outs if o.endswith(".cc")],
        hdrs = [o for o in outs if o.endswith(".h")],
        copts = ["-Wno-error", "-w"],
        # Generated files include each other relative to proto/.
        strip_include_prefix = "/proto",
        visibility = visibility,
        deps = deps + ["@system//:protobuf"] + (["@system//:grpc"] if grpc else []),
    )
