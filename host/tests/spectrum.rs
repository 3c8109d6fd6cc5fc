//! The record of a spectrum: JSON, CSV and pictures.

mod common;

use std::fs;

use common::folder;
use relfisher::executor::Cpu;
use relfisher::spectrum::{
    self, Analysis, DensityOptions, ExtremalOptions, LinearOperator, Spectrum, SpectrumRecord,
    Stage, Subject,
};
use relfisher::{Error, Scalar};
use serde_json::{Value, json};

/// A diagonal matrix.
struct Diagonal(Vec<f64>);

impl<T: Scalar> LinearOperator<T> for Diagonal {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn apply(&mut self, out: &mut [T], v: &[T]) -> Result<(), Error> {
        for ((o, v), d) in out.iter_mut().zip(v).zip(&self.0) {
            *o = T::from_f64(*d) * *v;
        }
        Ok(())
    }
}

/// A bulk around 0, a few negative values, and outliers, as the Hessian of a network has them.
fn network_like(n: usize) -> Vec<f64> {
    let mut values: Vec<f64> = (0..n)
        .map(|i| {
            let share = (i as f64 + 0.5) / n as f64;
            0.02 * (share / (1.0 - share)).ln().powi(3)
        })
        .collect();
    values[..9].copy_from_slice(&[31.0, 24.0, 18.5, 15.0, 13.0, 12.0, 9.5, 8.25, 6.0]);
    values[9..12].copy_from_slice(&[-6.5, -5.0, -4.0]);
    values
}

fn analysis(density: Option<DensityOptions>) -> Analysis {
    Analysis { largest: 9, smallest: 3, extremal: ExtremalOptions::default(), density }
}

fn subject() -> Subject {
    let source = json!({ "net": "arch.json", "seed": 4 });
    Subject { operator: "hess".to_string(), samples: 128, source, threads: 2 }
}

fn analyse<T: Scalar>(values: &[f64], analysis: &Analysis) -> (Spectrum<T>, Vec<Stage>) {
    let (cpu, mut stages) = (Cpu::new(Some(2)).unwrap(), Vec::new());
    let mut operator = Diagonal(values.to_vec());
    let spectrum = spectrum::analyse::<T>(&mut operator, &cpu, analysis, &mut |stage, _| {
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
    });
    (spectrum.unwrap(), stages)
}

#[test]
fn a_record_holds_both_ends_and_the_density() {
    let dir = folder("spectrum-record");
    let options = DensityOptions { probes: 4, steps: 60, seed: 4 };
    let values = network_like(3000);
    let (spectrum, stages) = analyse::<f64>(&values, &analysis(Some(options)));
    assert_eq!(stages, [Stage::Largest, Stage::Smallest, Stage::Density]);
    let record = SpectrumRecord::new(subject(), &spectrum, Some(options)).unwrap();
    let names: Vec<String> = record
        .write(&dir)
        .unwrap()
        .iter()
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["spectrum.json", "spectrum.csv", "spectrum.svg", "spectrum.png"]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 4, "nothing else");

    let text = fs::read_to_string(dir.join("spectrum.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((json["dimension"].as_u64(), json["samples"].as_u64()), (Some(3000), Some(128)));
    assert_eq!((json["operator"].as_str(), json["dtype"].as_str()), (Some("hess"), Some("f64")));
    assert_eq!(json["source"]["net"], "arch.json");
    assert_eq!(json["machine"]["threads"], 2);
    let numbers = |v: &Value| -> Vec<f64> {
        v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let mut sorted = values.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let largest = numbers(&json["largest"]["eigenvalues"]);
    assert!(largest.iter().zip(&sorted).all(|(a, b)| (a - b).abs() < 1e-8), "{largest:?}");
    let smallest = numbers(&json["smallest"]["eigenvalues"]);
    assert!(smallest.iter().zip(sorted.iter().rev()).all(|(a, b)| (a - b).abs() < 1e-8));
    assert_eq!((largest.len(), smallest.len()), (9, 3));
    assert_eq!(json["largest"]["complete"], true);
    assert!(numbers(&json["largest"]["residuals"]).iter().all(|r| *r < 1e-8));
    assert!(json["largest"]["seconds"].as_f64().unwrap() >= 0.0);

    // sign vectors see the trace of a diagonal exactly
    let density = &json["density"];
    let trace: f64 = values.iter().sum();
    assert!((density["trace"]["mean"].as_f64().unwrap() - trace).abs() < 1e-8 * trace.abs());
    let squares: f64 = values.iter().map(|v| v * v).sum();
    let got = density["trace_of_square"]["mean"].as_f64().unwrap();
    assert!((got - squares).abs() < 1e-8 * squares, "{got} for {squares}");
    assert_eq!(density["products"], 240);
    let weights = density["weights"].as_array().unwrap();
    assert_eq!(weights.len(), 4);
    assert!(weights.iter().all(|w| (numbers(w).iter().sum::<f64>() - 1.0).abs() < 1e-12));

    let mut reader = csv::Reader::from_path(dir.join("spectrum.csv")).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["eigenvalue", "density"]);
    let rows: Vec<(f64, f64)> = reader.deserialize().collect::<Result<_, _>>().unwrap();
    let spacing = (rows[rows.len() - 1].0 - rows[0].0) / (rows.len() - 1) as f64;
    let mass = rows.iter().map(|r| r.1).sum::<f64>() * spacing;
    assert!((mass - 1.0).abs() < 1e-6, "mass {mass}");

    let svg = fs::read_to_string(dir.join("spectrum.svg")).unwrap();
    for part in [
        "Eigenvalues of the Hessian",
        "3000 parameters, 128 samples; 4 probes of 60 steps, deviation 0.187",
        "largest",
        "smallest",
        "density",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(fs::read(dir.join("spectrum.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn parts_that_were_not_asked_for_are_absent() {
    let dir = folder("spectrum-parts");
    let only = Analysis { largest: 2, smallest: 0, ..analysis(None) };
    let (spectrum, stages) = analyse::<f32>(&network_like(400), &only);
    assert_eq!(stages, [Stage::Largest]);
    let record = SpectrumRecord::new(subject(), &spectrum, None).unwrap();
    assert_eq!(record.write(&dir).unwrap(), [dir.join("spectrum.json")]);
    let text = fs::read_to_string(dir.join("spectrum.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(json["smallest"].is_null() && json["density"].is_null());
    assert_eq!(json["dtype"], "f32");
}

#[test]
fn flat_and_single_spectra_are_drawn_too() {
    let options = DensityOptions { probes: 1, steps: 10, seed: 1 };
    for (name, values) in [
        ("zero", vec![0.0; 70]),
        ("identity", vec![2.0; 70]),
        ("one", vec![-3.0]),
        ("rank-one", [vec![0.0; 99], vec![1e-7]].concat()),
    ] {
        let dir = folder(&format!("spectrum-{name}"));
        let (spectrum, _) = analyse::<f64>(&values, &analysis(Some(options)));
        let record = SpectrumRecord::new(subject(), &spectrum, Some(options)).unwrap();
        assert_eq!(record.write(&dir).unwrap().len(), 4, "{name}");
        // no number of a picture is missing
        let svg = fs::read_to_string(dir.join("spectrum.svg")).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (spectrum, _) = analyse::<f64>(&network_like(60), &analysis(None));
    let record = SpectrumRecord::new(subject(), &spectrum, None).unwrap();
    let refused = record.write(std::path::Path::new("/nowhere/at/all")).unwrap_err();
    assert!(refused.to_string().contains("/nowhere/at/all"), "{refused}");
}
