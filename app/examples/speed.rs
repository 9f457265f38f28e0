//! How fast text is reversed and upcased, beside copying and upper-casing the same bytes: one JSON object on stdout.

use std::{
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant},
};

use app::text::reverse_upcase;

/// Bytes of the text in ASCII, the largest that the service takes by default.
const ASCII: usize = 1 << 20;
/// Bytes of the other texts: few enough to be done with before the system lets another process have the core.
const OTHER: usize = 1 << 16;

fn main() {
    let ascii = "The quick brown fox jumps over the lazy dog, 0123456789 times.\n";
    let bare = fastest(&repeat(ascii, ASCII), |text| {
        let mut copy = text.as_bytes().to_vec();
        copy.make_ascii_uppercase();
        copy
    });
    let texts = [
        ("ascii", ascii),
        (
            "mixed",
            "Straße, naïve café; Съешь ещё этих мягких булок; ὀδυσσεύς; 敏捷的棕色狐狸 ねこ 다람쥐 👍🏽👩‍👩‍👧 e\u{301} ",
        ),
        ("cyrillic", "Съешь же ещё этих мягких французских булок да выпей чаю. "),
        ("greek", "Ταχίστη αλώπηξ βαφής ψημένη γη, δρασκελίζει υπέρ νωθρού κυνός. "),
        ("chinese", "敏捷的棕色狐狸跳过了懒狗。"),
        ("korean", "다람쥐 헌 쳇바퀴에 타고파. "),
        ("hindi", "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश। "),
        ("emoji", "👍🏽👩‍👩‍👧‍👦🇩🇪🇫🇷❤️😀😁"),
        ("marks", "e\u{301}\u{323}\u{308}"),
        ("flags", "🇩🇪"),
        ("lines", "a line of text\r\n"),
    ];
    let mut figures = serde_json::Map::new();
    figures.insert("copy_and_uppercase_microseconds".into(), micros(bare).into());
    for (name, text) in texts {
        let text = repeat(text, if name == "ascii" { ASCII } else { OTHER });
        let time = fastest(&text, |text| reverse_upcase(text).into_bytes());
        figures.insert(format!("{name}_microseconds"), micros(time).into());
        let speed = text.len() as f64 / 1e6 / time.as_secs_f64();
        figures.insert(format!("{name}_megabytes_per_second"), speed.round().into());
    }
    let _ = writeln!(std::io::stdout(), "{}", serde_json::Value::from(figures));
}

fn repeat(text: &str, size: usize) -> String {
    text.repeat(size / text.len())
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// The fastest of many: what else the machine does only ever adds.
fn fastest(text: &str, work: impl Fn(&str) -> Vec<u8>) -> Duration {
    let began = Instant::now();
    let mut fastest = Duration::MAX;
    while began.elapsed() < Duration::from_millis(300) {
        let began = Instant::now();
        black_box(work(black_box(text)));
        fastest = fastest.min(began.elapsed());
    }
    fastest
}
