"""Public test kit: contract suites, fakes, a whole server in memory, a pytest plugin."""
