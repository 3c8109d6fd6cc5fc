//! One block: its coroutines, and the rules by which they wait for each other.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::fault::{Fault, Kind};
use super::shared::{Clock, SharedMemory};
use super::{Grid, Thread};
use crate::device::WARP;

/// Bytes of a coroutine's stack: bodies keep tiles of a few hundred numbers there.
const STACK: usize = 128 * 1024;

/// What a thread offers to its warp: the operands of the widest collective.
pub(super) type Offer = [u32; 6];

/// Why a coroutine stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// For the block.
    Block(&'static Location<'static>),
    /// For the warp, in the named collective.
    Warp(&'static str, &'static Location<'static>),
}

impl Wait {
    fn describe(self) -> String {
        match self {
            Wait::Block(place) => format!("waits at the barrier of {place}"),
            Wait::Warp(what, place) => format!("is in {what} of {place}"),
        }
    }
}

pub(super) struct Block {
    pub(super) grid: Grid,
    pub(super) index: [u32; 3],
    pub(super) number: u32,
    pub(super) shared: RefCell<SharedMemory>,
    pub(super) clocks: Vec<Cell<Clock>>,
    /// Two for each thread, used in turn: a lane that has resumed may offer again before the others
    /// have read.
    pub(super) offers: Vec<[Cell<Offer>; 2]>,
    /// How many collectives of its warp each thread has passed.
    pub(super) turns: Vec<Cell<u32>>,
}

type Fiber = Coroutine<(), Wait, (), DefaultStack>;

#[derive(Clone, Copy)]
enum State {
    Ready,
    Waiting(Wait),
    Ended,
}

/// Calls the body behind an untyped pointer.
type Call = fn(*const (), &Block, &Yielder<(), Wait>, u32);

fn call<'m, F: Fn(Thread<'m, '_>) + Sync>(
    body: *const (),
    block: &Block,
    yielder: &Yielder<(), Wait>,
    thread: u32,
) {
    // SAFETY: `run` passes a pointer to an F that outlives every coroutine of the block.
    let body = unsafe { &*body.cast::<F>() };
    body(Thread::new(block, yielder, thread));
}

/// Runs one block.
pub(super) fn run<'m, F: Fn(Thread<'m, '_>) + Sync>(
    grid: Grid,
    index: [u32; 3],
    number: u32,
    body: &F,
    stacks: &mut Vec<DefaultStack>,
) -> Result<(), Fault> {
    let threads = grid.threads;
    let block = Rc::new(Block {
        grid,
        index,
        number,
        shared: RefCell::new(SharedMemory::new(grid.shared_bytes, threads)),
        clocks: (0..threads).map(|_| Cell::default()).collect(),
        offers: (0..threads).map(|_| [Cell::default(), Cell::default()]).collect(),
        turns: (0..threads).map(|_| Cell::default()).collect(),
    });
    let (body, enter): (*const (), Call) = (std::ptr::from_ref(body).cast(), call::<F>);
    let mut fibers: Vec<Fiber> = (0..threads)
        .map(|thread| {
            let stack = stacks.pop().unwrap_or_else(|| {
                DefaultStack::new(STACK).expect("memory for the stack of a coroutine")
            });
            let block = Rc::clone(&block);
            Coroutine::with_stack(stack, move |yielder, ()| enter(body, &block, yielder, thread))
        })
        .collect();
    let outcome = schedule(&block, &mut fibers);
    for mut fiber in fibers {
        if !fiber.done() {
            fiber.force_unwind();
        }
        stacks.push(fiber.into_stack());
    }
    outcome
}

/// Resumes every thread until all have ended.
fn schedule(block: &Block, fibers: &mut [Fiber]) -> Result<(), Fault> {
    let mut states = vec![State::Ready; fibers.len()];
    loop {
        for (warp, states) in states.chunks_mut(WARP as usize).enumerate() {
            let first = warp * WARP as usize;
            run_warp(block, &mut fibers[first..first + WARP as usize], states, first as u32)?;
        }
        // Every warp has ended or waits at a barrier of the block.
        if same(block, &states, 0)?.is_none() {
            return Ok(());
        }
        for clock in &block.clocks {
            let Clock { block, warp } = clock.get();
            clock.set(Clock { block: block + 1, warp });
        }
        states.fill(State::Ready);
    }
}

/// Resumes the lanes of a warp until all have ended or wait for the block.
fn run_warp(
    block: &Block,
    fibers: &mut [Fiber],
    states: &mut [State],
    first: u32,
) -> Result<(), Fault> {
    loop {
        for (fiber, state) in fibers.iter_mut().zip(&mut *states) {
            if let State::Ready = state {
                *state = resume(fiber)?;
            }
        }
        match same(block, states, first)? {
            Some(Wait::Warp(..)) => states.fill(State::Ready),
            Some(Wait::Block(_)) | None => return Ok(()),
        }
    }
}

fn resume(fiber: &mut Fiber) -> Result<State, Fault> {
    match catch_unwind(AssertUnwindSafe(|| fiber.resume(()))) {
        Ok(CoroutineResult::Yield(wait)) => Ok(State::Waiting(wait)),
        Ok(CoroutineResult::Return(())) => Ok(State::Ended),
        Err(payload) => match payload.downcast::<Fault>() {
            Ok(fault) => Err(*fault),
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// What all these threads wait for; `None` when all have ended.
fn same(block: &Block, states: &[State], first: u32) -> Result<Option<Wait>, Fault> {
    let of = |state: &State| match state {
        State::Waiting(wait) => Some(*wait),
        State::Ready | State::Ended => None,
    };
    let reference = of(&states[0]);
    let Some(at) = states.iter().position(|state| of(state) != reference) else {
        return Ok(reference);
    };
    let describe = |wait: Option<Wait>| wait.map_or("has ended".to_owned(), Wait::describe);
    let what = format!("{}, but thread {first} {}", describe(of(&states[at])), describe(reference));
    let place = match of(&states[at]).or(reference) {
        Some(Wait::Block(place) | Wait::Warp(_, place)) => place,
        None => Location::caller(),
    };
    let kind = Kind::Divergence { what };
    Err(Fault { kind, block: block.index, thread: first + at as u32, place })
}
