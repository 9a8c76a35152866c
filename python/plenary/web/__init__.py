"""Browsers: the door that their pages come in by, and the tokens that let them in."""
