//! Bars: the share of the ceiling of each kernel, and the rates of a GPU beside those of the CPU.

use plotters::element::{PathElement, Rectangle};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use relfisher::plot::palette;

use super::{Area, Draw, GREY, font, svg};
use crate::record::{Ceiling, Dtype, Limit};
use crate::report::gpu::GpuRun;
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
            let (kernel, below) =
                (&share.quantity, format!("{}; {}", share.size, units::limit(share.limit)));
            name(root, (&format!("{}: {kernel}", share.group), &below), middle)?;
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

/// The rates of a GPU's products on a logarithmic scale, with the CPU's own as lines.
///
/// # Errors
/// The plotting library fails.
pub fn rates(gpu: &GpuRun, ceilings: &[Ceiling]) -> Result<String, String> {
    let rows: Vec<_> = gpu.rows.iter().filter(|row| row.tflops > 0.0).collect();
    let products: Vec<&Ceiling> = fastest(ceilings);
    let all = || {
        let own = products.iter().map(|ceiling| ceiling.rate / 1e12);
        own.chain(rows.iter().map(|row| row.tflops))
    };
    let low = all().fold(f64::INFINITY, f64::min).log10() - 0.3;
    let high = all().fold(0.0, f64::max).log10() + 0.1;
    let place = |tflops: f64| {
        LEFT + (f64::from(RIGHT - LEFT) * ((tflops.log10() - low) / (high - low)).max(0.0)) as i32
    };
    let step = BAR + 10;
    let total = HEAD + step * rows.len() as i32 + 30 * products.len() as i32;
    svg((WIDTH as u32, total as u32), |root| {
        for (i, row) in rows.iter().enumerate() {
            let y = HEAD + step * i as i32;
            let names = font(14, &palette::TEXT, HPos::Right, VPos::Center);
            root.draw(&Text::new(row.name.clone(), (LEFT - 10, y + BAR / 2), names))?;
            let bar = [(LEFT, y), (place(row.tflops), y + BAR)];
            root.draw(&Rectangle::new(bar, palette::PURPLE.filled()))?;
            let font = font(12, &palette::TEXT, HPos::Left, VPos::Center);
            let words = format!("{} TFLOP/s", units::digits(row.tflops));
            root.draw(&Text::new(words, (place(row.tflops) + 5, y + BAR / 2), font))?;
        }
        for (i, ceiling) in products.iter().enumerate() {
            let (x, y) = (place(ceiling.rate / 1e12), HEAD + step * rows.len() as i32);
            let line = vec![(x, HEAD - 8), (x, y + 24 * i as i32 + 8)];
            root.draw(&PathElement::new(line, palette::BLUE.stroke_width(2)))?;
            let (dtype, threads) = (units::dtype(ceiling.dtype), units::threads(ceiling.threads));
            let rate = units::rate(Limit::Product, ceiling.rate);
            let words = format!("the CPU's product, {dtype}, {threads}: {rate}");
            let font = font(13, &palette::TEXT, HPos::Left, VPos::Center);
            root.draw(&Text::new(words, (x + 6, y + 24 * i as i32 + 4), font))?;
        }
        Ok(())
    })
}

/// The fastest product of each dtype.
fn fastest(ceilings: &[Ceiling]) -> Vec<&Ceiling> {
    let of = |dtype| {
        let own = ceilings.iter().filter(move |c| c.limit == Limit::Product && c.dtype == dtype);
        own.max_by(|a, b| a.rate.total_cmp(&b.rate))
    };
    [Dtype::F32, Dtype::F64].into_iter().filter_map(of).collect()
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
