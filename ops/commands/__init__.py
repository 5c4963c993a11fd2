"""One module for each subcommand of `bahi`; `command` in it is what click calls.

A module here reads the settings, imports what works, and calls it. It holds nothing that another module would want.
"""
