//! Checkpoints: as they are, and with the checksum made to fit, so that what lies behind it is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher::train::Standing;
use relfisher_fuzz::refused;

/// What stands before the digits of the checksum.
const KEY: &[u8] = b"\"relfisher checkpoint 3\":\"";

fuzz_target!(|data: &[u8]| {
    read(data);
    let Some(start) = data.windows(KEY.len()).position(|w| w == KEY).map(|at| at + KEY.len())
    else {
        return;
    };
    let mut whole = data.to_vec();
    let Some(place) = whole.get_mut(start..start + 8) else { return };
    place.copy_from_slice(b"00000000");
    let mut crc = flate2::Crc::new();
    crc.update(&whole);
    whole[start..start + 8].copy_from_slice(format!("{:08x}", crc.sum()).as_bytes());
    read(&whole);
    // One bit of a file that was whole.
    if refused(Standing::parse::<f32>(&whole)).is_some() {
        let bit = crc.sum() as usize % (8 * whole.len());
        whole[bit / 8] ^= 1 << (bit % 8);
        assert!(Standing::parse::<f32>(&whole).is_err(), "bit {bit} was not missed");
    }
});

fn read(bytes: &[u8]) {
    refused(Standing::parse::<f32>(bytes));
    refused(Standing::parse::<f64>(bytes));
}
