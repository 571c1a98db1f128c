"""From a model's name to a plan of routes, and from a route to its URL and key."""
