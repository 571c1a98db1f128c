"""The `autoprovider` command.

Exit codes: 0 answered; 1 every route failed, or a stream broke off; 2 the command line,
a name, a file or a key is wrong; 3 nothing here can serve the model; 130 interrupted.
"""

from inference_providers.cli.main import main

__all__ = ["main"]
