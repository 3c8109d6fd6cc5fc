//! Two threads add to one number without a lock: ThreadSanitizer must say so.

static mut COUNT: u64 = 0;

fn add() {
    for _ in 0..1000 {
        // Wrong, on purpose.
        unsafe { (&raw mut COUNT).write_volatile((&raw const COUNT).read_volatile() + 1) };
    }
}

fn main() {
    let other = std::thread::spawn(add);
    add();
    other.join().expect("the other thread ends");
}
