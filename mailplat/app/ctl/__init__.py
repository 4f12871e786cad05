"""The command line of the operator: ``mailplatctl``, a command a file."""
