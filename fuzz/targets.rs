//! Every parser that meets untrusted bytes, by name. The one list: cargo-fuzz runs it, and so does the stable test
//! `each_parser_holds_over_its_corpus`; each name has its seeds in `fuzz/corpus/NAME`.

/// Bytes in, nothing out; a panic is a finding.
pub(crate) type Parser = fn(&[u8]);

pub(crate) const TARGETS: &[(&str, Parser)] = &[
    ("ledger_bundle", ledger::fuzz::bundle),
    ("ledger_checkpoint", ledger::fuzz::checkpoint),
    ("ledger_key", ledger::fuzz::key),
    ("ledger_note", ledger::fuzz::note),
    ("ledger_policy", ledger::fuzz::policy),
    ("ledger_proof", ledger::fuzz::proof),
    ("ledger_submission", ledger::fuzz::submission),
    ("ledger_tile_path", ledger::fuzz::tile_path),
    ("model_entry", model::fuzz::entry),
    ("model_json", model::fuzz::json),
    ("model_signature", model::fuzz::signature),
    ("model_statement", model::fuzz::statement),
    ("recording", recording::fuzz::fuzz_one),
];
