//! Network files: what is accepted is written and read back the same, and makes a network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher::network::{Architecture, Network};
use relfisher_fuzz::refused;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(architecture) = refused(Architecture::parse(text)) else { return };
    let again = Architecture::parse(&architecture.to_json()).expect("what was written is read");
    assert_eq!(again, architecture);
    if let Some(network) = refused(Network::<f32>::from_architecture(&architecture)) {
        assert_eq!(network.inputs(), architecture.inputs());
        assert_eq!(network.outputs(), architecture.outputs());
        let ends = network.blocks().iter().map(|block| block.range().end);
        assert!(ends.max().unwrap_or(0) <= network.parameter_count());
    }
});
