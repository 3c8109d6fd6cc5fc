//! What a request is said to need bounds what it allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use relfisher::curvature::{Memory, Quantity, Request, collect, required_bytes};
use relfisher::format::TensorFile;
use relfisher::network::{Architecture, Loss};
use relfisher::{Error, Scalar};
use relfisher_tests::problem::{Problem, network};

/// The system's allocator, which counts the bytes in use and the most there have been.
///
/// Blocks that begin on a page are left out: the dense library reserves two level-3 caches for each
/// thread so, and touches what a product packs.
struct Counting;

const PAGE: usize = 4096;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn counted(layout: Layout) -> usize {
    if layout.align() < PAGE { layout.size() } else { 0 }
}

fn grow(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(now, Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(counted(layout));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(counted(layout));
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(counted(layout), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Shape, words, samples of a batch, samples, and whether eigenvalues are asked for.
const CASES: [(&[usize], &str, usize, usize, bool); 4] = [
    (&[256], "L512 tanh L256 relu L10", 256, 600, false),
    (&[20], "L24 tanh L12 sigmoid L8", 128, 300, true),
    (&[3, 12, 12], "C8:k3,p1 tanh M:k2 C8:k3 relu flat L5", 32, 48, false),
    (&[12, 16], "L16 tanh flat L6", 64, 200, true),
];

const LIMIT: Memory = Memory { limit: 400 << 20 };

fn vectors<T: Scalar>(problem: &relfisher::curvature::Problem<'_, T>) -> TensorFile<T> {
    let mut file = TensorFile::new();
    for block in problem.network.blocks() {
        let (m, d) = (block.rows, block.cols);
        file.insert(format!("matvec.v.{}", block.name), &[m, d, 2], vec![T::HALF; m * d * 2]);
        file.insert(format!("probe.{}", block.name), &[m * d, 3], vec![T::HALF; m * d * 3]);
    }
    file
}

/// The bytes that a request took, or why it was refused.
fn measured<T: Scalar>(
    problem: &relfisher::curvature::Problem<'_, T>,
    request: &Request<'_, T>,
) -> Result<usize, Error> {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let collection = collect(problem, request, &mut |_| {})?;
    let bytes = collection.tensors.to_bytes()?;
    assert!(!bytes.is_empty());
    Ok(MOST.load(Relaxed) - before)
}

fn bounded<T: Scalar>() -> usize {
    let (mut refused, mut above) = (0, Vec::new());
    for (shape, words, chunk, samples, eigenvalues) in CASES {
        let architecture: Architecture = network(shape, words, Loss::SoftmaxCrossEntropy);
        let p = Problem::new(words, architecture, samples, 7);
        let mut singles: Vec<Vec<Quantity>> =
            Quantity::all().into_iter().map(|q| vec![q]).collect();
        let slow = |q: &Quantity| matches!(q, Quantity::Top(..) | Quantity::Bottom(..));
        singles.retain(|q| eigenvalues || !slow(&q[0]));
        // Several in one request share and keep results.
        let ends = |names: &[&str]| names.iter().map(|n| n.parse().expect("a name")).collect();
        singles.push(ends(&[
            "kfac_type2",
            "kfac_type2_precond_eig",
            "ekfac_type2",
            "kflr",
            "grad",
        ]));
        singles.push(ends(&["per_sample_grad", "output", "ef_diag", "ggn_diag", "hess_diag"]));
        for quantities in singles {
            // An executor of its own: one that has worked keeps its scratch.
            let loaded = p.load::<T>(2);
            let problem = loaded.problem(chunk);
            let vectors = vectors(&problem);
            let request = Request {
                quantities: &quantities,
                dampings: &[1e-3, 1e-1],
                vectors: Some(&vectors),
                memory: LIMIT,
            };
            let label = format!("{words} {} {quantities:?}", T::NAME);
            let estimate = required_bytes(&problem, &request);
            match measured(&problem, &request) {
                Ok(bytes) => {
                    println!("{label}: {bytes} of {estimate}");
                    if bytes as u64 > estimate.min(LIMIT.limit) {
                        above.push(format!("{label}: {bytes} > {estimate}"));
                    }
                }
                Err(e) => {
                    assert!(estimate > LIMIT.limit, "{label}: {e}");
                    assert!(e.to_string().contains("bytes"), "{e}");
                    refused += 1;
                }
            }
        }
    }
    assert!(above.is_empty(), "{}", above.join("\n"));
    refused
}

/// One test: what another allocated meanwhile would be counted too.
#[test]
fn estimates_bound_what_is_allocated() {
    // The dense blocks of the wide network, at least.
    assert!(bounded::<f64>() >= 9);
    assert!(bounded::<f32>() >= 9);
    // A bound below that of one batch makes the batches smaller.
    let architecture = network(&[256], "L512 tanh L256 relu L10", Loss::SoftmaxCrossEntropy);
    let p = Problem::new("tight", architecture, 2000, 8);
    let loaded = p.load::<f64>(1);
    let problem = loaded.problem(2000);
    let request = |limit| Request {
        quantities: &[Quantity::Factors(relfisher::curvature::Family::Kflr)],
        dampings: &[],
        vectors: None,
        memory: Memory { limit },
    };
    let all = required_bytes(&problem, &request(u64::MAX));
    let bytes = measured(&problem, &request(all / 3)).expect("smaller batches");
    assert!(bytes as u64 <= all / 3, "{bytes} of {}", all / 3);
}
