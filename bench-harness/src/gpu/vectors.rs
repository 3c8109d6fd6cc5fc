//! Work that memory bounds: ν, activations, update rules, sums, as shares of a copy's bandwidth.

use relfisher::executor::cuda::Buffer;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::optim::{Adam, Momentum, Sgd};

use super::clock::{Case, time_in_turn};
use super::data::{Noise, sampled};
use super::{Failure, Report, Session, check};

pub(super) fn measure(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let gpu = &session.gpu;
    // Far more than any cache holds.
    let n = session.size(1 << 27, 5000);
    let x = Noise::<f32>::new(gpu, 5, n)?;
    let mut y = Buffer::<f32>::new(gpu, n)?;
    y.view_mut().copy_from(x.buffer.view())?;
    check("copy", sampled(&y, 16, |at| x.at(at))?.0, 0.0)?;
    let [mut z, mut w] = [Buffer::<f32>::zeros(gpu, n)?, Buffer::<f32>::zeros(gpu, n)?];
    let mut sum = Buffer::<f32>::new(gpu, 1)?;

    gpu.response_nu(y.view_mut(), x.buffer.view(), Response::Tanh)?;
    check("ν", sampled(&y, 16, |at| 1.0 / x.at(at).cosh().powi(2))?.0, 1e-6)?;
    gpu.activate(y.view_mut(), z.view_mut(), x.buffer.view(), Activation::Tanh)?;
    check("f", sampled(&y, 16, |at| x.at(at).tanh())?.0, 1e-6)?;
    gpu.axpby(y.view_mut(), (0.0, 2.0), x.buffer.view())?;
    check("axpby", sampled(&y, 16, |at| 2.0 * x.at(at))?.0, 0.0)?;
    gpu.dot(sum.view_mut(), x.buffer.view(), y.view())?;
    let exact: f64 = (0..n).map(|at| 2.0 * x.at(at).powi(2)).sum();
    check("dot", sampled(&sum, 1, |_| exact)?.0, 1e-5 * exact)?;
    z.view_mut().clear()?;
    let sgd =
        Sgd { learning_rate: 0.5f32, momentum: 0.5, form: Momentum::HeavyBall, weight_decay: 0.0 };
    gpu.sgd(y.view_mut(), z.view_mut(), x.buffer.view(), sgd)?;
    // θ = 2x, v = g: θ ← 2x − x/2.
    check("sgd", sampled(&y, 16, |at| 1.5 * x.at(at))?.0, 1e-6)?;
    z.view_mut().clear()?;
    let adam = Adam::<f32>::default().at(0.25, 0);
    gpu.adam(y.view_mut(), [z.view_mut(), w.view_mut()], x.buffer.view(), adam)?;
    // The first step of Adam has the length of its rate.
    check("adam", sampled(&y, 16, |at| 1.5 * x.at(at) - 0.25 * x.at(at).signum())?.0, 1e-4)?;

    let shared = std::cell::RefCell::new((&mut y, &mut z, &mut w, &mut sum));
    let from = || x.buffer.view();
    let bytes = |values: f64| (0.0, 4.0 * values * n as f64);
    let mut cases = [
        Case::new("copy", bytes(2.0), || shared.borrow_mut().0.view_mut().copy_from(from())),
        Case::new("nu tanh", bytes(2.0), || {
            gpu.response_nu(shared.borrow_mut().0.view_mut(), from(), Response::Tanh)
        }),
        Case::new("activate tanh", bytes(3.0), || {
            let (a, slope, ..) = &mut *shared.borrow_mut();
            gpu.activate(a.view_mut(), slope.view_mut(), from(), Activation::Tanh)
        }),
        Case::new("axpby", bytes(3.0), || {
            gpu.axpby(shared.borrow_mut().0.view_mut(), (0.5, 0.5), from())
        }),
        Case::new("sgd", bytes(5.0), || {
            let (theta, velocity, ..) = &mut *shared.borrow_mut();
            gpu.sgd(theta.view_mut(), velocity.view_mut(), from(), sgd)
        }),
        Case::new("adam", bytes(7.0), || {
            let (theta, first, second, _) = &mut *shared.borrow_mut();
            let moments = [first.view_mut(), second.view_mut()];
            gpu.adam(theta.view_mut(), moments, from(), adam)
        }),
        Case::new("dot", bytes(2.0), || {
            let (y, _, _, sum) = &mut *shared.borrow_mut();
            gpu.dot(sum.view_mut(), from(), y.view())
        }),
    ];
    let times = time_in_turn(gpu, session.seconds, &mut cases)?;
    report.add(&cases, &times);
    for name in ["nu tanh", "activate tanh", "axpby", "sgd", "adam", "dot"] {
        report.share_of_bandwidth(name, "copy");
    }
    report.against_baselines("copy", "ceiling copy");
    report.against_baselines("nu tanh", "nu tanh");
    report.against_baselines("adam", "adam step");
    Ok(())
}
