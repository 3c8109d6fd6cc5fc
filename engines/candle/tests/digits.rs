//! Training on the bundled digits: natural gradient reaches a loss in fewer epochs than candle's SGD,
//! which gets the best of three rates.

use candle_core::Result;
use trainer::{Rule, Trainer};

#[path = "../examples/digits/trainer.rs"]
mod trainer;

const LOSS: f64 = 0.1;
const EPOCHS: usize = 12;

/// The first epoch (from 1) whose training loss is at most LOSS.
fn epochs(rule: Rule) -> Result<Option<usize>> {
    let mut trainer = Trainer::new(&[32, 32], 2000, 500, 1)?;
    for epoch in 1..=EPOCHS {
        if trainer.epoch(&rule)? <= LOSS {
            let accuracy = trainer.accuracy()?;
            assert!(accuracy > 0.8, "{rule:?}: {accuracy} of digits that it was not trained on");
            return Ok(Some(epoch));
        }
    }
    Ok(None)
}

#[test]
fn fewer_epochs_than_sgd() -> Result<()> {
    let mut best = EPOCHS + 1;
    for rate in [0.1, 0.3, 1.0] {
        best = best.min(epochs(Rule::Sgd(rate))?.unwrap_or(EPOCHS + 1));
    }
    for rule in [Rule::Kfac, Rule::RngdSamples, Rule::RngdBlocks(40)] {
        let found = epochs(rule)?;
        println!("{rule:?}: {found:?} epochs, SGD {best}");
        assert!(found.is_some_and(|e| e < best), "{rule:?}: {found:?} epochs, SGD {best}");
    }
    Ok(())
}
