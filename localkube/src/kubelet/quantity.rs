//! Amounts of resources as numbers
//! (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The amount, or nothing when it isn't a quantity; the API server has refused those before.
pub(super) fn value(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.trim();
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let scale = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * scale)
}

/// Whole units, rounded up: bytes.
#[allow(clippy::cast_possible_truncation, reason = "quantities are far below 2^53")]
pub(super) fn whole(quantity: &Quantity) -> Option<i64> {
    value(quantity).map(|value| (value - 1e-9).ceil() as i64)
}

/// Thousandths, rounded up: how CPU is counted.
#[allow(clippy::cast_possible_truncation, reason = "quantities are far below 2^53")]
pub(super) fn milli(quantity: &Quantity) -> Option<i64> {
    value(quantity).map(|value| (value * 1000.0 - 1e-6).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_suffix() {
        let q = |text: &str| Quantity(text.to_owned());
        assert_eq!(whole(&q("128Mi")), Some(134_217_728));
        assert_eq!(whole(&q("1e3")), Some(1000));
        assert_eq!(whole(&q("1E3")), Some(1000));
        assert_eq!(whole(&q("2E")), Some(2_000_000_000_000_000_000));
        assert_eq!(whole(&q("100m")), Some(1), "rounded up");
        assert_eq!(milli(&q("250m")), Some(250));
        assert_eq!(milli(&q("1.5")), Some(1500));
        assert_eq!(milli(&q("100u")), Some(1), "rounded up");
        assert_eq!(value(&q("ten")), None);
    }
}
