"""What a call costs: a provider, the libraries compared, and the processes that run them."""
