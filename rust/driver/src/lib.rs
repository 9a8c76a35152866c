//! The media engine around its sans-I/O core.
