//! One target, named by `PLENARY_FUZZ`, under libFuzzer: all share one binary, so that one build serves them all.
#![no_main]

use std::sync::LazyLock;

use plenary_fuzz::{TARGETS, Target};

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PLENARY_FUZZ").unwrap_or_default();
    let chosen = TARGETS.into_iter().find(|target| target.name == name);
    chosen.unwrap_or_else(|| panic!("no target is named {name:?}: {:?}", TARGETS.map(|t| t.name)))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (CHOSEN.run)(data));
