//! `relfisher info` about GPUs.

use relfisher::driver::{Device, Error};
use relfisher::train::GpuReport;

use crate::{common, libraries, with};

/// The program's text with the stub in the place of the driver.
fn info(folder: &std::path::Path, settings: &[(&str, &str)]) -> String {
    let program = common::program(&["info", "--threads", "1"]);
    let output = with(program, folder, settings).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", common::stderr(&output));
    assert_eq!(common::stderr(&output), "");
    common::stdout(&output)
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn devices_are_listed_with_their_kernels() {
    let text = info(&libraries().whole, &[("DEVICES", "2"), ("CAPABILITY", "86")]);
    let first = relfisher::driver::Binding::BUILT[0].name();
    assert_says(
        &text,
        &[
            "GPU       Stub 0: compute capability 8.6, 0.1 GiB, 12 multiprocessors, kernels sm_80\n",
            "GPU       Stub 1: ",
            &format!("CUDA      12.4 by way of {first}, driver library "),
            "whole/lib64/libcuda.so.1\n",
            "--device emulated",
        ],
    );
    let text = info(&libraries().whole, &[("DEVICES", "1"), ("CAPABILITY", "75")]);
    assert_says(&text, &["compute capability 7.5", "kernels sm_75"]);
    let text = info(&libraries().whole, &[("DEVICES", "1"), ("CAPABILITY", "61")]);
    assert_says(&text, &["compute capability 6.1", "too old: the kernels need 7.5"]);
}

#[test]
fn a_driver_without_a_usable_device_is_explained() {
    let none = "GPU       none can be used: ";
    let text = info(&libraries().whole, &[]);
    assert_says(&text, &[none, "sees no device; check nvidia-smi", "--device emulated"]);
    let text = info(&libraries().whole, &[("VERSION", "10010"), ("DEVICES", "1")]);
    assert_says(&text, &[none, "speaks CUDA 10.1, but 11.0 is needed; update the NVIDIA driver"]);
    let text = info(&libraries().whole, &[("INIT", "999")]);
    assert_says(&text, &[none, "cuInit: error 999; check nvidia-smi"]);
}

#[cfg(not(any(feature = "cust", feature = "rustacuda")))]
#[test]
fn a_broken_library_is_explained() {
    let none = "GPU       none can be used: no CUDA driver: the library ";
    let text = info(&libraries().garbage, &[]);
    let found = "garbage/lib64/libcuda.so.1\n";
    assert_says(&text, &[none, "cannot be loaded; install the NVIDIA driver", found]);
    let text = info(&libraries().without_init, &[]);
    assert_says(&text, &[none, "has no function cuInit"]);
}

#[test]
fn a_machine_without_a_driver_is_told_what_to_do() {
    let problem = "nothing there".to_string();
    let report =
        GpuReport { driver: None, devices: Vec::new(), answer: Err(Error::NoDriver { problem }) };
    assert_eq!(
        report.to_string(),
        "GPU       none can be used: no CUDA driver: nothing there; install the NVIDIA driver, or use \
         --device cpu\n\
         CUDA      no driver library (libcuda.so.1) in the usual folders\n\
         emulator  --device emulated runs the kernels for GPUs on the processor, slowly, and checks \
         every access\n"
    );
    // The kernel module of the host is seen in a container, but not the library.
    let contained = GpuReport { devices: vec!["A GPU".to_string()], ..report };
    let text = contained.to_string();
    assert_says(
        &text,
        &["GPU       A GPU (listed in /proc/driver/nvidia)\n", "a container must be given"],
    );
}

#[test]
fn the_report_of_a_device_has_a_line() {
    let device = Device {
        driver: "cudarc",
        name: "Some GPU".to_string(),
        capability: (9, 0),
        version: (13, 1),
        memory: 80 << 30,
        multiprocessors: 132,
        shared_bytes: 232_448,
    };
    let report = GpuReport { driver: None, devices: Vec::new(), answer: Ok(vec![device]) };
    let line = "GPU       Some GPU: compute capability 9.0, 80.0 GiB, 132 multiprocessors, kernels sm_80\n\
                CUDA      13.1 by way of cudarc, ";
    assert!(report.to_string().starts_with(line), "{report}");
}
