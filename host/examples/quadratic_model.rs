//! Learning rate and damping from the quadratic model: K-FAC that begins with far too much and far too
//! little damping, with both fixed, with the damping adapted by the reduction ratio, and with the length
//! of every step from the model too.
//!
//! ```sh
//! cargo run --release -p relfisher --example quadratic_model
//! ```
//!
//! Draws the learning curves into runs/examples/quadratic_model (or the folder given).

mod uses;

use relfisher::Error;
use relfisher::plot::{Line, Panel, Panels, Scale, line_panels};
use relfisher::train::{Experiment, SessionOptions, Size, train};

/// A name, and what is added to the settings of K-FAC. With a momentum of .9 a step of the model's length
/// is taken at the rate .1.
const RULES: [(&str, &str); 3] = [
    ("fixed", "learning_rate = 0.01\n"),
    ("damping adapted", "learning_rate = 0.01\nadaptation = { kind = 'levenberg-marquardt' }\n"),
    (
        "damping and length",
        "learning_rate = 0.1\nstep_length = 'quadratic'\n\
         adaptation = { kind = 'levenberg-marquardt' }\n",
    ),
];

fn experiment(damping: f64, rule: &str) -> String {
    format!(
        "name = 'quadratic'\nepochs = 4\nbatch_size = 50\n\
         [data]\ntrain_samples = 4000\ntest_samples = 1000\n\
         [network]\nhidden = [32]\n\
         [[optimizers]]\nkind = 'kfac'\ndamping = {damping}\n{rule}"
    )
}

fn main() -> Result<(), Error> {
    let out = uses::folder()?;
    let mut panels = Vec::new();
    for damping in [30.0, 1e-4] {
        let mut lines = Vec::new();
        for (name, rule) in RULES {
            let run = format!("damping-{damping}-{}", name.replace(' ', "-"));
            let options = SessionOptions::new(out.join(run));
            let text = experiment(damping, rule);
            let experiment = Experiment::parse(&text, "quadratic.toml", Size::Reduced)?;
            let record = train(&experiment, None, &options)?.record;
            let epochs = record.runs.iter().flat_map(|run| &run.epochs);
            let points: Vec<(f64, f64)> = epochs.map(|e| (e.epoch as f64, e.train_loss)).collect();
            println!("damping {damping} at first, {name}: {points:.4?}");
            lines.push(Line { label: name.to_owned(), points });
        }
        let title = format!("Train loss, damping {damping} at first");
        panels.push(Panel { title, scale: Scale::Logarithmic, lines });
    }
    let title = "K-FAC and its quadratic model".to_owned();
    let panels = Panels { title, x: "epoch", x_scale: Scale::Linear, panels };
    for picture in line_panels(&panels, &out, "quadratic")? {
        println!("{}", picture.display());
    }
    Ok(())
}
