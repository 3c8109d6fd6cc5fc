//! Launches by contract.

use relfisher_kernels::contract::{CONTRACTS, Contract};
use relfisher_kernels::emulator::{Grid, Thread, launch};

/// The contract of an entry point.
pub(crate) fn contract(name: &str) -> &'static Contract {
    let found = CONTRACTS.iter().find(|contract| contract.name == name);
    found.unwrap_or_else(|| panic!("no contract of {name}"))
}

/// Launches a body under the contract of its entry point.
pub(crate) fn run<'m>(name: &str, blocks: [u32; 3], body: impl Fn(Thread<'m, '_>) + Sync) {
    let Contract { threads, shared_bytes, .. } = *contract(name);
    run_with(name, blocks, threads, shared_bytes, body);
}

/// The same for an entry point whose shared memory depends on the launch.
pub(crate) fn run_with<'m>(
    name: &str,
    blocks: [u32; 3],
    threads: u32,
    shared_bytes: u32,
    body: impl Fn(Thread<'m, '_>) + Sync,
) {
    let limit = contract(name);
    assert!(threads == limit.threads && shared_bytes <= limit.shared_bytes, "{name}");
    let grid = Grid { blocks, threads, shared_bytes };
    launch(grid, body).unwrap_or_else(|fault| panic!("{name}: {fault}"));
}
