//! The fractional natural gradient: KFLR with the powers p = 1 (its inverse), ½ and ¼ of the damped
//! curvature, each at two damping strengths. A small p needs less damping.
//!
//! ```sh
//! cargo run --release -p relfisher --example fractional_natural_gradient
//! ```
//!
//! Draws the learning curves into runs/examples/fractional_natural_gradient (or the folder given).

mod uses;

use relfisher::Error;
use relfisher::plot::{Line, Panel, Panels, Scale, line_panels};
use relfisher::train::{Experiment, SessionOptions, Size, train};

/// Power and learning rate: the smaller the power, the shorter the steps by themselves.
const POWERS: [(f64, f64); 3] = [(1.0, 0.01), (0.5, 0.03), (0.25, 0.05)];

fn experiment(damping: f64, power: f64, rate: f64) -> String {
    format!(
        "name = 'fractional'\nepochs = 3\nbatch_size = 50\n\
         [data]\ntrain_samples = 4000\ntest_samples = 1000\n\
         [network]\nhidden = [32]\n\
         [[optimizers]]\nkind = 'kflr'\ndamping_kind = 'exact'\nkl_clip = 0.0\n\
         damping = {damping}\npower = {power}\nlearning_rate = {rate}\n"
    )
}

fn main() -> Result<(), Error> {
    let out = uses::folder()?;
    let mut panels = Vec::new();
    for damping in [0.1, 0.003] {
        let mut lines = Vec::new();
        for (power, rate) in POWERS {
            let text = experiment(damping, power, rate);
            let options = SessionOptions::new(out.join(format!("damping-{damping}-power-{power}")));
            let experiment = Experiment::parse(&text, "fractional.toml", Size::Reduced)?;
            let record = train(&experiment, None, &options)?.record;
            let epochs = record.runs.iter().flat_map(|run| &run.epochs);
            let points: Vec<(f64, f64)> = epochs.map(|e| (e.epoch as f64, e.train_loss)).collect();
            println!("damping {damping}, power {power}: {points:?}");
            lines.push(Line { label: format!("power {power}, rate {rate}"), points });
        }
        let title = format!("Train loss, damping {damping}");
        panels.push(Panel { title, scale: Scale::Logarithmic, lines });
    }
    let title = "Fractional natural gradient".to_owned();
    let panels = Panels { title, x: "epoch", x_scale: Scale::Linear, panels };
    for picture in line_panels(&panels, &out, "fractional")? {
        println!("{}", picture.display());
    }
    Ok(())
}
