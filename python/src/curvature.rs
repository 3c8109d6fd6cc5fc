//! `curvature`: quantities of a network on data, by the names of the program.

use numpy::{PyArrayDescrMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use relfisher::curvature::{Collection, Memory, Problem, Quantity, Request, collect};
use relfisher::executor::Engine;
use relfisher::format::{Tensor, TensorFile, parameters_of};
use relfisher::network::{Loss, Network as Compiled, Targets};

use crate::arrays::{Array, Matrix, Number, dispatch, output, precision};
use crate::engine::engine;
use crate::errors::{bad, refusal, unlocked};
use crate::network::Network;

/// The arrays of a call.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Data<'py> {
    weights: Bound<'py, PyDict>,
    inputs: Bound<'py, PyAny>,
    targets: Option<Bound<'py, PyAny>>,
    labels: Option<Bound<'py, PyAny>>,
    vectors: Option<Bound<'py, PyDict>>,
}

/// What is asked for, and how.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    quantities: Vec<String>,
    damping: Vec<f64>,
    batch: usize,
    threads: Option<usize>,
    memory: Option<f64>,
}

/// The names of all quantities.
#[pyfunction]
pub(crate) fn quantities() -> Vec<String> {
    Quantity::all().iter().map(ToString::to_string).collect()
}

/// Curvature of a network on data; `relfisher.curvature` documents and calls it.
#[pyfunction]
pub(crate) fn curvature<'py>(
    py: Python<'py>,
    net: &Network,
    data: Data<'py>,
    options: Options,
) -> PyResult<Bound<'py, PyDict>> {
    let precision = precision("inputs", &data.inputs)?;
    dispatch!(precision, measure(py, net, &data, &options))
}

fn measure<'py, T: Number>(
    py: Python<'py>,
    net: &Network,
    data: &Data<'py>,
    options: &Options,
) -> PyResult<Bound<'py, PyDict>> {
    let network =
        Compiled::<T>::from_architecture(&net.architecture).map_err(|e| refusal("net", e))?;
    let parameters = parameters_of(&network, tensors("weights", &data.weights)?)
        .map_err(|e| refusal("weights", e))?;
    let vectors = data.vectors.as_ref().map(|v| tensors::<T>("vectors", v)).transpose()?;
    let inputs = Array::<T>::new("inputs", &data.inputs)?;
    let expected = &net.architecture.input_shape;
    match inputs.shape().split_first() {
        Some((0, _)) => return Err(bad("inputs", "no samples", "give at least one")),
        Some((_, rest)) if rest.iter().product::<usize>() == network.inputs() => {}
        _ => {
            let problem = format!("shape {:?}, but the network takes {expected:?}", inputs.shape());
            return Err(bad("inputs", &problem, "give (samples, *input_shape)"));
        }
    }
    let inputs = inputs.rows()?;
    check_finite("inputs", &inputs)?;
    let samples = inputs.shape().0;
    let sides = [("targets", &data.targets), ("labels", &data.labels)].map(|(name, side)| {
        side.as_ref().map(|object| Answers::new(name, object, &network)).transpose()
    });
    let [targets, labels] = sides;
    let (targets, labels) = (targets?, labels?);
    let (targets, labels) = (rows(&targets)?, rows(&labels)?);
    let engine = engine(options.threads)?;
    let plan = Plan::new::<T>(options)?;
    let collection = unlocked(py, || {
        let problem = Problem {
            executor: engine.executor::<T>(),
            network: &network,
            parameters: &parameters,
            features: inputs.view()?,
            targets: view(&targets, &network, samples)?,
            labels: view(&labels, &network, samples)?,
            chunk: options.batch.max(1),
            watch: None,
        };
        plan.collect(&engine, &problem, vectors.as_ref())
    })?;
    let out = PyDict::new(py);
    for (name, tensor) in collection.tensors.tensors {
        out.set_item(name, output(py, &tensor.shape, tensor.data)?)?;
    }
    Ok(out)
}

/// The checked options.
struct Plan {
    quantities: Vec<Quantity>,
    dampings: Vec<f64>,
    memory: Memory,
}

impl Plan {
    fn new<T: Number>(options: &Options) -> PyResult<Self> {
        let mut quantities = Vec::new();
        for name in &options.quantities {
            let quantity = name.trim().parse().map_err(|e| refusal("quantities", e))?;
            if !quantities.contains(&quantity) {
                quantities.push(quantity);
            }
        }
        for &lambda in &options.damping {
            let cast = T::from_f64(lambda);
            if !(lambda >= 0.0 && cast.is_finite() && (cast > T::ZERO) == (lambda > 0.0)) {
                let problem = format!("{lambda} is no {} of at least 0", T::DTYPE);
                return Err(bad("damping", &problem, "use 1e-3, say"));
            }
        }
        let memory = match options.memory {
            None => Memory::default(),
            Some(gib) if gib.is_finite() && gib > 0.0 => {
                Memory { limit: (gib * f64::from(1 << 30)) as u64 }
            }
            Some(gib) => {
                let problem = format!("{gib} is not a positive number");
                return Err(bad("memory", &problem, "give GiB, such as 4"));
            }
        };
        if options.batch == 0 {
            return Err(bad("batch", "is 0", "give at least one sample"));
        }
        Ok(Self { quantities, dampings: options.damping.clone(), memory })
    }

