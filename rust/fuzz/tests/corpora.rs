//! The corpora on the stable toolchain, without libFuzzer: seeds and former findings do what their targets promise.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use plenary_fuzz::TARGETS;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");

#[test]
fn every_target_keeps_its_promise_on_its_corpus() {
    for target in TARGETS {
        let folder = Path::new(CORPUS).join(target.name);
        let mut inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|_| panic!("{} has no corpus", target.name))
            .map(|entry| entry.expect("readable").path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{} has no seeds", target.name);
        (target.run)(&[]);
        for input in inputs {
            println!("{}", input.display());
            (target.run)(&fs::read(&input).expect("readable"));
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let folders = fs::read_dir(CORPUS).expect("corpora");
    let folders: BTreeSet<_> = folders
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(folders, TARGETS.map(|target| target.name.to_owned()).into());
}
