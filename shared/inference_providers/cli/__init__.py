"""The `autoprovider` command.

Exit codes: 0 success; 1 all routes failed, or a stream broke; 2 the command line, a name,
a file or a key is invalid; 3 no route can serve the model; 130 interrupted.
"""

from inference_providers.cli.main import main

__all__ = ["main"]
