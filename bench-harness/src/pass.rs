//! The measurements of one dtype and number of threads, until their shares are final.

use relfisher::Scalar;

use crate::case::{Candidate, Study};
use crate::limits::Ceilings;
use crate::record::{Approach, Limit, NotMeasured, Outcome, Ratio, Record, Row, Target};
use crate::report::{Key, key, units};

/// By how much a share must fall after it was printed for a line to say so.
const TOLD: f64 = 0.01;

/// The measurements of one dtype and number of threads.
pub struct Pass<'a> {
    record: &'a mut Record,
    shares: Vec<(usize, Option<usize>, Share)>,
}

/// A share that is final when the best rates of the pass are known: what is measured first must not be
/// judged otherwise than what is measured last.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// FLOPs or bytes a second.
    own: f64,
    limit: Limit,
    /// The rate of the ceiling in the same rounds.
    local: f64,
    /// What it should reach.
    target: Option<f64>,
}

impl Share {
    /// Of a candidate that took so many seconds, beside a ceiling of the rate `local`.
    #[must_use]
    pub fn new(candidate: &Candidate, seconds: f64, local: f64, target: Option<f64>) -> Self {
        let Candidate { limit, flops, bytes, .. } = *candidate;
        Self { own: limit.work(flops, bytes) / seconds, limit, local, target }
    }

    /// By what is known of the ceilings so far.
    #[must_use]
    pub fn value<T: Scalar>(&self, ceilings: &Ceilings<T>) -> f64 {
        self.own / ceilings.fair_rate(self.limit, self.local)
    }
}

impl<'a> Pass<'a> {
    /// One that adds to a record.
    pub fn new(record: &'a mut Record) -> Self {
        Self { record, shares: Vec::new() }
    }

    /// A row, and the ratio of its share where that has a target.
    pub fn keep(&mut self, study: &Study, row: Row, share: Option<Share>) {
        if let (Some(share), Some(measured)) = (share, key::measured(&row)) {
            let ratio = share.target.map(|target| {
                self.record.ratios.push(Ratio {
                    name: share_name(study, share.limit),
                    dtype: row.dtype,
                    threads: row.threads,
                    value: measured.share,
                    target: Some(Target::AtLeast(target)),
                    detail: units::seconds(measured.seconds),
                });
                self.record.ratios.len() - 1
            });
            self.shares.push((self.record.cases.len(), ratio, share));
        }
        self.record.cases.push(row);
    }

    /// Notes the target of a share whose case was not tried.
    pub fn no_share(&mut self, study: &Study, (limit, threads): (Limit, usize), why: &Outcome) {
        let (name, dtype, why) = (share_name(study, limit), study.dtype, refusal(why));
        self.record.not_measured.push(NotMeasured { name, dtype, threads, why });
    }

    /// Writes down how the structured candidate compares with the loop, where the study asks.
    pub fn against_loop<'r>(
        &mut self,
        study: &Study,
        threads: usize,
        rows: impl Iterator<Item = &'r Row> + Clone,
    ) {
        let Some(target) = study.speedup else { return };
        let find = |wanted| rows.clone().find(|row| row.approach == wanted);
        let (Some(ours), Some(theirs)) = (find(Approach::Structured), find(Approach::Loop)) else {
            return;
        };
        let (name, dtype) = (format!("{}: times as fast", study.label()), study.dtype);
        match (key::measured(ours), key::measured(theirs)) {
            (Some(ours), Some(theirs)) => self.record.ratios.push(Ratio {
                name,
                dtype,
                threads,
                value: theirs.seconds / ours.seconds,
                target: Some(target),
                detail: [ours, theirs].map(|m| units::seconds(m.seconds)).join(", "),
            }),
            (measured, _) => {
                let not = if measured.is_none() { ours } else { theirs };
                let approach = units::approach(not.approach);
                let why = format!("{approach}: {}", refusal(&not.outcome));
                self.record.not_measured.push(NotMeasured { name, dtype, threads, why });
            }
        }
    }

    /// Writes the shares anew by the best rates of the whole pass, and says which of them fell since
    /// they were printed.
    pub fn finish<T: Scalar>(self, ceilings: &Ceilings<T>) {
        for (row, ratio, share) in self.shares {
            let (row, value) = (&mut self.record.cases[row], share.value(ceilings));
            let name = Key::of(row);
            if let Outcome::Measured(measured) = &mut row.outcome {
                if value < measured.share - TOLD {
                    let (now, before) = (units::digits(value), units::digits(measured.share));
                    println!(
                        "{name}: a share of {now}, not {before}: its ceiling ran faster later"
                    );
                }
                measured.share = value;
            }
            if let Some(ratio) = ratio {
                self.record.ratios[ratio].value = value;
            }
        }
    }
}

fn share_name(study: &Study, limit: Limit) -> String {
    format!("{}: share of the {} ceiling", study.label(), units::limit(limit))
}

/// Why a case was not tried, in words.
#[must_use]
pub fn refusal(outcome: &Outcome) -> String {
    match outcome {
        Outcome::TooSlow { seconds, .. } => format!("too slow: {seconds:.1} s at the ceiling"),
        _ => units::refusal(outcome).unwrap_or_else(|| "measured".to_owned()),
    }
}
