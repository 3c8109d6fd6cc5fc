//! Bars: the share of the ceiling of each kernel, and the rates of a GPU beside those of the CPU.

use plotters::element::{PathElement, Rectangle};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use relfisher::plot::palette;

use super::{Area, Draw, GREY, font, svg};
use crate::record::Dtype;
use crate::report::counterpart::Counterpart;
use crate::report::gpu::{GpuRow, GpuRun};
use crate::report::summary::Share;
use crate::report::units;

const WIDTH: i32 = 1160;
/// Where the bars begin: names stand before it.
const LEFT: i32 = 400;
/// Where the longest ends: its number stands behind it.
const RIGHT: i32 = WIDTH - 60;
const BAR: i32 = 13;
const GAP: i32 = 14;
const HEAD: i32 = 34;

/// A bar of each dtype and number of threads for each kernel.
///
/// # Errors
/// The plotting library fails.
pub fn shares(shares: &[Share]) -> Result<String, String> {
    let height = |share: &Share| (BAR * share.values.len() as i32).max(30) + GAP;
    let total: i32 = HEAD + shares.iter().map(height).sum::<i32>() + 26;
    let values = || shares.iter().flat_map(|share| &share.values).map(|(_, _, value)| *value);
    let most = values().fold(1.0, f64::max);
    svg((WIDTH as u32, total as u32), |root| {
        swatches(root, shares)?;
        grid(root, most, (HEAD, total - 26))?;
        let mut y = HEAD + GAP / 2;
        for share in shares {
            let middle = y + (height(share) - GAP) / 2;
            let below = [share.size.as_str(), units::limit(share.limit)];
            let below = below.into_iter().filter(|words| !words.is_empty());
            let below = below.collect::<Vec<_>>().join("; ");
            name(root, (&format!("{}: {}", share.group, share.quantity), &below), middle)?;
            for (i, (dtype, threads, value)) in share.values.iter().enumerate() {
                let top = y + BAR * i as i32;
                let end = LEFT + (f64::from(RIGHT - LEFT) * value / most) as i32;
                let color = color(*dtype, *threads);
                root.draw(&Rectangle::new(
                    [(LEFT, top + 1), (end, top + BAR - 1)],
                    color.filled(),
                ))?;
                let font = font(12, &palette::TEXT, HPos::Left, VPos::Center);
                let words = units::percent(*value);
                root.draw(&Text::new(words, (end + 5, top + BAR / 2), font))?;
            }
            y += height(share);
        }
        Ok(())
    })
}

/// Which rate bars show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// FLOP/s.
    Flops,
    /// Bytes a second.
    Bytes,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Flops => "TFLOP/s",
            Self::Bytes => "GB/s",
        }
    }

    const fn of_row(self, row: &GpuRow) -> f64 {
        match self {
            Self::Flops => row.tflops,
            Self::Bytes if row.tflops > 0.0 => 0.0,
            Self::Bytes => row.gigabytes_a_second,
        }
    }

    fn of_cpu(self, cpu: &Counterpart) -> f64 {
        match self {
            Self::Flops => cpu.flops / 1e12,
            Self::Bytes => cpu.bytes / 1e9,
        }
    }
}

