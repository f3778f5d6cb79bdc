//! One function per parser that strangers feed: whatever the bytes, no panic, and what was read prints and reads back.

use crate::ssh::session::Screen;
use crate::ssh::session::check::facts::{Facts, Heard, KEPT_BYTES_MAX};
use crate::ssh::wire::place::{Place, resolve};
use crate::ssh::wire::target::{Account, Target};
use crate::ssh::wire::words;

/// User names with their hints, host names and command lines.
///
/// # Panics
/// When a name that was read does not read back.
pub fn names(data: &[u8]) {
    drop(words::split(data));
    let text = String::from_utf8_lossy(data);
    if let Ok(Some(target)) = Target::parse(&text) {
        assert_eq!(
            Target::parse(&target.to_string()),
            Ok(Some(target)),
            "a target reads back"
        );
    }
    if let Ok(account) = Account::parse(&text) {
        assert_eq!(
            Account::parse(&account.to_string()),
            Ok(account),
            "an account reads back"
        );
    }
    if let Some(place) = Place::parse(&text) {
        drop(resolve(&place, &[]));
    }
}

/// A terminal's output, which decides whether a line of ours may be shown; the first byte says how it is cut.
///
/// # Panics
/// When it matters where the output was cut.
pub fn screen(data: &[u8]) {
    let Some((piece, output)) = data.split_first() else {
        return;
    };
    let (mut whole, mut cut) = (Screen::default(), Screen::default());
    whole.read(output);
    output
        .chunks(usize::from(*piece).max(1))
        .for_each(|piece| cut.read(piece));
    assert_eq!(whole.takes_lines(), cut.takes_lines(), "it matters where output is cut");
}

/// What a target says of itself when it is checked; the first byte says in what pieces it comes.
///
/// # Panics
/// When it matters how it came, or something is left in it that a terminal would obey.
pub fn facts(data: &[u8]) {
    let Some((piece, output)) = data.split_first() else {
        return;
    };
    let mut heard = Heard::default();
    output.chunks(usize::from(*piece).max(1)).for_each(|piece| {
        heard.hear(piece);
    });
    let facts = heard.read();
    let kept = output.get(..KEPT_BYTES_MAX).unwrap_or(output);
    assert_eq!(facts, Facts::read(kept), "it matters in what pieces it came");
    let plain = |text: &String| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    assert!(texts(&facts).all(plain), "not plain: {facts:?}");
}

fn texts(facts: &Facts) -> impl Iterator<Item = &String> {
    let one = [&facts.from, &facts.level, &facts.keys_from, &facts.sudo];
    let many = [&facts.principals, &facts.hidden];
    let keys = facts.keys.iter().flat_map(|(_, owner, place)| [owner, place]);
    let logs = facts.logs.iter().map(|(_, place)| place);
    one.into_iter()
        .flatten()
        .chain(many.into_iter().flatten())
        .chain(keys)
        .chain(logs)
}

#[cfg(test)]
mod tests {
    use super::{facts, names};

    /// Mutations of real user names, seeded.
    #[test]
    fn mutated_names_never_panic() {
        let corpus: [&[u8]; 6] = [
            b"root+web1.acme",
            b"CORP%5Cadm+dc1.acme+CHG123",
            b"root+web1.acme+req_01hf7q3c8sfwnth6v4m8k2x9ab",
            b"request root+web1 --reason \"disk is full\" 'x y'",
            b"fd00::7",
            b"%2B%25%40+a+b+c",
        ];
        mutate(&corpus, names);
    }

    #[test]
    fn mutated_facts_come_out_plain() {
        let corpus: [&[u8]; 2] = [
            include_bytes!("../../../fuzz/corpus/gateway_facts/whole"),
            include_bytes!("../../../fuzz/corpus/gateway_facts/hostile"),
        ];
        mutate(&corpus, facts);
    }

    fn mutate(corpus: &[&[u8]], parser: fn(&[u8])) {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).unwrap()
        };
        for round in 0..6000_usize {
            let mut data = corpus[round % corpus.len()].to_vec();
            for _ in 0..random(6) {
                let at = random(data.len() + 1);
                match random(3) {
                    0 => data.insert(at, u8::try_from(random(256)).unwrap()),
                    1 if at < data.len() => data[at] = u8::try_from(random(256)).unwrap(),
                    _ => data.truncate(at),
                }
            }
            parser(&data);
        }
    }
}
