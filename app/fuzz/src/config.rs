//! Any setting is taken, or told in one line.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let config = app::config::Config::parse(|name| (name != "CONFIG_FILE").then(|| text.to_owned()));
    if let Err(errors) = config {
        assert!(errors.iter().all(|error| !error.contains('\n')));
    }
});
