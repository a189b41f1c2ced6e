"""The command line, one command a file: `add_arguments(parser)` and `run(args) -> exit status`.

Command modules import nothing heavy at the top, so that `imagebind-node --help` answers at once.
"""
