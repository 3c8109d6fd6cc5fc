//! Weights for a network: the length of the network file (two bytes, little-endian), the network file,
//! then the safetensors file. What is accepted computes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher::executor::Cpu;
use relfisher::format::{TensorFile, parse_parameters};
use relfisher::network::{Architecture, Mode, Network, Tape};
use relfisher_fuzz::refused;

/// The most numbers that a forward pass may keep.
const LIMIT: usize = 1 << 16;

thread_local! {
    static CPU: Cpu = Cpu::new(Some(1)).expect("one thread");
}

fuzz_target!(|data: &[u8]| {
    let Some(([low, high], rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let Some((text, weights)) = rest.split_at_checked(length) else { return };
    if let Some(file) = refused(TensorFile::<f32>::parse(weights)) {
        let bytes = file.to_bytes().expect("what was read is written");
        let again = TensorFile::<f32>::parse(&bytes).expect("and read again");
        assert_eq!(again.to_bytes().expect("and written again"), bytes);
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Some(architecture) = refused(Architecture::parse(text)) else { return };
    let Some(network) = refused(Network::<f32>::from_architecture(&architecture)) else { return };
    let Some(parameters) = refused(parse_parameters(&network, weights)) else { return };
    assert_eq!(parameters.values.len(), network.parameter_count());
    assert!(parameters.values.iter().all(|x| x.is_finite()));
    if Tape::required_len(&network, 2) > LIMIT || network.scratch_len(1) > LIMIT {
        return;
    }
    let mut tape = Tape::new(&network, 2);
    tape.set_batch(2).expect("two samples");
    tape.input_mut().fill(0.5);
    CPU.with(|cpu| refused(network.forward(cpu, &parameters, Mode::Inference, &mut tape)));
});
