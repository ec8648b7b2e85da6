"""What people type: the commands, their help, and what they print.

``command_line`` names them all; ``run`` is a run or a sweep; ``datasets`` tells what is here; ``endings``
makes sentences of errors.
"""
