"""One module per protocol, and the table that describes them."""
