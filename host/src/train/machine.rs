//! What a record says about the machine, and what `relfisher info` prints.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::driver::{self, Device};

/// The machine that a record was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The operating system.
    pub os: String,
    /// The processor architecture.
    pub arch: String,
    /// The processor model as the system names it.
    pub cpu: String,
    /// The vector extensions that the program looks for and the processor has.
    pub simd: Vec<String>,
    /// The threads of the run.
    pub threads: usize,
}

impl Machine {
    /// Describes this machine for a run on `threads` threads.
    pub fn detect(threads: usize) -> Self {
        Self {
            os: std::env::consts::OS.to_string(),
            arch: std::env::consts::ARCH.to_string(),
            cpu: cpu_model(),
            simd: simd_features(),
            threads,
        }
    }
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find(|line| line.starts_with("model name") || line.starts_with("Hardware"))
        .and_then(|line| line.split_once(':'))
        .map_or_else(|| "unknown".to_string(), |(_, model)| model.trim().to_string())
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn simd_features() -> Vec<String> {
    let found = [
        ("sse2", std::is_x86_feature_detected!("sse2")),
        ("avx", std::is_x86_feature_detected!("avx")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512bw", std::is_x86_feature_detected!("avx512bw")),
        ("avx512dq", std::is_x86_feature_detected!("avx512dq")),
        ("avx512vl", std::is_x86_feature_detected!("avx512vl")),
    ];
    found.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_string()).collect()
}

#[cfg(target_arch = "aarch64")]
fn simd_features() -> Vec<String> {
    vec!["neon".to_string()]
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn simd_features() -> Vec<String> {
    Vec::new()
}

/// What is known about GPUs: by files, and by the CUDA driver's own answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuReport {
    /// The CUDA driver library, where one was found.
    pub driver: Option<PathBuf>,
    /// The device names that the driver's kernel module lists.
    pub devices: Vec<String>,
    /// The devices that the driver sees, or why it sees none.
    pub answer: Result<Vec<Device>, driver::Error>,
}

impl GpuReport {
    /// Looks for the CUDA driver library in the usual folders and in `LD_LIBRARY_PATH`, and for
    /// devices under `/proc/driver/nvidia`; then loads the library and asks it.
    pub fn detect() -> Self {
        let usual = [
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
            "/usr/lib/wsl/lib",
            "/usr/local/cuda/compat",
        ];
        let extra = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let driver = std::env::split_paths(&extra)
            .chain(usual.iter().map(PathBuf::from))
            .map(|dir| dir.join("libcuda.so.1"))
            .find(|file| file.exists());
        let mut devices = Vec::new();
        for entry in std::fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten() {
            let text =
                std::fs::read_to_string(entry.path().join("information")).unwrap_or_default();
            let model = text.lines().find_map(|l| l.strip_prefix("Model:"));
            devices.push(model.map_or("unnamed device", str::trim).to_string());
        }
        devices.sort();
        let answer = driver::built().and_then(driver::cuda::survey);
        Self { driver, devices, answer }
    }
}

/// A line for every device and one for the driver; without a device that can be used, why, and what
/// to do.
impl fmt::Display for GpuReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Ok(devices) => {
                devices.iter().try_for_each(|device| writeln!(f, "GPU       {}", line(device)))?
            }
            Err(e) => {
                for name in &self.devices {
                    writeln!(f, "GPU       {name} (listed in /proc/driver/nvidia)")?;
                }
                writeln!(f, "GPU       none can be used: {e}; {}", e.remedy())?;
            }
        }
        f.write_str("CUDA      ")?;
        match self.answer.as_ref().ok().and_then(|devices| devices.first()) {
            Some(Device { version: (major, minor), driver, .. }) => {
                write!(f, "{major}.{minor} by way of {driver}, ")?;
            }
            None if self.driver.is_none() && !self.devices.is_empty() => {
                f.write_str("the system has a device; a container must be given the driver; ")?;
            }
            None => {}
        }
        match &self.driver {
            Some(file) => writeln!(f, "driver library {}", file.display())?,
            None => writeln!(f, "no driver library (libcuda.so.1) in the usual folders")?,
        }
        writeln!(
            f,
            "emulator  --device emulated runs the kernels for GPUs on the processor, slowly, and \
             checks every access"
        )
    }
}

/// A device, and the kernels that it would run.
fn line(device: &Device) -> String {
    let (major, minor) = device.capability;
    let kernels = match driver::variant(device.capability) {
        Some(variant) => format!("kernels {}", variant.name()),
        None => "too old: the kernels need 7.5".to_string(),
    };
    format!(
        "{}: compute capability {major}.{minor}, {:.1} GiB, {} multiprocessors, {kernels}",
        device.name,
        device.memory as f64 / (1_u64 << 30) as f64,
        device.multiprocessors,
    )
}
