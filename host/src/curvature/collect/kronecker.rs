//! Kronecker factors, damped steps with them, and EKFAC.

use relfisher_core::curvature::Sharing;
use relfisher_core::kron::Damping;

use super::super::columns::Columns;
use super::super::eigenbasis::Eigenbasis;
use super::super::kronecker::{KroneckerFactors, ekfac, kfra, kronecker_factors, kronecker_step};
use super::super::quantity::{Family, Quantity, Source};
use super::{Collector, Factors, damp};
use crate::Scalar;
use crate::error::Error;

impl<'r, 'a, T: Scalar> Collector<'r, 'a, T> {
    pub(super) fn columns(&self, source: Source) -> Result<Columns<'a, T>, Error> {
        Ok(match source {
            Source::Type2 => Columns::Type2,
            Source::Empirical => Columns::Labels(self.problem.need_targets("emp")?),
            Source::MonteCarlo => Columns::Labels(self.problem.labels.ok_or_else(|| {
                Error::input(
                    "",
                    "mc",
                    "needs labels drawn from the model",
                    "give them with --labels y_mc.npy",
                )
            })?),
        })
    }

    fn factors(&mut self, family: Family) -> Result<&Factors<T>, Error> {
        let found = self.factors.iter().position(|(f, _)| *f == family);
        let i = match found {
            Some(i) => i,
            None => {
                let factors = match family {
                    Family::Kfac(source, sharing) => {
                        kronecker_factors(self.problem, self.columns(source)?, sharing)?
                    }
                    Family::Kflr => {
                        kronecker_factors(self.problem, Columns::Type2, Sharing::Expand)?
                    }
                    Family::Kfra => kfra(self.problem, self.request.memory)?,
                };
                self.factors.push((family, factors));
                self.factors.len() - 1
            }
        };
        Ok(&self.factors[i].1)
    }

    pub(super) fn add_factors(&mut self, family: Family) -> Result<(), Error> {
        let factors = self.factors(family)?.clone();
        for (b, factors) in factors.into_iter().enumerate() {
            let Some(KroneckerFactors { a, g }) = factors else { continue };
            let block = &self.layers()[b];
            let (m, d, bare) = (block.rows, block.cols, block.inputs);
            self.put(format!("{family}.G"), b, &[m, m], g);
            match family {
                Family::Kfac(_, sharing) => {
                    let name = if sharing == Sharing::Expand { "kfac.A" } else { "kfac_reduce.A" };
                    self.put(name, b, &[d, d], a);
                }
                Family::Kflr | Family::Kfra => {
                    let rows = a.chunks_exact(d).take(bare);
                    let data = rows.flat_map(|row| &row[..bare]).copied().collect();
                    self.put(format!("{family}.A_nobias"), b, &[bare, bare], data);
                }
            }
        }
        Ok(())
    }

    pub(super) fn add_factor_steps(
        &mut self,
        family: Family,
        damping: Damping,
    ) -> Result<(), Error> {
        let gradient = self.evaluate()?.gradient.clone();
        let factors = self.factors(family)?.clone();
        let quantity = Quantity::FactorStep(family, damping);
        for &lambda in self.request.dampings {
            for (b, block) in self.layers().iter().enumerate() {
                let Some(factors) = &factors[b] else { continue };
                let (g, how) = (&gradient[block.range()], (damping, lambda));
                let step = kronecker_step(self.problem.executor, block, factors, g, how)?;
                let name = format!("{quantity}_{}", damp(lambda));
                self.put(name, b, &[block.rows, block.cols], step);
            }
        }
        Ok(())
    }

    fn bases(&mut self, source: Source) -> Result<Vec<Option<Eigenbasis<T>>>, Error> {
        if let Some((_, bases)) = self.bases.iter().find(|(s, _)| *s == source) {
            return Ok(bases.clone());
        }
        let factors = self.factors(Family::Kfac(source, Sharing::Expand))?.clone();
        let bases = ekfac(self.problem, self.columns(source)?, &factors)?;
        self.bases.push((source, bases.clone()));
        Ok(bases)
    }

    pub(super) fn add_ekfac(&mut self, quantity: Quantity) -> Result<(), Error> {
        let exec = self.problem.executor;
        let (Quantity::Ekfac(source) | Quantity::EkfacStep(source) | Quantity::EkfacProbe(source)) =
            quantity
        else {
            return Ok(());
        };
        let bases = self.bases(source)?;
        let gradient = match quantity {
            Quantity::EkfacStep(_) => self.evaluate()?.gradient.clone(),
            _ => Vec::new(),
        };
        for (b, basis) in bases.into_iter().enumerate() {
            let Some(basis) = basis else { continue };
            let block = &self.layers()[b];
            let (m, d) = (block.rows, block.cols);
            match quantity {
                Quantity::EkfacStep(_) => {
                    for &lambda in self.request.dampings {
                        let g = &gradient[block.range()];
                        let step = basis.step(exec, block, g, lambda)?;
                        self.put(format!("{quantity}_{}", damp(lambda)), b, &[m, d], step);
                    }
                }
                Quantity::EkfacProbe(_) => {
                    let (probe, k) = self.probe(b)?;
                    let mut out = vec![T::ZERO; m * d * k];
                    for c in 0..k {
                        let column: Vec<T> = probe.iter().skip(c).step_by(k).copied().collect();
                        let product = basis.apply(exec, block, &column)?;
                        out.iter_mut().skip(c).step_by(k).zip(product).for_each(|(o, x)| *o = x);
                    }
                    self.put(quantity, b, &[m * d, k], out);
                }
                _ => {
                    let name = quantity.to_string();
                    self.put(format!("{name}.QA"), b, &[d, d], basis.a);
                    self.put(format!("{name}.QG"), b, &[m, m], basis.g);
                    self.put(format!("{name}.lambda"), b, &[m, d], basis.scale);
                }
            }
        }
        Ok(())
    }
}
