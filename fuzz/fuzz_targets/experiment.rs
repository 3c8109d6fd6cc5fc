//! Experiment files, at both sizes: what is accepted is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher::train::{Experiment, Size};
use relfisher_fuzz::refused;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for size in [Size::Reduced, Size::Full] {
        let Some(experiment) = refused(Experiment::parse(text, "experiment.toml", size)) else {
            continue;
        };
        let text = toml::to_string(&experiment).expect("settings are text");
        let again = Experiment::parse(&text, "again.toml", Size::Reduced);
        assert_eq!(again.expect("what was written is read"), experiment);
    }
});
