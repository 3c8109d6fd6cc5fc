//! The CUDA driver through every binding that was built in, against a driver without a GPU
//! (`ci/stub-cuda`): refusals, and what arrives there of every call.
//!
//! The dynamic loader reads `LD_LIBRARY_PATH` once, when a process starts. So a test starts this
//! program again, with the stub's folder there, to play one scene.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod info;
#[cfg(any(feature = "cust", feature = "rustacuda"))]
mod interoperation;
mod refusals;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use relfisher::driver::{Binding, Error, detect};
use relfisher_ci::stub::{self, Stub};

/// Names the scene to play.
const SCENE: &str = "RELFISHER_SCENE";

/// What the second process does.
const SCENES: &[(&str, fn())] = &[
    ("refused", refusals::refused),
    ("surveyed", refusals::surveyed),
    ("called", calls::called),
    ("contexts", calls::contexts),
    #[cfg(feature = "cust")]
    ("beside cust", interoperation::beside_cust),
    #[cfg(feature = "rustacuda")]
    ("beside rustacuda", interoperation::beside_rustacuda),
];

/// Without a scene: whatever this machine has, it does not have ten thousand devices, and says so.
#[test]
fn scene() {
    let Ok(name) = std::env::var(SCENE) else {
        let refusal = detect(9_999).err().expect("no such device");
        assert!(
            matches!(
                refusal,
                Error::NoDriver { .. }
                    | Error::OldDriver { .. }
                    | Error::NoDevice { .. }
                    | Error::Call { call: "cuInit", .. }
            ),
            "{refusal:?}"
        );
        return;
    };
    let found = SCENES.iter().find(|(scene, _)| *scene == name).expect("a known scene");
    found.1();
    println!("played {name}");
}

fn libraries() -> &'static Stub {
    static STUB: OnceLock<Stub> = OnceLock::new();
    STUB.get_or_init(|| stub::build().expect("the stub builds"))
}

/// `command` with the library of a folder in the place of the CUDA driver, and with settings of the
/// stub.
fn with(mut command: Command, folder: &Path, settings: &[(&str, &str)]) -> Command {
    let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let path = std::iter::once(PathBuf::from(folder)).chain(std::env::split_paths(&others));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(path).expect("folders"));
    command.envs(settings.iter().map(|(name, value)| (format!("STUB_CUDA_{name}"), value)));
    command
}

/// Plays a scene in a process of its own; every assertion in it must hold.
fn play(scene: &str, folder: &Path, settings: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "scene", "--nocapture"]).env(SCENE, scene);
    let output = with(command, folder, settings).output().expect("this program starts");
    let (out, err) = (common::stdout(&output), common::stderr(&output));
    assert!(output.status.success(), "{scene} with {settings:?}:\n{out}{err}");
    assert!(out.contains(&format!("played {scene}")), "{scene} was not played:\n{out}{err}");
}

/// The bindings of which one was asked for, or all.
fn bindings() -> Vec<Binding> {
    let wanted = std::env::var("STUB_CUDA_BINDING").ok();
    let all = Binding::BUILT.iter().copied();
    all.filter(|b| wanted.as_deref().is_none_or(|name| name == b.name())).collect()
}
