//! The tables and pictures of a run.

use std::path::{Path, PathBuf};

use super::measure::Measurement;
use crate::curvature::Matrix;
use crate::error::Error;
use crate::format::write_bytes;
use crate::plot::{Line, Panel, Panels, Scale, line_panels};

/// The points of a run, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvolutionRecord {
    /// What the run is called in pictures.
    pub title: String,
    /// The dimension of the spaces.
    pub top: usize,
    /// The layers, by name.
    pub layers: Vec<String>,
    /// The points.
    pub points: Vec<Measurement>,
}

/// The name of a matrix for people.
fn name(matrix: Matrix) -> &'static str {
    match matrix {
        Matrix::Ggn => "Fisher/GGN",
        Matrix::Hessian => "Hessian",
        Matrix::EmpiricalFisher => "empirical Fisher",
    }
}

fn encoded(
    path: &Path,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), Error> {
    let bytes = || -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row)?;
        }
        writer.into_inner().map_err(|e| e.into_error().into())
    };
    let bytes = bytes().map_err(|e| Error::input(path.display(), "", e, "report this"))?;
    write_bytes(path, &bytes)
}

impl EvolutionRecord {
    /// Writes the tables into `dir`, each whole or not at all: `subspaces.csv` (a row for each point
    /// and matrix), `eigenvalues.csv` (a row for each eigenvalue), `comparison.csv` (a row for each
    /// point, pair and layer; `overlap` of the top spaces with the whole network, layer `all`).
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_tables(&self, dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let files = ["subspaces.csv", "eigenvalues.csv", "comparison.csv"].map(|f| dir.join(f));
        let text = |x: f64| x.to_string();
        let spaces = self.points.iter().flat_map(|p| {
            p.spaces.iter().map(move |s| {
                let at = |i: usize| s.eigenvalues.get(i).copied().unwrap_or(f64::NAN);
                vec![
                    p.step.to_string(),
                    text(p.loss),
                    text(p.gradient_norm),
                    s.matrix.name().to_owned(),
                    self.top.to_string(),
                    text(at(0)),
                    text(at(self.top.saturating_sub(1))),
                    text(at(self.top)),
                    text(s.gradient_share),
                    text(s.overlap_previous),
                    text(s.overlap_first),
                    s.products.to_string(),
                    s.complete.to_string(),
                ]
            })
        });
        let header = [
            "step",
            "loss",
            "gradient_norm",
            "matrix",
            "dimension",
            "largest",
            "last_inside",
            "first_outside",
            "gradient_share",
            "overlap_previous",
            "overlap_first",
            "products",
            "complete",
        ];
        encoded(&files[0], &header, spaces)?;
        let eigenvalues = self.points.iter().flat_map(|p| {
            p.spaces.iter().flat_map(move |s| {
                let pairs = s.eigenvalues.iter().zip(&s.residuals).enumerate();
                pairs.map(move |(i, (value, residual))| {
                    let (step, matrix) = (p.step.to_string(), s.matrix.name().to_owned());
                    vec![step, matrix, (i + 1).to_string(), text(*value), text(*residual)]
                })
            })
        });
        let header = ["step", "matrix", "rank", "eigenvalue", "residual"];
        encoded(&files[1], &header, eigenvalues)?;
        let comparisons = self.points.iter().flat_map(|p| {
            p.comparisons.iter().map(move |c| {
                let pair = (c.first, c.second);
                let overlap = p.overlaps.iter().find(|o| (o.0, o.1) == pair && c.block.is_none());
                vec![
                    p.step.to_string(),
                    c.first.name().to_owned(),
                    c.second.name().to_owned(),
                    self.layer(c.block).to_owned(),
                    text(c.relative_error.value),
                    text(c.relative_error.error),
                    text(c.cosine.value),
                    text(c.cosine.error),
                    overlap.map_or(String::new(), |o| text(o.2)),
                ]
            })
        });
        let header = [
            "step",
            "first",
            "second",
            "layer",
            "relative_error",
            "relative_error_se",
            "cosine",
            "cosine_se",
            "overlap",
        ];
        encoded(&files[2], &header, comparisons)?;
        Ok(files.to_vec())
    }

    fn layer(&self, block: Option<usize>) -> &str {
        block.map_or("all", |b| self.layers.get(b).map_or("", String::as_str))
    }

