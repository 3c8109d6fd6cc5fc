//! Buffers, the pool, pinned memory, graphs, borrowed memory, several devices, traffic.

use std::sync::Arc;

use relfisher::driver::Stream;
use relfisher::executor::cuda::{Buffer, Gpu, Matrix, MatrixMut, Pinned, Side};

use crate::Case;
use crate::lab::{Lab, upload};
use crate::random::Random;

pub(crate) const CASES: &[Case] = &[
    ("copies_both_ways", copies),
    ("work_sees_the_uploads_before_it", uploads),
    ("freed_memory_is_given_out_again", pool),
    ("the_pool_keeps_no_more_than_its_bound", bound),
    ("pinned_uploads", pinned),
    ("a_graph_does_what_the_launches_did", graph),
    ("a_graph_keeps_its_scratch_memory", scratch_of_a_graph),
    ("a_failed_capture_leaves_the_stream_usable", failed_capture),
    ("borrowed_memory_stays_with_its_owner", borrowed),
    ("a_stream_of_another_owner", foreign_stream),
    ("two_devices_at_once", two_at_once),
    ("traffic_is_counted", traffic),
    ("events_measure_time", events),
];

fn copies(lab: &Lab) {
    let values: Vec<f64> = Random::new(1).normals(1001);
    let mut a = Buffer::<f64>::new(&lab.gpu, 1001).expect("memory");
    a.view_mut().upload(&values).expect("an upload");
    let mut b = Buffer::<f64>::zeros(&lab.gpu, 1001).expect("memory");
    assert_eq!(b.to_vec().expect("a copy"), vec![0.0; 1001]);
    let (first, second) = b.view_mut().split(400);
    second.copy_from(a.view().slice(400..1001)).expect("a copy");
    first.slice(0..3).copy_from(a.view()).expect("a copy");
    let mut want = values.clone();
    want[3..400].fill(0.0);
    assert_eq!(b.to_vec().expect("a copy"), want);
    let mut part = [0.0; 5];
    a.view().slice(7..12).download(&mut part).expect("a copy");
    assert_eq!(part, values[7..12]);
}

/// Sources that change, or go, right after an upload; results that are read right after the work.
fn uploads(lab: &Lab) {
    let len = if lab.large { 1_000_003 } else { 5_000 };
    for round in 0..10 {
        let mut source: Vec<f32> = Random::new(round).normals(len);
        let kept = source.clone();
        let from = upload(&lab.gpu, &source);
        source.fill(f32::NAN);
        let mut to = upload(&lab.gpu, &source);
        drop(source);
        lab.gpu.axpby(to.view_mut(), (0.0, 1.0), from.view()).expect("axpby");
        let found = to.to_vec().expect("a copy");
        let wrong = (0..len).filter(|i| found[*i].to_bits() != kept[*i].to_bits());
        let wrong: Vec<usize> = wrong.collect();
        let (first, last) = (wrong.first(), wrong.last());
        assert!(wrong.is_empty(), "{} wrong values, from {first:?} to {last:?}", wrong.len());
    }
}

fn pool(lab: &Lab) {
    let gpu = &lab.gpu;
    assert_eq!((gpu.kept_bytes(), gpu.used_bytes()), (0, 0));
    let first = Buffer::<f32>::new(gpu, 10_000).expect("memory");
    drop(first);
    let kept = gpu.kept_bytes();
    assert!((40_000..50_000).contains(&kept), "{kept} bytes kept of 40,000");
    // The same size again comes from the pool, and two do not get the same memory.
    let mut again = upload(gpu, &vec![1.0f32; 10_000]);
    assert_eq!(gpu.kept_bytes(), 0);
    let other = upload(gpu, &vec![2.0f32; 10_000]);
    gpu.axpby(again.view_mut(), (1.0, 1.0), other.view()).expect("axpby");
    assert_eq!(again.to_vec().expect("a copy"), vec![3.0; 10_000]);
    drop((again, other));
    assert_eq!(gpu.kept_bytes(), 2 * kept);
    // Work under way when a buffer is dropped is not disturbed by the next owner.
    let mut sum = Buffer::<f32>::zeros(gpu, 10_000).expect("memory");
    for value in 0..20 {
        let term = upload(gpu, &vec![value as f32; 10_000]);
        gpu.axpby(sum.view_mut(), (1.0, 1.0), term.view()).expect("axpby");
    }
    assert_eq!(sum.to_vec().expect("a copy"), vec![190.0; 10_000]);
    // One buffer is left; there were two at once, in the loop too.
    assert_eq!((gpu.used_bytes(), gpu.peak_bytes()), (kept, 2 * kept));
    gpu.restart_peak();
    assert_eq!(gpu.peak_bytes(), kept);
}

