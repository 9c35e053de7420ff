//! What a panic left in the device's RAM: the host is told who asks.

use std::fs;
use std::path::Path;

use bitspike_tests::cli::bitspike;
use bitspike_tests::device::{Firmware, root, small_model};

/// Where RAM lies that no reset clears, by the section of the image: an ELF file of 32 bits.
fn kept(elf: &Path) -> u32 {
    let bytes = fs::read(elf).expect("the image");
    let half = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let header = |index: usize| word(32) as usize + half(46) * index;
    let names = word(header(half(50)) + 16) as usize;
    let section = (0..half(48)).map(header).find(|&header| {
        let name = &bytes[names + word(header) as usize..];
        name.starts_with(b".uninit\0")
    });
    word(section.expect("a section that is not cleared") + 12)
}

/// The record of `firmware/src/crash.rs`.
fn record(what: &str, file: &str, line: u32) -> Vec<u8> {
    let text = |text: &str| [text.as_bytes(), &vec![0; 48 - text.len()]].concat();
    let head = [0xB175_DEAD, line, what.len() as u32, file.len() as u32];
    let head: Vec<u8> = head
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    let mut record = [head, text(what), text(file)].concat();
    let sum = record.as_chunks().0.iter().fold(0, |sum: u32, word| {
        sum.rotate_left(5).wrapping_add(u32::from_le_bytes(*word))
    });
    record.extend(sum.to_le_bytes());
    record
}

/// What `bitspike device info` says of a machine whose RAM holds these bytes at the start.
fn info(firmware: &Firmware, left: &[u8], json: bool) -> String {
    let start = kept(&firmware.elf);
    let words = left.as_chunks().0.iter().enumerate();
    let loaders = words.flat_map(|(index, word)| {
        let (addr, data) = (start + 4 * index as u32, u32::from_le_bytes(*word));
        let word = format!("loader,addr={addr:#x},data={data:#x},data-len=4");
        ["-device".to_owned(), word]
    });
    let machine = super::Machine::of(firmware, &loaders.collect::<Vec<_>>());
    let mut arguments = vec!["device", "info", "--port", &machine.address];
    arguments.extend(json.then_some("--json"));
    let outcome = bitspike(root(), &arguments);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    outcome.stdout
}

#[test]
fn who_asks_a_device_is_told_what_ended_its_last_run() {
    for board in ["m0", "m3", "rv32"] {
        let firmware = Firmware::build(board, "serve", &small_model());
        let panic = record("on purpose", "src/bin/serve.rs", 123);
        let said = info(&firmware, &panic, false);
        let line = "the last run ended in a panic at src/bin/serve.rs:123: on purpose";
        assert!(said.contains(line), "{board}: {said}");

        let fault = record("a hard fault", "", 0x1234);
        let said = info(&firmware, &fault, false);
        let line = "the last run ended in a fault at address 0x00001234: a hard fault";
        assert!(said.contains(line), "{board}: {said}");

        // RAM after power-on, and a record with a changed bit, are none.
        let mut changed = panic.clone();
        changed[20] ^= 1;
        for none in [changed, vec![0xA5; panic.len()]] {
            let said = info(&firmware, &none, true);
            let document: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            assert!(document["device"]["crash"].is_null(), "{board}: {said}");
        }
        let said = info(&firmware, &panic, true);
        let document: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(document["device"]["crash"]["line"], 123, "{board}: {said}");
    }
}
