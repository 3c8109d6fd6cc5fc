//! Launches by name, as a host does them: signatures, addresses, bytes, and what is refused.

use std::collections::BTreeSet;

use relfisher_core::optim::{Adam, AdamStep, WeightDecay};
use relfisher_kernels::body::fma::Fma;
use relfisher_kernels::body::{cholesky, product, step};
use relfisher_kernels::contract::{
    Access, AdamScalars, Batch, CONTRACTS, Extent, Parameter, Product, Strides, Update, WordKind,
    signature,
};
use relfisher_kernels::emulator::{
    Argument, Buffer, Grid, Heap, HeapError, Kind, LaunchError, launch_entry,
};

use crate::device::{Place, bytes};
use crate::random::Random;
use crate::run::{contract, run_with};

fn grid(name: &str, blocks: [u32; 3]) -> Grid {
    let contract = contract(name);
    Grid { blocks, threads: contract.threads, shared_bytes: contract.shared_bytes }
}

/// Memory, arrays and scalars of a sum of two vectors' products, and its launch with changes.
struct Dot {
    heap: Heap,
    out: Place,
    x: Place,
    y: Place,
    count: [u8; 8],
}

const DOT: &str = "dot_f64";

impl Dot {
    fn new() -> Self {
        let heap = Heap::new();
        let x = Place::with(&heap, &[1.0, 2.0, 3.0]);
        let y = Place::with(&heap, &[10.0, 100.0, 1000.0]);
        let out = Place::new(&heap, 8);
        Self { heap, out, x, y, count: 3u64.to_ne_bytes() }
    }

    fn arguments(&self) -> [Argument<'_>; 4] {
        let [out, x, y] = [self.out, self.x, self.y].map(Place::argument);
        [out, x, y, Argument::Value(&self.count)]
    }

