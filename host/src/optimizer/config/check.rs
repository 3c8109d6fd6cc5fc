//! Conditions on settings, and what all settings have in common.

use super::ScheduleConfig;

/// A condition on a setting: (key, value, holds, domain).
pub(super) type Check = (&'static str, f64, bool, &'static str);

pub(super) fn at_least_zero(key: &'static str, x: f64) -> Check {
    (key, x, x.is_finite() && x >= 0.0, "a finite number, at least 0")
}

pub(super) fn above_zero(key: &'static str, x: f64) -> Check {
    (key, x, x.is_finite() && x > 0.0, "a finite number above 0")
}

pub(super) fn share(key: &'static str, x: f64) -> Check {
    (key, x, (0.0..1.0).contains(&x), "at least 0 and below 1")
}

pub(super) fn count(key: &'static str, n: u64) -> Check {
    (key, n as f64, n >= 1, "at least 1")
}

/// The settings that every optimiser has.
pub(super) struct Common<'a> {
    pub(super) learning_rate: f64,
    pub(super) weight_decay: f64,
    pub(super) schedule: &'a ScheduleConfig,
}

/// The settings of one optimiser.
pub(super) trait Settings {
    /// The part that every optimiser has.
    fn common(&self) -> Common<'_>;

    /// The base learning rate, to be changed.
    fn learning_rate_mut(&mut self) -> &mut f64;

    /// The conditions on the other settings.
    fn checks(&self) -> Vec<Check>;
}

/// The first two methods of [`Settings`] for a struct with the fields of [`Common`].
macro_rules! common_settings {
    () => {
        fn common(&self) -> Common<'_> {
            Common {
                learning_rate: self.learning_rate,
                weight_decay: self.weight_decay,
                schedule: &self.schedule,
            }
        }

        fn learning_rate_mut(&mut self) -> &mut f64 {
            &mut self.learning_rate
        }
    };
}
pub(super) use common_settings;
