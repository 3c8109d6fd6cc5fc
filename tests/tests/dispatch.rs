//! Which instruction set the executor's kernels run on.

use relfisher::executor::Cpu;

#[test]
#[cfg(target_arch = "x86_64")]
fn the_widest_instruction_set_is_used() {
    let wide = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512cd")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl");
    let middle = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    let want = match (wide, middle) {
        (true, _) => "AVX-512",
        (_, true) => "AVX2",
        _ => "baseline",
    };
    assert_eq!(Cpu::simd(), want);
}