    fn launch(&self, arguments: &[Argument<'_>]) -> Result<(), LaunchError> {
        launch_entry(&self.heap, DOT, grid(DOT, [1, 1, 1]), arguments)
    }

    /// The error of a launch with one argument replaced.
    fn refused(&self, index: usize, argument: Argument<'_>) -> LaunchError {
        let mut arguments = self.arguments();
        arguments[index] = argument;
        self.launch(&arguments).expect_err("a launch that must be refused")
    }
}

#[test]
fn every_contract_has_a_signature_and_is_found_by_name() {
    let heap = Heap::new();
    let mut names = BTreeSet::new();
    for contract in CONTRACTS {
        let name = contract.name;
        assert!(names.insert(name), "two contracts of {name}");
        let found = signature(name).unwrap_or_else(|| panic!("no signature of {name}"));
        assert_eq!(found.name, name);
        assert!(found.arrays.iter().any(|array| array.access == Access::Write), "{name}");
        assert!(!found.values.is_empty(), "{name}");
        let has = |word: WordKind| found.arrays.iter().any(|array| array.word == word);
        match name.rsplit('_').next() {
            Some("f64") => assert!(has(WordKind::F64) && !has(WordKind::F32), "{name}"),
            Some("u32") => assert!(!has(WordKind::F64) && !has(WordKind::F32), "{name}"),
            // Random numbers are f64 whatever they are drawn for.
            _ => assert!(has(WordKind::F32), "{name}"),
        }
        // It is found: what is refused is the number of arguments.
        let expected = found.arrays.len() + found.values.len();
        let refused = launch_entry(&heap, name, grid(name, [1, 1, 1]), &[]);
        assert_eq!(refused, Err(LaunchError::Count { expected, found: 0 }), "{name}");
    }
    assert!(signature("gemm_nn_f16").is_none());
}

#[test]
fn a_launch_by_name_computes() {
    let dot = Dot::new();
    dot.launch(&dot.arguments()).expect("a launch that fits");
    assert_eq!(dot.out.read::<f64>(&dot.heap), [3210.0]);
    // What a launch wrote is an input of the next: Σ out·x over one element.
    let result = Place::new(&dot.heap, 8);
    let one = 1u64.to_ne_bytes();
    let [out, x] = [dot.out, dot.x].map(Place::argument);
    dot.launch(&[result.argument(), out, x, Argument::Value(&one)]).expect("a launch that fits");
    assert_eq!(result.read::<f64>(&dot.heap), [3210.0]);
    // Inputs may overlap.
    dot.launch(&[dot.out.argument(), x, x, Argument::Value(&dot.count)]).expect("one input twice");
    assert_eq!(dot.out.read::<f64>(&dot.heap), [14.0]);
}

#[test]
fn wrong_arguments_are_refused() {
    let dot = Dot::new();
    let (x, all) = (dot.x.address, dot.arguments());
    assert_eq!(dot.launch(&all[..3]), Err(LaunchError::Count { expected: 4, found: 3 }));
    let array = |address, bytes| Argument::Array { address, bytes };
    assert_eq!(dot.refused(1, all[3]), LaunchError::Kind { parameter: "x" });
    assert_eq!(dot.refused(3, all[1]), LaunchError::Kind { parameter: "count" });
    let parameter = "count";
    let short = Argument::Value(&dot.count[..4]);
    assert_eq!(dot.refused(3, short), LaunchError::Bytes { parameter, expected: 8, found: 4 });
    let parameter = "x";
    let ragged = dot.refused(1, array(x, 20));
    assert_eq!(ragged, LaunchError::Bytes { parameter, expected: 8, found: 20 });
    let odd = dot.refused(1, array(x + 4, 16));
    assert_eq!(odd, LaunchError::Misaligned { parameter, address: x + 4 });
    let error = HeapError::OutOfBounds { address: x, bytes: 32, left: 24 };
    assert_eq!(dot.refused(1, array(x, 32)), LaunchError::Memory { parameter, error });
    let error = HeapError::UnknownAddress { address: 8 };
    assert_eq!(dot.refused(1, array(8, 24)), LaunchError::Memory { parameter, error });
    let overlap = dot.refused(0, array(x + 16, 8));
    assert_eq!(overlap, LaunchError::Overlap { written: "out", other: "x" });
    let unknown = launch_entry(&dot.heap, "dot", grid(DOT, [1, 1, 1]), &all);
    assert_eq!(unknown, Err(LaunchError::UnknownEntry { name: "dot".into() }));
    for wrong in [
        Grid { threads: 128, ..grid(DOT, [1, 1, 1]) },
        Grid { shared_bytes: 1 << 16, ..grid(DOT, [1, 1, 1]) },
        grid(DOT, [1, 0, 1]),
        grid(DOT, [1, 1, 65_536]),
    ] {
        let refused = launch_entry(&dot.heap, DOT, wrong, &all);
        assert!(matches!(refused, Err(LaunchError::Grid { grid, .. }) if grid == wrong));
    }
    // Nothing of all this wrote the result.
    let mut result = [0; 8];
    let address = dot.out.address;
    assert_eq!(dot.heap.read(address, &mut result), Err(HeapError::Unwritten { address }));
}

#[test]
fn a_kernel_stays_inside_its_ranges() {
    let dot = Dot::new();
    let kind = |index, argument| match dot.refused(index, argument) {
        LaunchError::Fault(fault) => fault.kind,
        other => panic!("{other}"),
    };
    // Only the first two values of x, though the allocation has a third.
    let short = kind(1, Argument::Array { address: dot.x.address, bytes: 16 });
    assert!(matches!(short, Kind::OutOfBounds { word: 4, words: 4, .. }), "{short:?}");
    let none = kind(1, Argument::Array { address: 0, bytes: 0 });
    assert!(matches!(none, Kind::OutOfBounds { words: 0, .. }), "{none:?}");
    let four = 4u64.to_ne_bytes();
    let past = kind(3, Argument::Value(&four));
    assert!(matches!(past, Kind::OutOfBounds { word: 6, words: 6, .. }), "{past:?}");
    dot.heap.forget(dot.y.address + 8, 8).expect("a range of the allocation");
    let unwritten = dot.launch(&dot.arguments());
    let Err(LaunchError::Fault(fault)) = unwritten else { panic!("{unwritten:?}") };
    assert!(matches!(fault.kind, Kind::Uninitialised { word: 2, .. }), "{fault}");
}

#[test]
fn memory_is_checked() {
    let heap = Heap::with_capacity(1024);
    assert_eq!(heap.allocate(0), Err(HeapError::Empty));
    assert_eq!(heap.allocate(1028), Err(HeapError::OutOfMemory { bytes: 1028 }));
    assert_eq!(heap.allocate(u64::MAX), Err(HeapError::OutOfMemory { bytes: u64::MAX }));
    let [a, b] = [600, 400].map(|bytes| heap.allocate(bytes).expect("memory"));
    assert!(a.is_multiple_of(256) && b.is_multiple_of(256) && b >= a + 600 + 256);
    assert_eq!(heap.allocate(32), Err(HeapError::OutOfMemory { bytes: 32 }));
    heap.fill(a, 7, 150).expect("a range of the allocation");
    assert_eq!(
        heap.fill(a, 7, 151),
        Err(HeapError::OutOfBounds { address: a, bytes: 604, left: 600 })
    );
    let past = HeapError::UnknownAddress { address: a + 600 };
    assert_eq!(heap.write(a + 600, &[0; 4]), Err(past));
    assert_eq!(heap.write(a, &[0; 3]), Err(HeapError::Misaligned { address: a, bytes: 3 }));
    assert_eq!(heap.write(a + 2, &[0; 4]), Err(HeapError::Misaligned { address: a + 2, bytes: 4 }));
    heap.forget(a + 8, 4).expect("a range of the allocation");
    heap.copy(b, a, 8).expect("ranges of the allocations");
    heap.copy(b + 8, a + 8, 8).expect("an unwritten word is copied as such");
    let mut words = [0; 8];
    heap.read(b, &mut words).expect("what was copied");
    assert_eq!(words.to_vec(), bytes(&[7u32, 7]));
    let unwritten = HeapError::Unwritten { address: b + 8 };
    assert_eq!(heap.read(b + 8, &mut words), Err(unwritten));
    assert_eq!(heap.copy(a + 4, a, 8), Err(HeapError::Overlap));
    heap.free(a).expect("an allocation");
    assert_eq!(heap.free(a), Err(HeapError::UnknownAddress { address: a }));
    assert_eq!(heap.read(a, &mut words), Err(HeapError::UnknownAddress { address: a }));
    let again = heap.allocate(600).expect("the memory is free again");
    assert_ne!(again, a);
    let unwritten = HeapError::Unwritten { address: again };
    assert_eq!(heap.read(again, &mut words), Err(unwritten));
}

#[test]
fn launches_from_many_threads_share_a_heap() {
    let dot = Dot::new();
    std::thread::scope(|scope| {
        for factor in 1..5 {
            let dot = &dot;
            scope.spawn(move || {
                for _ in 0..8 {
                    let x = Place::with(&dot.heap, &[f64::from(factor); 3]);
                    let out = Place::new(&dot.heap, 8);
                    let count = Argument::Value(&dot.count);
                    let [o, x, y] = [out, x, dot.y].map(Place::argument);
                    dot.launch(&[o, x, y, count]).expect("a launch that fits");
                    assert_eq!(out.read::<f64>(&dot.heap), [1110.0 * f64::from(factor)]);
                }
            });
        }
    });
}

#[test]
fn a_product_by_name_has_the_bits_of_its_body() {
    let (m, n, k, name) = (70usize, 37usize, 19usize, "gemm_nt_f64");
    let mut random = Random::new(11);
    let (a, b): (Vec<f64>, Vec<f64>) = (random.normals(m * k), random.normals(n * k));
    let p = Product {
        extent: Extent::whole(m as u32, n as u32, k as u32),
        strides: Strides { a: k as u32, b: k as u32, c: n as u32 },
        update: Update { alpha: 0.5, beta: 0.0 },
    };
    let shape = grid(name, [1, 2, 1]);
    let mut c = Buffer::<f64>::unwritten(m * n);
    let (left, right) = (Buffer::from_slice(&a), Buffer::from_slice(&b));
    let (to, from, with) = (c.output(), left.input(), right.input());
    run_with(name, shape.blocks, shape.threads, shape.shared_bytes, |d| {
        product::nt::<f64, _, Fma<4>>(d, to, from, with, p);
    });
    let heap = Heap::new();
    let places = [Place::new(&heap, 8 * (m * n) as u64), Place::with(&heap, &a)];
    let [to, from, with] = [places[0], places[1], Place::with(&heap, &b)].map(Place::argument);
    let scalars = p.to_bytes();
    let arguments = [to, from, with, Argument::Value(scalars.as_slice())];
    launch_entry(&heap, name, shape, &arguments).expect("a launch that fits");
    assert_eq!(places[0].read::<f64>(&heap), c.to_vec());
}

#[test]
fn factors_by_name_have_the_bits_of_their_body() {
    let (n, name) = (33usize, "cholesky_small_f32");
    let mut random = Random::new(12);
    let a: Vec<f32> = (0..3).flat_map(|_| random.spd(n, 10.0)).collect();
    let b = Batch { distance: (n * n) as u64, order: n as u32, row: n as u32, damping: 0.5f32 };
    let (mut factors, mut flags) = (Buffer::from_slice(&a), Buffer::<u32>::unwritten(3));
    let (to, to_flags) = (factors.output(), flags.output());
    let bytes = cholesky::small_bytes(n as u32, 4);
    run_with(name, [3, 1, 1], cholesky::SMALL_THREADS, bytes, |d| {
        cholesky::small(d, to, to_flags, b);
    });
    let heap = Heap::new();
    let (to, to_flags) = (Place::with(&heap, &a), Place::new(&heap, 12));
    let scalars = b.to_bytes();
    let arguments = [to.argument(), to_flags.argument(), Argument::Value(scalars.as_slice())];
    let shape = Grid { shared_bytes: bytes, ..grid(name, [3, 1, 1]) };
    launch_entry(&heap, name, shape, &arguments).expect("a launch that fits");
    assert_eq!(to.read::<f32>(&heap), factors.to_vec());
    assert_eq!(to_flags.read::<u32>(&heap), [0, 0, 0]);
}

#[test]
fn adam_by_name_has_the_bits_of_its_body() {
    let (n, name) = (1500usize, "adam_f32");
    let mut random = Random::new(13);
    let state: [Vec<f32>; 3] = [random.normals(n), random.normals(n), random.uniforms(n, 0.5, 2.0)];
    let gradient: Vec<f32> = random.normals(n);
    let rule = Adam { weight_decay: WeightDecay::Decoupled(0.25f32), ..Adam::default() };
    let s = AdamScalars { count: n as u64, rule: rule.at(0.01, 3) };
    let mut buffers = state.each_ref().map(|values| Buffer::from_slice(values));
    let from = Buffer::from_slice(&gradient);
    let [theta, first, second] = buffers.each_mut().map(Buffer::output);
    let input = from.input();
    run_with(name, [2, 1, 1], 256, 0, |d| step::adam(d, theta, first, second, input, s));
    let heap = Heap::new();
    let places = state.each_ref().map(|values| Place::with(&heap, values));
    let [theta, first, second] = places.map(Place::argument);
    let gradient = Place::with(&heap, &gradient).argument();
    let scalars = s.to_bytes();
    let arguments = [theta, first, second, gradient, Argument::Value(scalars.as_slice())];
    launch_entry(&heap, name, grid(name, [2, 1, 1]), &arguments).expect("a launch that fits");
    for (place, buffer) in places.into_iter().zip(buffers) {
        assert_eq!(place.read::<f32>(&heap), buffer.to_vec());
    }
}

/// The fields stand where the compiler puts them, and come back.
#[test]
fn scalars_survive_their_bytes() {
    let rule = Adam { weight_decay: WeightDecay::Decoupled(0.5f64), ..Adam::default() };
    let s = AdamScalars { count: 9, rule: rule.at(0.125, 6) };
    let stored = s.to_bytes();
    let stored = stored.as_slice();
    assert_eq!((stored.len(), stored.as_ptr().addr() % 16), (size_of::<AdamScalars<f64>>(), 0));
    let back = AdamScalars::<f64>::from_bytes(stored).expect("the same structure");
    assert_eq!((back.count, back.rule), (s.count, s.rule));
    assert!(AdamScalars::<f64>::from_bytes(&stored[1..]).is_none());
    let mut no_variant = stored.to_vec();
    let variant = 8 + 3 * 8;
    assert_eq!(no_variant[variant..variant + 8], [1u32.to_ne_bytes(), [0; 4]].concat());
    no_variant[variant] = 2;
    assert!(AdamScalars::<f64>::from_bytes(&no_variant).is_none());
    // In f32 this structure has no padding, so that its memory can be looked at.
    let step = Adam::<f32>::default().at(0.5, 1);
    const WORDS: usize = size_of::<AdamStep<f32>>() / 4;
    // SAFETY: seven numbers and the number of a variant, four bytes each, all of them written.
    let memory: [u32; WORDS] = unsafe { std::mem::transmute(step) };
    assert_eq!(step.to_bytes().as_slice(), bytes(&memory));
}
