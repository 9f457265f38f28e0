//! Resource quantities as numbers (the grammar of `k8s.io/apimachinery/pkg/api/resource`).

/// The value in thousandths, rounded up; nothing if the text is no quantity.
pub(crate) fn thousandths(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // Numerator and denominator of the suffix, in thousandths.
    let (up, down): (i128, i128) = match suffix {
        "" => (1000, 1),
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => (1000 << (10 * (1 + "KMGTPE".find(&suffix[..1])?)), 1),
        "k" => (1_000_000, 1),
        "M" | "G" | "T" | "P" | "E" => (1000 * 1000_i128.pow(u32::try_from("_MGTPE".find(suffix)?).ok()? + 1), 1),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1000, power) } else { (1000_i128.checked_mul(power)?, 1) }
        }
    };
    let (numerator, denominator) = (mantissa.checked_mul(up)?, scale.checked_mul(down)?);
    Some(sign * numerator.div_euclid(denominator) + i128::from(sign > 0 && numerator % denominator != 0))
}

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn quantities_of_every_form() {
        for (text, value) in [
            ("1", 1000),
            ("250m", 250),
            ("0.5", 500),
            (".5", 500),
            ("1.5Gi", 1_610_612_736_000),
            ("64Mi", 67_108_864_000),
            ("1Ki", 1_024_000),
            ("2k", 2_000_000),
            ("3M", 3_000_000_000),
            ("1G", 1_000_000_000_000),
            ("1e3", 1_000_000),
            ("12E-1", 1200),
            ("1u", 1),
            ("100n", 1),
            ("-1", -1000),
            ("0", 0),
        ] {
            assert_eq!(thousandths(text), Some(value), "{text}");
        }
        for text in ["", "m", "abc", "1x", "1.2.3", "e3"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }
}
