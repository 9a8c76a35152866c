//! Sans-I/O core of the media engine.
#![forbid(unsafe_code)]