    /// Draws the run into `dir`: `share`, `overlap` and `eigenvalues` of the top spaces,
    /// `comparison-error`, `comparison-cosine` and `comparison-overlap` of the matrices, each as SVG
    /// and PNG. Steps are on a logarithmic axis, one added.
    ///
    /// # Errors
    /// The folder cannot be written, or the plotting library fails.
    pub fn draw(&self, dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let picture = |title: &str, panels: Vec<Panel>| Panels {
            title: format!("{title}, {}", self.title),
            x: "steps + 1",
            x_scale: Scale::Logarithmic,
            panels,
        };
        let top = self.top;
        let mut files = Vec::new();
        let mut draw = |panels: Panels, stem: &str| -> Result<(), Error> {
            files.extend(line_panels(&panels, dir, stem)?);
            Ok(())
        };
        let share = self.spaces(|s| s.gradient_share);
        let title = format!("Share of the gradient in the top {top} eigenvectors");
        draw(picture(&title, vec![panel("", Scale::Linear, share)]), "share")?;
        let [before, first] =
            [self.spaces(|s| s.overlap_previous), self.spaces(|s| s.overlap_first)];
        let panels = vec![
            panel("with the point before", Scale::Linear, before),
            panel("with the first point", Scale::Linear, first),
        ];
        draw(picture(&format!("Overlap of the top {top} eigenvectors"), panels), "overlap")?;
        draw(picture("Largest eigenvalues", self.eigenvalues()), "eigenvalues")?;
        if self.points.iter().any(|p| !p.comparisons.is_empty()) {
            let error = self.comparisons(|c| c.relative_error.value, Scale::Logarithmic);
            draw(picture("Relative Frobenius error", error), "comparison-error")?;
            let cosine = self.comparisons(|c| c.cosine.value, Scale::Linear);
            draw(picture("Cosine of matrices", cosine), "comparison-cosine")?;
        }
        let title = format!("Overlap of the top {top} eigenvectors of two matrices");
        let overlaps = vec![panel("", Scale::Linear, self.overlaps())];
        draw(picture(&title, overlaps), "comparison-overlap")?;
        Ok(files)
    }

    fn line(&self, label: &str, of: impl Fn(&Measurement) -> f64) -> Line {
        let points = self.points.iter().map(|p| ((p.step + 1) as f64, of(p)));
        Line { label: label.to_owned(), points: points.collect() }
    }

    fn spaces(&self, of: fn(&super::SpaceRecord) -> f64) -> Vec<Line> {
        let line = |i: usize| {
            let matrix = super::MATRICES[i];
            self.line(name(matrix), |p| p.spaces.get(i).map_or(f64::NAN, of))
        };
        (0..super::MATRICES.len()).map(line).collect()
    }

    fn eigenvalues(&self) -> Vec<Panel> {
        let panels = super::MATRICES.iter().enumerate().map(|(i, &matrix)| {
            let spaces = || self.points.iter().filter_map(|p| p.spaces.get(i));
            let count = spaces().map(|s| s.eigenvalues.len()).max().unwrap_or(0);
            let line = |rank: usize| {
                self.line(&(rank + 1).to_string(), |p| {
                    let values = p.spaces.get(i).map(|s| &s.eigenvalues);
                    values.and_then(|v| v.get(rank)).copied().unwrap_or(f64::NAN)
                })
            };
            Panel {
                title: name(matrix).to_owned(),
                scale: Scale::Logarithmic,
                lines: (0..count).map(line).collect(),
            }
        });
        panels.collect()
    }

    fn comparisons(&self, of: fn(&super::Comparison) -> f64, scale: Scale) -> Vec<Panel> {
        let panels = super::PAIRS.iter().map(|&(a, b)| {
            let (a, b) = (super::MATRICES[a], super::MATRICES[b]);
            let blocks = (0..self.layers.len()).map(Some).chain([None]);
            let lines = blocks.map(|block| {
                self.line(self.layer(block), |p| {
                    let same =
                        |c: &&super::Comparison| (c.first, c.second, c.block) == (a, b, block);
                    p.comparisons.iter().find(same).map_or(f64::NAN, of)
                })
            });
            panel(&format!("{} against {}", name(a), name(b)), scale, lines.collect())
        });
        panels.collect()
    }

    fn overlaps(&self) -> Vec<Line> {
        let lines = super::PAIRS.iter().enumerate().map(|(i, &(a, b))| {
            let (a, b) = (super::MATRICES[a], super::MATRICES[b]);
            let label = format!("{}, {}", name(a), name(b));
            self.line(&label, |p| p.overlaps.get(i).map_or(f64::NAN, |o| o.2))
        });
        lines.collect()
    }
}

fn panel(title: &str, scale: Scale, lines: Vec<Line>) -> Panel {
    Panel { title: title.to_owned(), scale, lines }
}
