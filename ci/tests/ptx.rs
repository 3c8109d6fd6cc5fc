//! The committed kernels belong to the sources beside them.

use std::collections::BTreeSet;
use std::fs;

use relfisher_ci::ptx::{self, REACHED, Stamp, collectives, entries};
use relfisher_ci::repository::root;
use relfisher_ci::sources::rust_files;
use relfisher_kernels::contract::{CONTRACTS, Variant};

fn committed() -> Vec<(Variant, String)> {
    let read = |variant| {
        let path = ptx::file(variant);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (variant, text)
    };
    Variant::ALL.into_iter().map(read).collect()
}

#[test]
fn the_kernels_are_as_new_as_their_sources() {
    let sources = ptx::source_hash().expect("readable sources");
    for (variant, text) in committed() {
        let name = variant.name();
        let stamp = Stamp::of_text(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(stamp.sources, sources, "{name} is stale: run `cargo ci ptx`");
        assert!(stamp.fits(&text), "{name} was changed by hand");
        let changed = text.replacen(".maxntid 256", ".maxntid 128", 1);
        assert!(!stamp.fits(&changed), "a change of {name} is not noticed");
    }
}

#[test]
fn every_contract_has_its_entry_and_launch_bounds() {
    for (variant, text) in committed() {
        let names: BTreeSet<String> = entries(&text).into_iter().collect();
        let expected: BTreeSet<String> = CONTRACTS
            .iter()
            .filter(|c| c.since == Variant::Sm75 || variant == Variant::Sm80)
            .map(|c| c.name.to_owned())
            .collect();
        assert_eq!(names, expected, "{}", variant.name());
        for contract in CONTRACTS.iter().filter(|c| names.contains(c.name)) {
            let start = format!(".visible .entry {}(", contract.name);
            let (_, entry) = text.split_once(&start).expect("an entry");
            let (head, _) = entry.split_once('{').expect("a body");
            let bounds = format!(".maxntid {}, 1, 1", contract.threads);
            assert!(head.contains(&bounds), "{}: {head}", contract.name);
        }
    }
}

#[test]
fn the_collectives_are_those_of_the_list() {
    let texts = committed();
    let list = fs::read_to_string(ptx::snapshot()).expect("the list");
    assert_eq!(list, ptx::snapshot_of(&texts), "run `cargo ci ptx` and look at what moved");
    assert!(!list.contains('@'), "a collective under a predicate");
}

#[test]
fn a_moved_or_doubled_collective_changes_the_list() {
    let text = ".visible .entry k(\n)\n{\n\tbar.sync \t0;\n$L__BB0_1:\n\tbar.sync \t0;\n}\n";
    let of = |text: &str| collectives(text).remove("k").expect("an entry");
    assert_eq!(of(text), "bar.sync×1 in 0, bar.sync×1 in 1");
    let doubled = text.replacen("\tbar.sync \t0;", "\tbar.sync \t0;\n\tbar.sync \t0;", 1);
    assert_eq!(of(&doubled), "bar.sync×2 in 0, bar.sync×1 in 1");
    let predicated = text.replacen("\tbar.sync", "\t@%p1 bar.sync", 1);
    assert_eq!(of(&predicated), "@bar.sync×1 in 0, bar.sync×1 in 1");
}

/// The stamp covers the parts of the core that kernels name, and no kernel names another.
#[test]
fn kernels_reach_no_other_part_of_the_core() {
    for path in rust_files(&root().join("gpu-kernels/src")).expect("readable sources") {
        let text = fs::read_to_string(&path).expect("a readable source");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (_, rest) in
                line.match_indices("relfisher_core::").map(|(i, m)| line.split_at(i + m.len()))
            {
                let module = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next();
                let reached = match module {
                    // The scalar trait, exported at the root.
                    Some("Real") => true,
                    Some(module) => {
                        REACHED.iter().any(|part| part.split('/').next() == Some(module))
                    }
                    None => false,
                };
                assert!(
                    reached,
                    "{}: `{}` is not covered by the stamp",
                    path.display(),
                    line.trim()
                );
            }
        }
    }
}
