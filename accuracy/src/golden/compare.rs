//! Every tensor that a case expects against what the program wrote.

use super::eigenbasis::{Eigenform, eigenbasis_error};
use super::quantity::{Kind, kind};
use super::tolerance::tolerance;
use super::{Case, Tensor, Tensors};
use crate::Dtype;
use crate::comparison::{Answer, Comparison, Unit};
use crate::tensors::relative;

/// Compares all tensors of a case; a NaN or infinity anywhere in `out` is a problem, as is a case
/// that compares nothing.
pub fn compare(case: &Case, out: &Tensors, dtype: Dtype) -> Answer {
    compare_rows(case, out, dtype, &|_| true)
}

/// [`compare`] for the rows of the table that `wanted` names.
pub fn compare_rows(
    case: &Case,
    out: &Tensors,
    dtype: Dtype,
    wanted: &dyn Fn(&str) -> bool,
) -> Answer {
    let mut comparing = Comparing { case, out, dtype, answer: Answer::default() };
    comparing.answer.problems = out.not_finite();
    for (name, want) in case.expected.0.iter().filter(|(name, _)| case.serves(name, wanted)) {
        match kind(name) {
            Ok(Kind::Input | Kind::Foreign) => {}
            Ok(Kind::Values) => comparing.values(name, want),
            Ok(Kind::Eigenbasis) => comparing.eigenbasis(name),
            Ok(Kind::Moments) => comparing.moments(name),
            Err(problem) => comparing.answer.problems.push(problem),
        }
    }
    comparing.answer.comparisons.retain(|comparison| wanted(&comparison.row));
    if comparing.answer.comparisons.is_empty() {
        comparing.answer.problems.push("nothing was compared".into());
    }
    comparing.answer
}

struct Comparing<'a> {
    case: &'a Case,
    out: &'a Tensors,
    dtype: Dtype,
    answer: Answer,
}

impl<'a> Comparing<'a> {
    /// The tensor that the program should have written; a failed comparison when it did not.
    fn written(&mut self, name: &str) -> Option<&'a Tensor> {
        let found = self.out.get(name);
        if found.is_none() {
            self.fail(name, "the program did not write it".into());
        }
        found
    }

    fn push(&mut self, row: &str, name: &str, error: f64) {
        match tolerance(row, name, &self.case.expected, self.dtype) {
            Ok(allowed) => self.answer.comparisons.push(Comparison {
                row: row.to_owned(),
                tensor: name.to_owned(),
                unit: Unit::Relative,
                error,
                tolerance: allowed.error,
                note: allowed.reason.to_owned(),
            }),
            Err(problem) => self.answer.problems.push(problem),
        }
    }

    fn fail(&mut self, name: &str, note: String) {
        let failed = Comparison::impossible(&self.case.row(name), name, Unit::Relative, note);
        self.answer.comparisons.push(failed);
    }

    /// Element by element.
    fn values(&mut self, name: &str, want: &Tensor) {
        let Some(got) = self.written(name) else { return };
        let row = self.case.row(name);
        let error = if row == "per_sample_grad" && is_longer(got, want) {
            // A case may hold the first samples only.
            relative(&got.data[..want.data.len()], &want.data, want.largest())
        } else if got.shape != want.shape {
            let note = format!("has shape {:?}, not {:?}", got.shape, want.shape);
            return self.fail(name, note);
        } else {
            got.error(want, self.scale(name, want))
        };
        self.push(&row, name, error);
    }

    /// What an error is relative to: the largest element; for an end of a spectrum, the largest
    /// eigenvalue in magnitude, since an eigenvalue moves with the norm of the matrix.
    fn scale(&self, name: &str, want: &Tensor) -> f64 {
        let other = match name {
            "hess_top10" => self.case.expected.get("hess_bottom5"),
            "hess_bottom5" => self.case.expected.get("hess_top10"),
            _ => None,
        };
        want.largest().max(other.map_or(0.0, Tensor::largest))
    }

    /// `ekfac_<kind>.QA.<param>` or `….QG.…`: eigenvectors of the expected factor.
    fn eigenbasis(&mut self, name: &str) {
        let Some(basis) = self.written(name) else { return };
        let factor = name.replacen("ekfac_type2.QA.", "kfac.A.", 1);
        let factor = factor.replacen("ekfac_emp.QA.", "kfac.A.", 1);
        let factor = factor.replacen("ekfac_type2.QG.", "kfac_type2.G.", 1);
        let factor = factor.replacen("ekfac_emp.QG.", "kfac_emp.G.", 1);
        match self.case.expected.get(&factor) {
            Some(matrix) => self.push(&self.case.row(name), name, eigenbasis_error(basis, matrix)),
            None => self.answer.problems.push(format!("{name}: the case has no {factor}")),
        }
    }

    /// `ekfac_<kind>.lambda.<param>`: the diagonal of the expected exact block in the program's own
    /// basis, and the operator of the program's three tensors on the case's probe vectors.
    fn moments(&mut self, name: &str) {
        let (head, param) = name.split_once(".lambda.").unwrap_or((name, ""));
        let block = if head == "ekfac_type2" { "ggn_block" } else { "ef_block" };
        let parts = ["QG", "QA", "lambda"].map(|part| format!("{head}.{part}.{param}"));
        let [Some(output), Some(input), Some(moments)] = parts.each_ref().map(|p| self.out.get(p))
        else {
            return self.fail(name, format!("the program did not write all of {parts:?}"));
        };
        let form = Eigenform { output, input, moments };
        let expected = &self.case.expected;
        let mut checks = 0;
        if let Some(block) = expected.get(&format!("{block}.{param}")) {
            let error = form
                .moments_of(block)
                .map_or(f64::INFINITY, |want| moments.error(&want, want.largest()));
            self.push(&format!("{head}.lambda"), name, error);
            checks += 1;
        }
        let probe = expected.get(&format!("probe.{param}"));
        if let (Some(probe), Some(want)) = (probe, expected.get(&format!("{head}_probe.{param}"))) {
            let error =
                form.apply(probe).map_or(f64::INFINITY, |got| got.error(want, want.largest()));
            self.push(&format!("{head}.operator"), name, error);
            checks += 1;
        }
        if checks == 0 {
            let problem = format!("{name}: the case has neither {block} nor {head}_probe of it");
            self.answer.problems.push(problem);
        }
    }
}

/// Whether `got` holds more samples of the same shape.
fn is_longer(got: &Tensor, want: &Tensor) -> bool {
    match (&got.shape[..], &want.shape[..]) {
        ([n, got @ ..], [first, want @ ..]) => got == want && n > first,
        _ => false,
    }
}
