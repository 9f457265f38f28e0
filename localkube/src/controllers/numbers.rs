//! Numbers that may be percentages.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a percentage of a small total is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// As maxSurge and minAvailable are.
    Up,
    /// As a Deployment's maxUnavailable is.
    Down,
}

/// The number, or so many percent of `total` (`intstr.GetScaledValueFromIntOrPercent`); nothing if it is neither.
pub(crate) fn scaled(value: &IntOrString, total: i32, round: Round) -> Option<i32> {
    match value {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let product = percent * i64::from(total);
            let whole = match round {
                Round::Up => product.div_euclid(100) + i64::from(product.rem_euclid(100) > 0),
                Round::Down => product.div_euclid(100),
            };
            i32::try_from(whole).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        let percent = |text: &str| IntOrString::String(text.into());
        assert_eq!(scaled(&percent("25%"), 3, Round::Up), Some(1));
        assert_eq!(scaled(&percent("25%"), 3, Round::Down), Some(0));
        assert_eq!(scaled(&percent("25%"), 8, Round::Up), Some(2));
        assert_eq!(scaled(&percent("100%"), 7, Round::Down), Some(7));
        assert_eq!(scaled(&percent("150%"), 3, Round::Up), Some(5));
        assert_eq!(scaled(&percent("1%"), 0, Round::Up), Some(0));
        assert_eq!(scaled(&percent("many"), 3, Round::Up), None);
        assert_eq!(scaled(&IntOrString::Int(4), 1, Round::Down), Some(4));
    }
}
