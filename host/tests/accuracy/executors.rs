//! An executor that is the processor's but for two things that a test can choose: the order in which
//! sums are taken, and the size of ν.

use relfisher::Scalar;
use relfisher::executor::{ChunkBody, Cpu, Executor, PartBody};
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Error, MatMut, MatRef};

/// Element-wise work of the processor; dense work is that of the core, one sum after the other.
pub(crate) struct Sequential {
    cpu: Cpu,
    /// What ν is multiplied with.
    nu: f64,
}

impl Sequential {
    pub(crate) fn new(nu: f64) -> Self {
        Self { cpu: Cpu::new(Some(1)).expect("a thread"), nu }
    }
}

/// All methods as they are provided: those of the core's own backend.
impl<T: Scalar> Backend<T> for Sequential {}

impl<T: Scalar> Executor<T> for Sequential {
    fn threads(&self) -> usize {
        1
    }

    fn description(&self) -> String {
        "sequential".into()
    }

    fn install(&self, job: &mut (dyn FnMut() + Send)) {
        job();
    }

    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        first();
        second();
    }

    fn activate(
        &self,
        out: MatMut<'_, T>,
        t: MatRef<'_, T>,
        f: Activation<T>,
    ) -> Result<(), Error> {
        self.cpu.activate(out, t, f)
    }

    fn activation_backward(
        &self,
        delta: MatMut<'_, T>,
        t: MatRef<'_, T>,
        f: Activation<T>,
    ) -> Result<(), Error> {
        self.cpu.activation_backward(delta, t, f)
    }

    fn response_nu(
        &self,
        mut nu: MatMut<'_, T>,
        t: MatRef<'_, T>,
        response: Response<T>,
    ) -> Result<(), Error> {
        self.cpu.response_nu(nu.rb_mut(), t, response)?;
        let factor = T::from_f64(self.nu);
        for i in 0..nu.rows() {
            nu.row_mut(i).iter_mut().for_each(|x| *x *= factor);
        }
        Ok(())
    }

    fn softmax(&self, probabilities: MatMut<'_, T>, logits: MatRef<'_, T>) -> Result<(), Error> {
        self.cpu.softmax(probabilities, logits)
    }

    fn for_each_chunk(
        &self,
        outputs: &mut [&mut [T]],
        inputs: &[&[T]],
        body: &ChunkBody<'_, T>,
    ) -> Result<(), Error> {
        self.cpu.for_each_chunk(outputs, inputs, body)
    }

    fn for_each_part(
        &self,
        parts: &mut [T],
        part_len: usize,
        scratch_len: usize,
        body: &PartBody<'_, T>,
    ) -> Result<(), Error> {
        self.cpu.for_each_part(parts, part_len, scratch_len, body)
    }
}
