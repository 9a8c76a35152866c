"""Access keys that we make."""

import secrets

KEY_PREFIX = "pk_"
"""Tells a leaked key of ours from other random strings."""
KEY_MIN = 16
"""Characters: shorter ones can be guessed."""
KEY_MAX = 512
"""Characters: bounds the work for a stranger's."""


def new_key() -> str:
    """A fresh key with 192 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(24)
