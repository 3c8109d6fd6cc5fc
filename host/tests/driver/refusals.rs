//! What is refused, and how.

use relfisher::driver::cuda::{self, Cuda};
use relfisher::driver::{Binding, Error, open};

use crate::{bindings, libraries, play};

/// The scene: every binding refuses the device number `STUB_CUDA_ORDINAL` with the error whose debug
/// text begins with `STUB_CUDA_REFUSAL`.
pub(crate) fn refused() {
    let wanted = std::env::var("STUB_CUDA_REFUSAL").unwrap();
    let ordinal = std::env::var("STUB_CUDA_ORDINAL").map_or(0, |text| text.parse().unwrap());
    for binding in bindings() {
        let error = open(binding, ordinal).err().expect("a refusal");
        let text = format!("{error:?}");
        assert!(text.starts_with(&wanted), "{}: {text}", binding.name());
        assert!(!error.remedy().is_empty());
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
}

fn refuses(settings: &[(&str, &str)], refusal: &str) {
    let settings = [settings, &[("REFUSAL", refusal)]].concat();
    play("refused", &libraries().whole, &settings);
}

#[test]
fn a_driver_without_devices_is_told() {
    refuses(&[], "NoDevice { count: 0 }");
    refuses(&[("INIT", "100")], "NoDevice { count: 0 }");
}

#[test]
fn a_device_beyond_the_last_is_told() {
    let two = ("DEVICES", "2");
    refuses(&[two, ("ORDINAL", "2")], "NoDevice { count: 2 }");
    refuses(&[two, ("ORDINAL", "4294967295")], "NoDevice { count: 2 }");
}

#[test]
fn an_old_driver_is_told() {
    refuses(
        &[("VERSION", "10020"), ("DEVICES", "1")],
        "OldDriver { found: (10, 2), needed: (11, 0) }",
    );
}

#[test]
fn an_old_device_is_told() {
    refuses(
        &[("DEVICES", "1"), ("CAPABILITY", "70")],
        "OldDevice { name: \"Stub 0\", capability: (7, 0) }",
    );
}

#[test]
fn a_driver_that_does_not_start_is_told_with_its_name_of_the_error() {
    refuses(
        &[("INIT", "34")],
        "NoDriver { problem: \"cuInit: CUDA_ERROR_STUB_LIBRARY (CUDA driver is a stub library)\"",
    );
    refuses(&[("INIT", "803")], "NoDriver { problem: \"cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH");
    // A code that no binding's enumeration has, and the stub no name for.
    refuses(&[("INIT", "4321")], "Call { call: \"cuInit\", problem: \"error 4321\" }");
}

/// With `cust` or `rustacuda` a program does not start on such a machine: the system's loader
/// refuses it.
#[cfg(not(any(feature = "cust", feature = "rustacuda")))]
#[test]
fn a_library_that_is_none_or_lacks_a_function_is_told() {
    let refuses = |folder, refusal| play("refused", folder, &[("REFUSAL", refusal)]);
    refuses(&libraries().garbage, "NoDriver { problem: \"the library libcuda.so.1 was not found");
    refuses(
        &libraries().without_init,
        "NoDriver { problem: \"the library has no function cuInit\"",
    );
}

#[test]
fn a_binding_that_was_not_built_in_is_told() {
    for binding in [Binding::Cudarc, Binding::Cust, Binding::Rustacuda] {
        if !Binding::BUILT.contains(&binding) {
            let problem = format!("built without the feature {}", binding.name());
            assert_eq!(open(binding, 0).err(), Some(Error::NoDriver { problem }));
        }
    }
}

#[test]
fn every_device_is_surveyed() {
    play("surveyed", &libraries().whole, &[("DEVICES", "3"), ("CAPABILITY", "70")]);
}

/// The scene: three devices, too old for the kernels, are described all the same.
pub(crate) fn surveyed() {
    for binding in bindings() {
        let devices = cuda::survey(binding).unwrap();
        assert_eq!(devices.len(), 3);
        for (i, device) in devices.iter().enumerate() {
            assert_eq!(device.driver, binding.name());
            assert_eq!(device.name, format!("Stub {i}"));
            assert_eq!(device.capability, (7, 0));
            assert_eq!(device.version, (12, 4));
            assert_eq!(device.memory, 64 << 20);
            assert_eq!(device.multiprocessors, 12);
            assert_eq!(device.shared_bytes, 101_376);
        }
        assert!(matches!(Cuda::open(binding, 1), Err(Error::OldDevice { .. })));
        assert_eq!(cuda::current(binding), Ok(None), "no context is left behind");
    }
}
