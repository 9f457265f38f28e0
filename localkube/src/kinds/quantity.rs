//! Amounts of resources: `250m`, `1.5`, `64Mi`, `1e3`.
//!
//! The grammar, the rounding up to nano and the canonical spelling are those of
//! `k8s.io/apimachinery/pkg/api/resource`.

use std::fmt;

const NANO: i128 = 1_000_000_000;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

/// An amount, exact to a thousand-millionth.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nano: 0, format: Format::Decimal };

    /// Reads an amount; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(split);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?;
        let (format, nano) = if let Some(power) = BINARY.iter().skip(1).position(|one| *one == suffix) {
            let factor = 1_i128 << (10 * (power + 1));
            (Format::Binary, scaled(digits.checked_mul(factor)?, 9 - scale)?)
        } else if let Some((_, exponent)) = DECIMAL.iter().find(|(one, _)| *one == suffix) {
            (Format::Decimal, scaled(digits, 9 - scale + exponent)?)
        } else {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (Format::Exponent, scaled(digits, 9 - scale + exponent)?)
        };
        Some(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// Whether there is less than nothing.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether there is nothing.
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether the amount is a whole number.
    pub fn is_integer(self) -> bool {
        self.nano % NANO == 0
    }

    /// The sum; nothing takes the spelling of what is added to it.
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nano: self.nano.saturating_add(other.nano), format }
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nano: self.nano.saturating_sub(other.nano), format }
    }

    /// How many times another amount this one is; not exact.
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub fn ratio(self, other: Self) -> f64 {
        self.nano as f64 / other.nano as f64
    }

    /// A count.
    pub fn count(number: i64) -> Self {
        Self { nano: i128::from(number) * NANO, format: Format::Decimal }
    }
}

/// `digits * 10^power`, rounded up: who asks for a little gets a little, never nothing.
fn scaled(digits: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 { digits.checked_mul(factor) } else { Some(digits / factor + i128::from(digits % factor != 0)) }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return out.write_str("0");
        }
        // Below 1024 and for fractions the binary spelling would lose or hide digits.
        if self.format == Format::Binary && self.is_integer() && (self.nano / NANO).abs() >= 1024 {
            let mut number = self.nano / NANO;
            let mut power = 0;
            while number % 1024 == 0 && power + 1 < BINARY.len() {
                number /= 1024;
                power += 1;
            }
            return write!(out, "{number}{}", BINARY[power]);
        }
        let mut number = self.nano;
        let mut exponent = -9;
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        if self.format == Format::Exponent && exponent != 0 {
            return write!(out, "{number}e{exponent}");
        }
        let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent).map_or("", |(suffix, _)| suffix);
        write!(out, "{number}{suffix}")
    }
}
