//! Planted bugs: the emulator must find each, and name the thread.

use relfisher_kernels::emulator::{Buffer, Fault, Grid, Kind, Thread, launch};
use relfisher_kernels::{Device, Shared};

const GRID: Grid = Grid { blocks: [2, 1, 1], threads: 64, shared_bytes: 512 };
const CELLS: Shared<u32> = Shared::at(0);

fn fault<'m>(body: impl Fn(Thread<'m, '_>) + Sync) -> Fault {
    launch(GRID, body).expect_err("the planted bug was not found")
}

/// Each thread leaves a value for its neighbour; `wait` is what happens between.
fn pass_on(d: Thread<'_, '_>, distance: u32, wait: impl Fn(Thread<'_, '_>)) {
    d.shared_store(CELLS, d.thread(), d.thread());
    wait(d);
    let other = (d.thread() + distance) % d.threads();
    assert_eq!(d.shared_load(CELLS, other), other);
}

#[test]
fn a_barrier_orders_the_block_and_a_warp_barrier_the_warp() {
    launch(GRID, |d| pass_on(d, 40, |d| d.barrier())).expect("no bug");
    launch(GRID, |d| {
        d.shared_store(CELLS, d.thread(), d.thread());
        d.warp_barrier();
        let other = d.thread() ^ 5;
        assert_eq!(d.shared_load(CELLS, other), other);
    })
    .expect("no bug");
}

#[test]
fn a_missing_barrier_is_found() {
    // Without a barrier the first thread reads what nobody wrote, the last what races.
    let missing = fault(|d| pass_on(d, 1, |_| ()));
    assert!(matches!(missing.kind, Kind::Uninitialised { word: 1, .. }), "{missing}");
    assert_eq!((missing.block, missing.thread), ([0, 0, 0], 0));
    let behind = fault(|d| {
        d.shared_store(CELLS, d.thread(), 0);
        d.barrier();
        d.shared_store(CELLS, d.thread(), 1);
        d.shared_load(CELLS, (d.thread() + 63) % 64);
    });
    assert!(matches!(behind.kind, Kind::Race { .. }), "{behind}");
}

#[test]
fn a_warp_barrier_does_not_order_two_warps() {
    let found = fault(|d| pass_on(d, 40, |d| d.warp_barrier()));
    assert!(matches!(found.kind, Kind::Uninitialised { .. } | Kind::Race { .. }), "{found}");
}

#[test]
fn races_are_found() {
    let both_write = fault(|d| d.shared_store(CELLS, 7, d.thread()));
    assert!(matches!(both_write.kind, Kind::Race { word: 7, other: 0 }), "{both_write}");
    assert_eq!(both_write.thread, 1);
    let write_after_read = fault(|d| {
        d.shared_store(CELLS, d.thread(), 0);
        d.barrier();
        let next = d.shared_load(CELLS, (d.thread() + 1) % 64);
        // A barrier is missing here: the neighbour may not have read yet.
        d.shared_store(CELLS, d.thread(), next);
    });
    assert!(matches!(write_after_read.kind, Kind::Race { .. }), "{write_after_read}");
}

#[test]
fn two_blocks_that_touch_one_word_are_found() {
    let mut out = Buffer::<u32>::unwritten(64);
    let to = out.output();
    let found = fault(|d| d.store(to, d.thread(), 1));
    assert!(matches!(found.kind, Kind::BlockRace { .. }), "{found}");
    let mut total = Buffer::from_slice(&[0u32]);
    let to = total.output();
    launch(GRID, |d| {
        d.atomic_add(to, 0, 1);
    })
    .expect("no bug");
    assert_eq!(total.to_vec(), [128]);
}

#[test]
fn accesses_out_of_bounds_are_found() {
    let (input, mut out) = (Buffer::from_slice(&[1.0f32; 127]), Buffer::<f32>::unwritten(128));
    let (from, to) = (input.input(), out.output());
    let read = fault(|d| {
        let at = d.block()[0] * 64 + d.thread();
        d.store(to, at, d.load(from, at));
    });
    assert!(matches!(read.kind, Kind::OutOfBounds { word: 127, words: 127, .. }), "{read}");
    assert_eq!((read.block, read.thread), ([1, 0, 0], 63));
    let shared = fault(|d| d.shared_store(CELLS, 65 + d.thread(), 0));
    assert!(matches!(shared.kind, Kind::OutOfBounds { word: 128, words: 128, .. }), "{shared}");
    let before = fault(|d| {
        d.load(d.advance(from, u64::MAX), 0);
    });
    assert!(matches!(before.kind, Kind::OutOfBounds { .. }), "{before}");
}

