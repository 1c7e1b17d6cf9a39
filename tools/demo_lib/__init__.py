"""What tools/demo runs after the build."""
