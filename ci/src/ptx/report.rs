//! A table of what the kernels cost, from their contracts and the assembler.

use std::fs;

use relfisher_kernels::contract::{CONTRACTS, Contract, Variant};

use super::{assemble, file};

/// What a multiprocessor of an architecture holds (CUDA C++ Programming Guide, technical
/// specifications by compute capability): warps, registers, bytes of shared memory.
const MULTIPROCESSORS: [(&str, u32, u32, u32); 2] =
    [("sm_75", 32, 65_536, 65_536), ("sm_80", 64, 65_536, 167_936)];

/// Prints the table.
pub(super) fn print() -> Result<(), String> {
    println!(
        "| kernel | variant | threads | shared bytes | registers | occupancy | grid | FLOPs | values moved |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for variant in Variant::ALL {
        let path = file(variant);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let usages = assemble::usage(&text, variant, variant.name())?;
        for usage in &usages {
            let Some(contract) = CONTRACTS.iter().find(|c| c.name == usage.entry) else { continue };
            let Contract { name, threads, shared_bytes, grid, flops, values, .. } = contract;
            let registers = usage.registers;
            println!(
                "| {name} | {} | {threads} | {shared_bytes} | {registers} | {:.0} % | {grid} | {flops} | {values} |",
                variant.name(),
                100.0 * occupancy(contract, registers, variant)
            );
        }
    }
    Ok(())
}

/// Resident warps over the most that a multiprocessor holds.
fn occupancy(contract: &Contract, registers: u32, variant: Variant) -> f64 {
    let limits = MULTIPROCESSORS.iter().find(|(name, ..)| *name == variant.name());
    let &(_, warps, file, shared) = limits.unwrap_or(&MULTIPROCESSORS[0]);
    let block = contract.threads / 32;
    // Registers are given out in units of 256 a warp, shared memory with a kilobyte for the system.
    let by_registers = file / (block * (32 * registers).next_multiple_of(256));
    let by_shared = shared / (contract.shared_bytes + 1024);
    let blocks = (warps / block).min(by_registers).min(by_shared);
    f64::from(blocks * block) / f64::from(warps)
}