/// The rates of a GPU's kernels on a logarithmic scale that begins at a power of ten, below each that of
/// the CPU at the same quantity; bytes a second of kernels that have no other rate. `None` without a row.
///
/// # Errors
/// The plotting library fails.
pub fn rates(gpu: &GpuRun, cpu: &[Counterpart], unit: Unit) -> Result<Option<String>, String> {
    let beside = |row: &GpuRow| {
        let own = cpu.iter().find(|c| c.name == row.name);
        own.map(|c| (unit.of_cpu(c), c.cpu.as_str())).filter(|(rate, _)| *rate > 0.0)
    };
    let rows = gpu.rows.iter().map(|row| (row, unit.of_row(row), beside(row)));
    let rows: Vec<_> = rows.filter(|(_, rate, _)| *rate > 0.0).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let all = || rows.iter().flat_map(|(_, rate, cpu)| [Some(*rate), cpu.map(|c| c.0)]).flatten();
    let low = all().fold(f64::INFINITY, f64::min).log10().floor();
    let high = (all().fold(0.0, f64::max).log10() + 1e-9).ceil().max(low + 1.0);
    let place = |rate: f64| {
        LEFT + (f64::from(RIGHT - LEFT) * ((rate.log10() - low) / (high - low)).max(0.0)) as i32
    };
    let height = |cpu: &Option<(f64, &str)>| if cpu.is_some() { 2 * BAR } else { BAR } + GAP - 4;
    let bottom = HEAD + rows.iter().map(|(_, _, cpu)| height(cpu)).sum::<i32>();
    svg((WIDTH as u32, (bottom + 48) as u32), |root| {
        let looks = [(palette::PURPLE, gpu.device.as_str()), (palette::BLUE, "CPU")];
        let mut x = LEFT;
        for (color, words) in looks {
            root.draw(&Rectangle::new([(x, 4), (x + 14, 18)], color.filled()))?;
            let font = font(14, &palette::TEXT, HPos::Left, VPos::Center);
            root.draw(&Text::new(words.to_owned(), (x + 20, 11), font))?;
            x += 44 + 8 * words.chars().count() as i32;
        }
        for power in low as i32..=high as i32 {
            let x = place(10f64.powi(power));
            let line = vec![(x, HEAD - 6), (x, bottom)];
            root.draw(&PathElement::new(line, palette::GRID.stroke_width(1)))?;
            let font = font(14, &palette::TEXT, HPos::Center, VPos::Top);
            root.draw(&Text::new(decade(power), (x, bottom + 6), font))?;
        }
        let center = font(14, &palette::TEXT, HPos::Center, VPos::Top);
        let words = format!("{}, logarithmic", unit.name());
        root.draw(&Text::new(words, (i32::midpoint(LEFT, RIGHT), bottom + 26), center))?;
        let mut y = HEAD;
        for (row, rate, cpu) in &rows {
            let names = font(14, &palette::TEXT, HPos::Right, VPos::Center);
            root.draw(&Text::new(row.name.clone(), (LEFT - 10, y + BAR / 2), names))?;
            bar(root, (y, place(*rate)), palette::PURPLE, &units::digits(*rate))?;
            if let Some((rate, words)) = cpu {
                let words = format!("{}: {words}", units::digits(*rate));
                bar(root, (y + BAR, place(*rate)), palette::BLUE, &words)?;
            }
            y += height(cpu);
        }
        Ok(())
    })
    .map(Some)
}

/// A bar from the left, its words behind it.
fn bar(root: &Area<'_>, (y, end): (i32, i32), color: RGBColor, words: &str) -> Draw {
    root.draw(&Rectangle::new([(LEFT, y + 1), (end, y + BAR - 1)], color.filled()))?;
    let font = font(12, &palette::TEXT, HPos::Left, VPos::Center);
    root.draw(&Text::new(words.to_owned(), (end + 5, y + BAR / 2), font))
}

/// A power of ten in digits.
fn decade(power: i32) -> String {
    let value = 10f64.powi(power);
    if power < 0 {
        format!("{value:.*}", power.unsigned_abs() as usize)
    } else {
        format!("{value:.0}")
    }
}

/// A colour for each dtype, weaker with one thread.
fn color(dtype: Dtype, threads: usize) -> RGBAColor {
    let color = match dtype {
        Dtype::F32 => palette::BLUE,
        Dtype::F64 => palette::ORANGE,
    };
    color.mix(if threads == 1 { 0.5 } else { 1.0 })
}

fn swatches(root: &Area<'_>, shares: &[Share]) -> Draw {
    let mut kinds: Vec<(Dtype, usize)> = shares
        .iter()
        .flat_map(|share| &share.values)
        .map(|(dtype, threads, _)| (*dtype, *threads))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    for (i, (dtype, threads)) in kinds.into_iter().enumerate() {
        let x = LEFT + 140 * i as i32;
        let square = [(x, 4), (x + 14, 18)];
        root.draw(&Rectangle::new(square, color(dtype, threads).filled()))?;
        let words = format!("{}, {}", units::dtype(dtype), units::threads(threads));
        let font = font(14, &palette::TEXT, HPos::Left, VPos::Center);
        root.draw(&Text::new(words, (x + 20, 11), font))?;
    }
    Ok(())
}

/// Lines at every fifth of the ceiling, the ceiling itself darker.
fn grid(root: &Area<'_>, most: f64, (top, bottom): (i32, i32)) -> Draw {
    for fifth in 0..=(5.0 * most).floor() as i32 {
        let x = LEFT + (f64::from(RIGHT - LEFT) * f64::from(fifth) / 5.0 / most) as i32;
        let color = if fifth == 5 { GREY } else { palette::GRID };
        let line = vec![(x, top), (x, bottom)];
        root.draw(&PathElement::new(line, color.stroke_width(1)))?;
        let font = font(14, &palette::TEXT, HPos::Center, VPos::Top);
        root.draw(&Text::new(format!("{} %", 20 * fifth), (x, bottom + 6), font))?;
    }
    Ok(())
}

/// The kernel, and its size below in small.
fn name(root: &Area<'_>, (above, below): (&str, &str), middle: i32) -> Draw {
    let x = LEFT - 10;
    let large = font(14, &palette::TEXT, HPos::Right, VPos::Center);
    root.draw(&Text::new(above.to_owned(), (x, middle - 8), large))?;
    let small = font(12, &GREY, HPos::Right, VPos::Center);
    root.draw(&Text::new(below.to_owned(), (x, middle + 8), small))
}
