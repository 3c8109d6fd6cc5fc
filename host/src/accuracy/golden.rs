//! A golden case, computed.

use relfisher_accuracy::golden::{Files, Request};
use relfisher_accuracy::tensors::Tensors;
use relfisher_core::MatRef;

use super::ladder::{elements, tensors};
use crate::curvature::{self, Memory, OwnedTargets, Problem, Quantity, collect, feature_rows};
use crate::executor::Executor;
use crate::format::{Array, TensorFile, parse_parameters};
use crate::network::{Architecture, Network};
use crate::{Error, Scalar};

/// What a case asks for, computed by an executor.
///
/// # Errors
/// Files of the case that do not fit together; what the computation refuses.
pub fn golden_answer<T: Scalar>(
    executor: &dyn Executor<T>,
    files: &Files,
    request: &Request,
) -> Result<Tensors, Error> {
    let file = |name: &str| files.case.folder.join(name).display().to_string();
    let net = Architecture::parse(&files.net).map_err(|e| e.in_file(file("arch.json")))?;
    let network = Network::from_architecture(&net).map_err(|e| e.in_file(file("arch.json")))?;
    let parameters = parse_parameters(&network, &files.weights)
        .map_err(|e| e.in_file(file("model.safetensors")))?;
    let array = |bytes: &[u8], name: &str| Array::parse(bytes).map_err(|e| e.in_file(file(name)));
    let (features, samples) = feature_rows::<T>(&array(&files.inputs, "x.npy")?, &net)
        .map_err(|e| e.in_file(file("x.npy")))?;
    let targets = |bytes: &[u8], name: &str| {
        OwnedTargets::of(&array(bytes, name)?, &network, samples).map_err(|e| e.in_file(file(name)))
    };
    let given = targets(&files.targets, "y.npy")?;
    let drawn = request.quantities.iter().any(|name| name.ends_with("_mc"));
    let labels = drawn.then(|| targets(&files.labels, "y_mc.npy")).transpose()?;
    let problem = Problem {
        executor,
        network: &network,
        parameters: &parameters,
        features: MatRef::new(&features, samples, network.inputs())?,
        targets: Some(given.view()?),
        labels: labels.as_ref().map(OwnedTargets::view).transpose()?,
        chunk: 512,
        watch: None,
    };
    let quantities: Result<Vec<Quantity>, Error> =
        request.quantities.iter().map(|name| name.parse()).collect();
    let damping = |text: &String| {
        let bad = |_| Error::input("", text, "is no damping", "name tensors like ef_damp1e-3");
        text.parse::<f64>().map_err(bad)
    };
    let dampings: Result<Vec<f64>, Error> = request.dampings.iter().map(damping).collect();
    let mut vectors = TensorFile::<T>::new();
    for (name, tensor) in &files.case.expected.0 {
        if name.starts_with("matvec.v.") || name.starts_with("probe.") {
            vectors.insert(name.clone(), &tensor.shape, elements(&tensor.data));
        }
    }
    let request = curvature::Request {
        quantities: &quantities?,
        dampings: &dampings?,
        vectors: Some(&vectors),
        memory: Memory::default(),
    };
    let collection = collect(&problem, &request, &mut |_| {})?;
    Ok(tensors(&collection.tensors))
}
