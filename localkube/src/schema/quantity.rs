//! Resource quantities: `resource.Quantity` of k8s.io/apimachinery, read and written in canonical form.

/// What the API server says about a quantity that is none.
pub(crate) const MALFORMED: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// The canonical form: no fraction, the largest suffix that leaves a whole number, in the suffix family that the text
/// uses. `None` for a text that is not a quantity.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    // The value is digits * 10^exponent, or digits * 10^exponent * 1024^power.
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let exponent = -i32::try_from(fraction.len()).ok()?;
    let form = if let Some(power) = BINARY.iter().skip(1).position(|name| *name == suffix) {
        binary(digits, exponent, power + 1)?
    } else if let Some((_, shift)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        decimal(digits, exponent + shift)
    } else {
        let shift: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        scientific(digits, exponent + shift)
    };
    Some(if negative && form != "0" { format!("-{form}") } else { form })
}

/// Digits without trailing zeros, finer than nano rounded up, and their exponent.
fn reduce(digits: &str, exponent: i32) -> (String, i32) {
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return ("0".to_owned(), 0);
    }
    let exponent = exponent + i32::try_from(digits.len() - trimmed.len()).unwrap_or(0);
    if exponent >= -9 {
        return (trimmed.to_owned(), exponent);
    }
    let cut = usize::try_from(-9 - exponent).unwrap_or(0);
    let kept: u128 = trimmed.get(..trimmed.len().saturating_sub(cut)).and_then(|kept| kept.parse().ok()).unwrap_or(0);
    let rounded = (kept + 1).to_string();
    reduce(&rounded, -9)
}

fn decimal(digits: &str, exponent: i32) -> String {
    let (digits, exponent) = reduce(digits, exponent);
    let step = exponent.div_euclid(3).clamp(-3, 6) * 3;
    let zeros = usize::try_from(exponent - step).unwrap_or(0);
    let suffix = DECIMAL.iter().find(|(_, power)| *power == step).map_or("", |(name, _)| name);
    if digits == "0" { digits } else { format!("{digits}{}{suffix}", "0".repeat(zeros)) }
}

fn scientific(digits: &str, exponent: i32) -> String {
    let (digits, exponent) = reduce(digits, exponent);
    let step = exponent.div_euclid(3) * 3;
    let zeros = "0".repeat(usize::try_from(exponent - step).unwrap_or(0));
    if step == 0 || digits == "0" { format!("{digits}{zeros}") } else { format!("{digits}{zeros}e{step}") }
}

fn binary(digits: &str, exponent: i32, power: usize) -> Option<String> {
    let scale = 1024_u128.checked_pow(u32::try_from(power).ok()?)?;
    let digits: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let divisor = 10_u128.checked_pow(u32::try_from(-exponent).ok()?)?;
    let scaled = digits.checked_mul(scale)?;
    if scaled % divisor != 0 {
        // Not a whole number of bytes: Go falls back to the decimal form.
        return Some(decimal(&scaled.to_string(), exponent));
    }
    let mut value = scaled / divisor;
    if value < 1024 {
        // Below one Ki the binary form has no suffix, and Go writes the decimal one.
        return Some(decimal(&value.to_string(), 0));
    }
    let mut step = 0;
    while value % 1024 == 0 && step < 6 {
        value /= 1024;
        step += 1;
    }
    Some(format!("{value}{}", BINARY[step]))
}