#[test]
fn misaligned_and_forbidden_accesses_are_found() {
    let input = Buffer::from_slice(&[1.0f32; 64]);
    let from = input.input();
    let wide = fault(|d| {
        d.load4(from, 2);
    });
    assert!(matches!(wide.kind, Kind::Misaligned { alignment: 16, byte: 8, .. }), "{wide}");
    let shared = fault(|d| d.shared_store4(Shared::<f32>::at(8), 0, [0.0; 4]));
    assert!(matches!(shared.kind, Kind::Misaligned { alignment: 16, byte: 8, .. }), "{shared}");
    let double = fault(|d| d.shared_store(Shared::<f64>::at(4), 0, 0.0));
    assert!(matches!(double.kind, Kind::Misaligned { alignment: 8, byte: 4, .. }), "{double}");
    let written = fault(|d| d.store(from, 0, 0.0));
    assert_eq!(written.kind, Kind::ReadOnly);
}

#[test]
fn reads_of_what_nobody_wrote_are_found() {
    let mut out = Buffer::<f64>::unwritten(64);
    let to = out.output();
    let global = fault(|d| {
        d.load(to, 3);
    });
    assert!(matches!(global.kind, Kind::Uninitialised { word: 6, .. }), "{global}");
    let shared = fault(|d| {
        d.shared_load(CELLS, 9);
    });
    assert!(matches!(shared.kind, Kind::Uninitialised { word: 9, .. }), "{shared}");
}

#[test]
fn divergence_is_found() {
    let half_of_the_block = fault(|d| {
        if d.thread() < 32 {
            d.barrier();
        }
    });
    assert!(matches!(half_of_the_block.kind, Kind::Divergence { .. }), "{half_of_the_block}");
    // Two barriers where one is meant: half of a warp waits at each.
    let half_of_a_warp = fault(|d| {
        if d.lane() < 16 {
            d.barrier();
        }
        d.barrier();
    });
    assert!(matches!(half_of_a_warp.kind, Kind::Divergence { .. }), "{half_of_a_warp}");
    let shuffle = fault(|d| {
        if d.lane() != 3 {
            d.shuffle_xor(1.0f32, 1);
        }
    });
    assert!(matches!(shuffle.kind, Kind::Divergence { .. }), "{shuffle}");
    assert_eq!(shuffle.thread, 3);
}

#[test]
fn copies_under_way_are_not_touched() {
    let input = Buffer::from_slice(&[2.0f32; 64]);
    let from = input.input();
    let cells = Shared::<f32>::at(0);
    let read = |d: Thread<'_, '_>, at| assert_eq!(d.shared_load(cells, at), 2.0);
    let early = fault(|d| {
        d.copy_async(cells, d.thread(), from, d.thread());
        d.copy_commit();
        d.copy_wait::<1>();
        read(d, d.thread());
    });
    assert!(matches!(early.kind, Kind::CopyPending { word: 0 }), "{early}");
    let no_barrier = fault(|d| {
        d.copy_async(cells, d.thread(), from, d.thread());
        d.copy_commit();
        d.copy_wait::<0>();
        read(d, d.thread() ^ 1);
    });
    assert!(
        matches!(
            no_barrier.kind,
            Kind::Uninitialised { .. } | Kind::CopyPending { .. } | Kind::Race { .. }
        ),
        "{no_barrier}"
    );
    launch(GRID, |d| {
        d.copy_async(cells, d.thread(), from, d.thread());
        d.copy_commit();
        d.copy_wait::<0>();
        d.barrier();
        read(d, d.thread() ^ 1);
    })
    .expect("no bug");
}

#[test]
fn collectives_give_what_the_lanes_offered() {
    launch(GRID, |d| {
        let lane = d.lane();
        assert_eq!(d.shuffle_xor(f64::from(lane), 9), f64::from(lane ^ 9));
        assert_eq!(d.shuffle_from(lane, 35), 3);
        assert_eq!(d.ballot(lane.is_multiple_of(4)), 0x1111_1111);
    })
    .expect("no bug");
}
