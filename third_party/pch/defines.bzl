"""What a library's headers are compiled with wherever they are compiled."""

BOOST_DEFINES = ["BOOST_ASIO_NO_DEPRECATED"]

SPDLOG_DEFINES = [
    "SPDLOG_COMPILED_LIB",
    "SPDLOG_SHARED_LIB",
    "SPDLOG_FMT_EXTERNAL",
]
