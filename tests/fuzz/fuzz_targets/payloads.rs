#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = binlog_bridge_fuzz::payloads(data);
});
