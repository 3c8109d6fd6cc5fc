//! Calls every public routine of the core; links only when none of them can panic.
//!
//! The job `cargo ci no-panic` builds this crate and says how to read a failure.
#![no_std]

use relfisher_core::{Error, MatMut, MatRef, Real};

unsafe extern "C" {
    /// Defined nowhere: a reference that survives optimisation breaks the link.
    fn relfisher_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never linked into anything that runs.
    unsafe { relfisher_panic_is_reachable() }
}

/// Arguments that the optimiser knows nothing about.
pub struct Opaque<T: 'static> {
    out: &'static mut [T],
    more: &'static mut [T],
    work: &'static mut [T],
    a: &'static [T],
    b: &'static [T],
    c: &'static [T],
    n: [usize; 8],
    s: [T; 6],
}

impl<T: Real> Opaque<T> {
    fn out(&mut self) -> Result<MatMut<'_, T>, Error> {
        MatMut::with_strides(self.out, self.n[0], self.n[1], self.n[2], self.n[3])
    }
    fn a(&self) -> Result<MatRef<'static, T>, Error> {
        MatRef::with_strides(self.a, self.n[4], self.n[5], self.n[6], self.n[7])
    }
}

/// Exports a probe for both scalar types.
macro_rules! probe {
    ($($name:ident)*) => { $(
        const _: () = {
            #[unsafe(export_name = concat!("probe_", stringify!($name), "_f32"))]
            extern "C" fn f32_probe(x: &mut Opaque<f32>) -> bool { $name(x).is_ok() }
            #[unsafe(export_name = concat!("probe_", stringify!($name), "_f64"))]
            extern "C" fn f64_probe(x: &mut Opaque<f64>) -> bool { $name(x).is_ok() }
        };
    )* };
}

probe!(view);

fn view<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.n;
    let s = x.s;
    let a = MatRef::new(x.a, n[0], n[1])?;
    let b = x.a()?.t().sub(n[0], n[1], n[2], n[3])?;
    b.check_finite("b")?;
    let mut out = x.out()?;
    out.set(n[4], n[5], a.at(n[6], n[7]));
    out.fill(s[0]);
    if let (Some(to), Some(from)) = (out.row_mut(n[0]).first_mut(), b.row(n[1]).first()) {
        *to = *from;
    }
    #[cfg(feature = "planted")]
    {
        x.out[n[0]] = s[0];
    }
    Ok(())
}
