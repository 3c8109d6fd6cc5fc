//! Reads one element behind an allocation: AddressSanitizer must say so.

fn main() {
    let data = vec![1_u8; 64];
    let place = std::hint::black_box(data.as_ptr()).wrapping_add(std::hint::black_box(64));
    // Wrong, on purpose.
    let beyond = unsafe { place.read_volatile() };
    println!("{beyond}");
}
