//! Criterion's measurement by a device's own events.

use std::sync::Arc;

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter};
use relfisher::driver::Event;
use relfisher::executor::cuda::Gpu;

/// Milliseconds between two events of the stream: what the device takes, not what the calls take.
pub struct Events {
    gpu: Arc<Gpu>,
}

impl Events {
    /// Times what is put into the stream of a device.
    #[must_use]
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self { gpu }
    }

    /// Puts an event into the stream.
    fn record(&self) -> Event {
        let driver = self.gpu.driver();
        let event = driver.create_event().expect("the device gives an event");
        driver.record(event, self.gpu.stream()).expect("the stream takes an event");
        event
    }
}

impl Measurement for Events {
    type Intermediate = Event;
    type Value = f64;

    fn start(&self) -> Event {
        self.record()
    }

    fn end(&self, start: Event) -> f64 {
        let end = self.record();
        self.gpu.synchronize().expect("the work succeeds");
        let driver = self.gpu.driver();
        let milliseconds = driver.elapsed(start, end).expect("both events have passed");
        for event in [start, end] {
            // SAFETY: made by `record`, passed, and used by nobody else.
            unsafe { driver.destroy_event(event) }.expect("the device takes its event back");
        }
        f64::from(milliseconds)
    }

    fn add(&self, first: &f64, second: &f64) -> f64 {
        first + second
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Milliseconds
    }
}

/// Writes milliseconds of a device, and rates from them.
struct Milliseconds;

/// A unit that keeps a number between 1 and 1000, and what to multiply milliseconds with.
fn unit(typical: f64) -> (f64, &'static str) {
    if typical < 1e-3 {
        (1e6, "ns")
    } else if typical < 1.0 {
        (1e3, "µs")
    } else if typical < 1e3 {
        (1.0, "ms")
    } else {
        (1e-3, "s")
    }
}

impl ValueFormatter for Milliseconds {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let (factor, name) = unit(typical);
        values.iter_mut().for_each(|v| *v *= factor);
        name
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let (work, name) = match throughput {
            Throughput::Bytes(n) | Throughput::BytesDecimal(n) => (*n as f64, "GB/s"),
            Throughput::Elements(n) => (*n as f64, "GFLOP/s"),
            _ => (1.0, "G/s"),
        };
        values.iter_mut().for_each(|v| *v = work / *v / 1e6);
        name
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "ms"
    }
}

#[cfg(test)]
mod tests {
    use super::{Milliseconds, unit};
    use criterion::Throughput;
    use criterion::measurement::ValueFormatter;

    #[test]
    fn units_fit() {
        assert_eq!([5e-5, 0.5, 5.0, 5e3].map(|t| unit(t).1), ["ns", "µs", "ms", "s"]);
        let mut values = [2.0];
        let name =
            Milliseconds.scale_throughputs(2.0, &Throughput::Elements(4_000_000), &mut values);
        assert_eq!((name, values), ("GFLOP/s", [2.0]));
    }
}