fn bound(lab: &Lab) {
    let gpu = &lab.gpu;
    let quarter = gpu.driver().device().memory / 4;
    if !lab.large {
        // Small sizes cannot reach a quarter of the memory; what is kept is below it.
        drop(Buffer::<f32>::new(gpu, 1 << 16).expect("memory"));
        assert!(gpu.kept_bytes() <= quarter);
        return;
    }
    // Two buffers of 3/16 of the memory: the pool may keep one.
    let len = (quarter / 16 * 3) as usize;
    let pair = [0; 2].map(|_| Buffer::<f32>::new(gpu, len).expect("memory"));
    drop(pair);
    let kept = gpu.kept_bytes();
    assert!(kept > 0 && kept <= quarter, "{kept} bytes kept, at most {quarter}");
}

fn pinned(lab: &Lab) {
    let gpu = &lab.gpu;
    let mut staging = Pinned::<f32>::new(gpu, 5000).expect("pinned memory");
    assert!(staging.values().expect("values").iter().all(|x| *x == 0.0));
    let mut total = Buffer::<f32>::zeros(gpu, 5000).expect("memory");
    let mut landing = Buffer::<f32>::new(gpu, 5000).expect("memory");
    for round in 1..=10 {
        // Waits for the copy of the round before.
        let values = staging.values().expect("values");
        for (i, x) in values.iter_mut().enumerate() {
            *x = (round * (i % 7)) as f32;
        }
        staging.upload(landing.view_mut()).expect("an upload");
        gpu.axpby(total.view_mut(), (1.0, 1.0), landing.view()).expect("axpby");
    }
    let want: Vec<f32> = (0..5000).map(|i| (55 * (i % 7)) as f32).collect();
    assert_eq!(total.to_vec().expect("a copy"), want);
}

/// A step of launches that depend on one another: C ← A B + C/2, y ← y/2 + vec C.
struct Step {
    gpu: Arc<Gpu>,
    a: Buffer<f32>,
    c: Buffer<f32>,
    y: Buffer<f32>,
}

impl Step {
    fn new(gpu: &Arc<Gpu>) -> Self {
        let mut random = Random::new(21);
        let mut make = |len| upload(gpu, &random.normals::<f32>(len));
        let [a, c, y] = [40 * 40, 40 * 40, 1600].map(&mut make);
        Self { gpu: Arc::clone(gpu), a, c, y }
    }

    fn run(&mut self) -> Result<(), relfisher::executor::cuda::Error> {
        let Self { gpu, a, c, y } = self;
        let factor = || Matrix::new(a.view(), 40, 40);
        let (left, right) = ((factor()?, Side::Stored), (factor()?, Side::Transposed));
        gpu.gemm(MatrixMut::new(c.view_mut(), 40, 40)?, (0.5, 0.0625), left, right)?;
        gpu.axpby(y.view_mut(), (0.5, 1.0), c.view())
    }

    fn values(&self) -> Vec<f32> {
        [&self.c, &self.y].map(|x| x.to_vec().expect("a copy")).concat()
    }
}

fn graph(lab: &Lab) {
    let mut direct = Step::new(&lab.gpu);
    let mut captured = Step::new(&lab.gpu);
    let before = captured.values();
    // SAFETY: the buffers of `captured` outlive the graph.
    let graph = unsafe { lab.gpu.capture(&mut || captured.run()) }.expect("a capture");
    assert!(captured.values() == before, "the capture did the work");
    for _ in 0..5 {
        direct.run().expect("a step");
        graph.launch().expect("a launch");
    }
    assert!(captured.values() == direct.values(), "other bits than direct launches");
    assert!(captured.values() != before);
    drop(graph);
    captured.run().expect("a step after the graph");
}

/// A product with a long inner range needs memory between its two launches; a graph needs it at every
/// launch, whoever got memory since.
fn scratch_of_a_graph(lab: &Lab) {
    let gpu = &lab.gpu;
    let mut random = Random::new(23);
    let x = upload(gpu, &random.normals::<f32>(1024 * 8));
    let run = |c: &mut Buffer<f32>| {
        let factor = || Matrix::new(x.view(), 1024, 8);
        let sides = ((factor()?, Side::Transposed), (factor()?, Side::Stored));
        gpu.gemm(MatrixMut::new(c.view_mut(), 8, 8)?, (0.0, 1.0), sides.0, sides.1)
    };
    let [mut direct, mut captured] = [0; 2].map(|_| Buffer::<f32>::zeros(gpu, 64).expect("memory"));
    // Brings the memory into the pool: none can be allocated during a capture.
    run(&mut direct).expect("a product");
    // SAFETY: the buffers outlive the graph.
    let graph = unsafe { gpu.capture(&mut || run(&mut captured)) }.expect("a capture");
    // Takes everything that is free of every size that the product may have used.
    let marks: Vec<Buffer<f32>> =
        (1..200).map(|k| upload(gpu, &vec![7.0f32; 64 * (k % 40 + 1)])).collect();
    graph.launch().expect("a launch");
    for mark in &marks {
        let values = mark.to_vec().expect("a copy");
        assert!(values.iter().all(|x| *x == 7.0), "a graph wrote into another's memory");
    }
    assert!(captured.to_vec().expect("a copy") == direct.to_vec().expect("a copy"));
    let (kept, used) = (gpu.kept_bytes(), gpu.used_bytes());
    drop(graph);
    let back = gpu.kept_bytes() - kept;
    assert!(back > 0, "the memory did not come back");
    assert_eq!(used - gpu.used_bytes(), back, "what a graph holds is in use");
}

