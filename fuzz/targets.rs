//! Every parser that meets untrusted bytes, by name. The one list: cargo-fuzz runs it, and so does the stable test
//! `each_parser_holds_over_its_corpus`; each name has its seeds in `fuzz/corpus/NAME`.

/// Bytes in, nothing out; a panic is a finding.
pub(crate) type Parser = fn(&[u8]);

pub(crate) const TARGETS: &[(&str, Parser)] = &[
    ("api_bodies", api::fuzz::bodies),
    ("api_sign_in", api::fuzz::sign_in),
    ("command_answers", countersign::fuzz::answers),
    ("command_cards", countersign::fuzz::cards),
    ("command_config", countersign::fuzz::config),
    ("command_trust_file", countersign::fuzz::trust_file),
    ("evidence_manifest", evidence::fuzz::manifest),
    ("evidence_pack", evidence::fuzz::pack),
    ("evidence_record", evidence::fuzz::record),
    ("evidence_trust", evidence::fuzz::trust),
    ("gateway_facts", gateway::fuzz::facts),
    ("gateway_names", gateway::fuzz::names),
    ("gateway_screen", gateway::fuzz::screen),
    ("journal", journal::fuzz::fuzz_one),
    ("keeper_files", keeper::fuzz::files),
    ("keeper_submission", keeper::fuzz::submission),
    ("ledger_bundle", ledger::fuzz::bundle),
    ("ledger_checkpoint", ledger::fuzz::checkpoint),
    ("ledger_key", ledger::fuzz::key),
    ("ledger_note", ledger::fuzz::note),
    ("ledger_policy", ledger::fuzz::policy),
    ("ledger_proof", ledger::fuzz::proof),
    ("ledger_proofs", ledger::fuzz::proofs),
    ("ledger_submission", ledger::fuzz::submission),
    ("ledger_tile_path", ledger::fuzz::tile_path),
    ("ledger_tree", ledger::fuzz::tree),
    ("model_entry", model::fuzz::entry),
    ("model_json", model::fuzz::json),
    ("model_signature", model::fuzz::signature),
    ("model_statement", model::fuzz::statement),
    ("publisher_answer", publisher::fuzz::answer),
    ("recording", recording::fuzz::fuzz_one),
    ("recording_cast", recording::fuzz::cast),
];
