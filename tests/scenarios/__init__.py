"""The whole server on a simulated clock, network, engine and disk, by seed."""
