"""tools/fuzz: builds the fuzz targets of tests/fuzz with libFuzzer and runs them."""
