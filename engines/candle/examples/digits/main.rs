//! `cargo run --release --example digits`: a candle network on real digits, 784-80-80-80-10 with relu,
//! batch 50, by SGD, K-FAC and relative natural gradient: the training loss by epoch.

mod trainer;

use std::time::Instant;

use candle_core::Result;
use trainer::{Rule, Trainer};

fn main() -> Result<()> {
    let rules = [
        (Rule::Sgd(0.1), 12),
        (Rule::Sgd(0.3), 12),
        (Rule::Kfac, 5),
        (Rule::RngdSamples, 5),
        (Rule::RngdBlocks(100), 4),
    ];
    for (rule, epochs) in rules {
        let mut trainer = Trainer::new(&[80, 80, 80], 8000, 2000, 1)?;
        let start = Instant::now();
        for epoch in 1..=epochs {
            let loss = trainer.epoch(&rule)?;
            let seconds = start.elapsed().as_secs_f64();
            println!("{rule:?}: epoch {epoch}, train loss {loss:.4}, {seconds:.1} s");
        }
        println!("{rule:?}: test accuracy {:.4}", trainer.accuracy()?);
    }
    Ok(())
}