fn failed_capture(lab: &Lab) {
    let mut step = Step::new(&lab.gpu);
    let refused = Matrix::new(step.a.view(), 1000, 1000).map(|_| ());
    // SAFETY: nothing is captured.
    let result =
        unsafe { lab.gpu.capture(|| refused.map_err(relfisher::executor::cuda::Error::from)) };
    assert!(result.is_err());
    step.run().expect("a step after the failure");
    lab.gpu.synchronize().expect("a usable stream");
}

fn borrowed(lab: &Lab) {
    let gpu = &lab.gpu;
    let driver = Arc::clone(gpu.driver());
    let owner = driver.allocate(4000).expect("memory");
    {
        // SAFETY: 1,000 values that nobody else uses.
        let mut lent = unsafe { Buffer::<f32>::borrow(gpu, owner, 1000) };
        lent.view_mut().upload(&vec![2.5; 1000]).expect("an upload");
        let one = upload(gpu, &vec![1.0f32; 1000]);
        gpu.axpby(lent.view_mut(), (2.0, 1.0), one.view()).expect("axpby");
    }
    gpu.synchronize().expect("done");
    assert!(gpu.kept_bytes() < 8000, "the pool took memory of another owner");
    let mut values = vec![0.0f32; 1000];
    // SAFETY: both ranges have 4,000 bytes; the copy is waited for.
    unsafe {
        let to = values.as_mut_ptr().cast();
        driver.download(Stream::DEFAULT, to, owner, 4000).expect("a copy");
        driver.synchronize(Stream::DEFAULT).expect("done");
        driver.free(owner).expect("the memory is still there");
    }
    assert_eq!(values, vec![6.0; 1000]);
}

fn foreign_stream(lab: &Lab) {
    let driver = Arc::clone(lab.gpu.driver());
    let stream = driver.create_stream().expect("a stream");
    {
        // SAFETY: the stream belongs to this driver and is destroyed below.
        let gpu = unsafe { Gpu::in_stream(Arc::clone(&driver), stream) }.expect("a device");
        let mut step = Step::new(&gpu);
        let mut own = Step::new(&lab.gpu);
        step.run().expect("a step");
        own.run().expect("a step");
        assert!(step.values() == own.values());
    }
    // SAFETY: made above; its user is gone, and left it.
    unsafe { driver.destroy_stream(stream).expect("the stream is still there") };
}

fn two_at_once(lab: &Lab) {
    let (first, second) = (lab.beside(), lab.beside());
    let run = |gpu: &Arc<Gpu>| {
        let mut step = Step::new(gpu);
        for _ in 0..10 {
            step.run().expect("a step");
        }
        step.values()
    };
    let (one, other) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| run(&second));
        (run(&first), thread.join().expect("no panic"))
    });
    assert!(one == other && one == run(&lab.gpu));
}

fn traffic(lab: &Lab) {
    let gpu = lab.beside();
    assert_eq!(gpu.traffic(), relfisher::executor::cuda::TrafficReport::default());
    let mut a = upload(&gpu, &[1.0f32; 100]);
    let b = upload(&gpu, &[1.0f64; 10]);
    gpu.axpby(a.view_mut(), (0.0, 1.0), upload(&gpu, &[2.0f32; 100]).view()).expect("axpby");
    let report = gpu.traffic();
    assert_eq!((report.uploads, report.uploaded_bytes), (3, 400 + 80 + 400));
    assert_eq!((report.launches, report.downloads, report.graph_launches), (1, 0, 0));
    assert_eq!(b.to_vec().expect("a copy").len() + a.to_vec().expect("a copy").len(), 110);
    let report = gpu.traffic();
    assert_eq!((report.downloads, report.downloaded_bytes), (2, 480));
}

fn events(lab: &Lab) {
    let (gpu, driver) = (&lab.gpu, lab.gpu.driver());
    let [start, end] = [0; 2].map(|_| driver.create_event().expect("an event"));
    let mut step = Step::new(gpu);
    driver.record(start, gpu.stream()).expect("recorded");
    for _ in 0..3 {
        step.run().expect("a step");
    }
    driver.record(end, gpu.stream()).expect("recorded");
    gpu.synchronize().expect("done");
    let milliseconds = driver.elapsed(start, end).expect("a time");
    assert!(milliseconds > 0.0 && milliseconds < 60_000.0, "{milliseconds} ms");
    // SAFETY: made above, used no more.
    unsafe {
        driver.destroy_event(start).expect("an event");
        driver.destroy_event(end).expect("an event");
    }
}
