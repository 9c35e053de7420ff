//! The rows as a Markdown table, beside the peer's.

use super::{Row, peers};
use crate::outcome::Outcome;

/// Prints the tables, the command and the machine.
pub(super) fn print(rows: &[Row], unfit: &[(String, String)], command: &str) -> Outcome {
    let peers = peers()?;
    let peer = peers["peer"].as_str().unwrap_or("peer");
    say!(
        "\n`{command}` on {}; emulated, instructions (not clock cycles)\n",
        machine()
    )?;
    say!(
        "| network | target | kernel | density | phase | instructions | {peer} | ratio | of m3 |"
    )?;
    say!("|---|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let Row::Instructions {
            network,
            target,
            kernel,
            density,
            phase,
            instructions,
            ..
        } = row
        else {
            continue;
        };
        let theirs = peers[phase][network][target].as_f64();
        let ratio = theirs.map_or_else(String::new, |theirs| {
            format!("{:.1}x", theirs / instructions.max(1.0))
        });
        let m3 = same_on(rows, row, "m3").map_or_else(String::new, |m3| {
            format!("{:.2}", instructions / m3.max(1.0))
        });
        say!(
            "| {network} | {target} | {kernel} | {} % | {phase} | {} | {} | {ratio} | {m3} |",
            100.0 * density,
            grouped(*instructions),
            theirs.map_or_else(String::new, grouped),
        )?;
    }
    say!("\n{peer}: {}", peers["source"].as_str().unwrap_or_default())?;
    say!(
        "\n| network | target | kernel | program | flash | of it code | weights | static RAM | of it state | stack | stack of a step |"
    )?;
    say!("|---|---|---|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let Row::Memory {
            network,
            target,
            program,
            kernel,
            ram_bytes,
            flash_bytes,
            weight_bytes,
            state_bytes,
            code_bytes,
            stack_bytes,
            step_stack_bytes,
        } = row
        else {
            continue;
        };
        let known = |bytes: &Option<u64>| bytes.map_or_else(String::new, |bytes| bytes.to_string());
        say!(
            "| {network} | {target} | {kernel} | {program} | {flash_bytes} | {code_bytes} | {weight_bytes} | {ram_bytes} | {state_bytes} | {} | {} |",
            known(stack_bytes),
            known(step_stack_bytes)
        )?;
    }
    for (board, why) in unfit {
        say!("\nnot on {board}: {why}")?;
    }
    Ok(())
}

/// The instructions of the same row on another machine.
fn same_on(rows: &[Row], row: &Row, machine: &str) -> Option<f64> {
    rows.iter().find_map(|other| match (row, other) {
        (
            Row::Instructions {
                network,
                kernel,
                density,
                phase,
                ..
            },
            Row::Instructions {
                network: n,
                target,
                kernel: k,
                density: d,
                phase: p,
                instructions,
                ..
            },
        ) if (network, kernel, density, phase) == (n, k, d, p) && target == machine => {
            Some(*instructions)
        }
        _ => None,
    })
}

/// Digits in groups of three.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The processor that runs the emulator, and the emulator's version.
fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    let version =
        crate::run::answer(std::process::Command::new("qemu-system-arm").arg("--version"));
    let emulator = version.and_then(|text| text.lines().next().map(str::to_owned));
    format!(
        "{}, {}",
        processor.unwrap_or_else(|| std::env::consts::ARCH.into()),
        emulator.unwrap_or_else(|| "QEMU".into())
    )
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_come_in_groups() {
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }
}
