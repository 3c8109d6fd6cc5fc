//! Images of smooth random curves: a seeded stand-in for data of known intrinsic dimension.
//!
//! An image is fixed by six numbers, the three points that its curve runs through, so a network
//! that squeezes it through a code of six can in principle give it back exactly. The images are like
//! those of the CURVES data that autoencoder papers use (Hinton and Salakhutdinov 2006), but they
//! are not those: results on them cannot be compared with published ones.

use relfisher_core::Real;

use super::{Dataset, Split};
use crate::random::{self, Rng};
use crate::{Error, Scalar};

/// Height and width of an image in pixels.
pub const CURVE_SIDE: usize = 28;

/// The training and test images that there are unless an experiment says otherwise.
pub const CURVE_SAMPLES: (usize, usize) = (20_000, 10_000);

/// The standard deviation σ of the pen, in pixels.
const PEN: f64 = 0.7;

/// The pen's reach in σ; e^(−½·4²) is 3.4e-4, less than the least step of an 8-bit pixel.
const REACH: f64 = 4.0;

/// The straight pieces that a curve is drawn in.
const PIECES: usize = 100;

/// The square of the points: 3 … 25, so that the whole curve lies inside 28 × 28 pixels (a parabola
/// through points at t = 0, ½, 1 leaves their range by an eighth of its width at most).
const RANGE: (f64, f64) = (3.0, 25.0);

/// A quadratic Bézier curve, given by the three points (x, y) that it passes at t = 0, ½ and 1, in
/// pixels from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// The points.
    pub points: [[f64; 2]; 3],
}

impl Curve {
    /// A curve through three points that are uniform in the square \[3, 25\]².
    pub fn random(rng: &mut Rng) -> Self {
        let mut points = [[0.0; 2]; 3];
        for coordinate in points.as_flattened_mut() {
            *coordinate = RANGE.0 + (RANGE.1 - RANGE.0) * random::uniform(rng);
        }
        Self { points }
    }

    /// The point at t: p₀(1 − t)(1 − 2t) + 4p₁t(1 − t) + p₂t(2t − 1).
    fn at(&self, t: f64) -> [f64; 2] {
        let [p, q, r] = self.points;
        let weights = [(1.0 - t) * (1.0 - 2.0 * t), 4.0 * t * (1.0 - t), t * (2.0 * t - 1.0)];
        [0, 1].map(|k| weights[0] * p[k] + weights[1] * q[k] + weights[2] * r[k])
    }

    /// The image, row by row: exp(−d²/2σ²) for a pixel whose centre is d away from the curve, σ = 0.7
    /// pixels, and 0 from 4σ on. The values lie in 0 … 1.
    pub fn image<T: Scalar>(&self) -> Vec<T> {
        let mut squares = [f64::INFINITY; CURVE_SIDE * CURVE_SIDE];
        let mut from = self.at(0.0);
        for k in 1..=PIECES {
            let to = self.at(k as f64 / PIECES as f64);
            approach(&mut squares, from, to);
            from = to;
        }
        let value = |square: &f64| {
            if *square < (REACH * PEN) * (REACH * PEN) {
                T::from_f64(Real::exp(-*square / (2.0 * PEN * PEN)))
            } else {
                T::ZERO
            }
        };
        squares.iter().map(value).collect()
    }
}

/// Lowers the squared distances of the pixels within the pen's reach to those from the line `from` …
/// `to`.
fn approach(squares: &mut [f64], from: [f64; 2], to: [f64; 2]) {
    let along = [to[0] - from[0], to[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let span = |k: usize| {
        let (low, high) = (from[k].min(to[k]), from[k].max(to[k]));
        // Negative numbers become pixel 0.
        let last = (high + REACH * PEN) as usize + 1;
        (low - REACH * PEN) as usize..last.min(CURVE_SIDE)
    };
    for row in span(1) {
        for column in span(0) {
            let Some(square) = squares.get_mut(row * CURVE_SIDE + column) else { continue };
            let v = [column as f64 + 0.5 - from[0], row as f64 + 0.5 - from[1]];
            // The foot of the pixel on the line; a line without length is a point.
            let share =
                if length > 0.0 { (v[0] * along[0] + v[1] * along[1]) / length } else { 0.0 };
            let share = share.clamp(0.0, 1.0);
            let d = [v[0] - share * along[0], v[1] - share * along[1]];
            *square = square.min(d[0] * d[0] + d[1] * d[1]);
        }
    }
}

impl<T: Scalar> Split<T> {
    /// `train` and `test` images of random curves. Each image has a random stream of its own, so a
    /// smaller set is the beginning of a larger one. They have no classes: every label is 0.
    ///
    /// # Errors
    /// No training or no test image.
    pub fn curves(seed: u64, train: usize, test: usize) -> Result<Self, Error> {
        let set = |purpose: &str, count: usize| {
            let image = |i: usize| {
                let mut rng = random::stream(seed, i as u64, purpose);
                Curve::random(&mut rng).image()
            };
            let features: Vec<T> = (0..count).flat_map(image).collect();
            Dataset::new(features, CURVE_SIDE * CURVE_SIDE, vec![0; count], 1)
        };
        Ok(Self {
            source: format!("curves-like images, seed {seed}"),
            train: set("curves, train", train)?,
            test: set("curves, test", test)?,
        })
    }
}
