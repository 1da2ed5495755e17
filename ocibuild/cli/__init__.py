"""The command line: one module a command, renderers of events, exit codes. The only room that prints."""