    fn collect<T: Number>(
        &self,
        engine: &Engine,
        problem: &Problem<'_, T>,
        vectors: Option<&TensorFile<T>>,
    ) -> PyResult<Collection<T>> {
        let request = Request {
            quantities: &self.quantities,
            dampings: &self.dampings,
            vectors,
            memory: self.memory,
        };
        let mut outcome = None;
        problem.executor.install(&mut || {
            outcome = Some(collect(problem, &request, &mut |_| {}));
        });
        let outcome = outcome.ok_or_else(|| bad("threads", "none ran", "give at least one"))?;
        outcome.map_err(|e| refusal("", engine.explain(e)))
    }
}

/// The tensors of a dictionary. Their elements are copied: the library keeps weights and biases of a
/// layer side by side.
fn tensors<T: Number>(name: &str, dictionary: &Bound<'_, PyDict>) -> PyResult<TensorFile<T>> {
    let mut file = TensorFile::new();
    for (key, value) in dictionary.iter() {
        let key: String = key
            .extract()
            .map_err(|_| bad(name, &format!("the key {key} is no text"), "use names of tensors"))?;
        let array = Array::<T>::new(format!("{name}[{key:?}]"), &value)?;
        let data = array.elements().into_owned();
        let tensor = Tensor { shape: array.shape().to_vec(), data };
        tensor.check_finite(&key).map_err(|e| refusal(name, e))?;
        file.tensors.insert(key, tensor);
    }
    Ok(file)
}

fn check_finite<T: Number>(name: &str, matrix: &Matrix<'_, T>) -> PyResult<()> {
    let (view, (rows, cols)) = (matrix.view()?, matrix.shape());
    for i in 0..rows {
        for j in 0..cols {
            if !view.at(i, j).is_finite() {
                let problem = format!("number {j} of sample {i} is {}", view.at(i, j));
                return Err(bad(name, &problem, "remove or replace numbers that are not finite"));
            }
        }
    }
    Ok(())
}

/// What the outputs should be.
struct Answers<'py, T: Number> {
    name: &'static str,
    content: Content<'py, T>,
}

enum Content<'py, T: Number> {
    Classes(Vec<usize>),
    Values(Array<'py, T>),
}

/// [`Answers`] as the library takes them.
struct Rows<'a, T: Number> {
    name: &'static str,
    content: RowsOf<'a, T>,
}

enum RowsOf<'a, T: Number> {
    Classes(&'a [usize]),
    Values(Matrix<'a, T>),
}

impl<'py, T: Number> Answers<'py, T> {
    fn new(
        name: &'static str,
        object: &Bound<'py, PyAny>,
        network: &Compiled<T>,
    ) -> PyResult<Self> {
        let content = match network.loss_kind() {
            Loss::SoftmaxCrossEntropy => Content::Classes(classes(name, object)?),
            Loss::Mse { .. } | Loss::BinaryCrossEntropy => {
                Content::Values(Array::new(name, object)?)
            }
        };
        Ok(Self { name, content })
    }

    fn rows(&self) -> PyResult<Rows<'_, T>> {
        let content = match &self.content {
            Content::Classes(classes) => RowsOf::Classes(classes),
            Content::Values(array) => {
                let matrix = array.rows()?;
                check_finite(self.name, &matrix)?;
                RowsOf::Values(matrix)
            }
        };
        Ok(Rows { name: self.name, content })
    }
}

fn rows<'a, T: Number>(answers: &'a Option<Answers<'_, T>>) -> PyResult<Option<Rows<'a, T>>> {
    answers.as_ref().map(Answers::rows).transpose()
}

/// What a problem borrows, after it was checked against the network.
fn view<'a, T: Number>(
    rows: &'a Option<Rows<'_, T>>,
    network: &Compiled<T>,
    samples: usize,
) -> PyResult<Option<Targets<'a, T>>> {
    let Some(rows) = rows else { return Ok(None) };
    let view = match &rows.content {
        RowsOf::Classes(classes) => Targets::Classes(classes),
        RowsOf::Values(matrix) => Targets::Values(matrix.view()?),
    };
    network.check_targets(&view, samples).map_err(|e| refusal(rows.name, e))?;
    Ok(Some(view))
}

/// The classes of an array of integers.
fn classes(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let integers = object
        .cast::<PyUntypedArray>()
        .is_ok_and(|array| matches!(array.dtype().kind(), b'i' | b'u') && array.ndim() == 1);
    if !integers {
        let remedy = format!("give one class for each sample: {name}.astype(numpy.int64)");
        return Err(bad(name, "no array of integers with one dimension", &remedy));
    }
    let wide: PyReadonlyArray1<'_, i64> = object.call_method1("astype", ("int64",))?.extract()?;
    let class = |(s, &class): (usize, &i64)| {
        usize::try_from(class).map_err(|_| {
            bad(name, &format!("class {class} of sample {s}"), "classes are whole numbers from 0")
        })
    };
    wide.as_array().iter().enumerate().map(class).collect()
}
