"""Failover: which route is tried next, how long to wait, and when to give up."""
