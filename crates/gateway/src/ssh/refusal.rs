//! Who says no: the closed list of codes that a person meets at the gateway, each with what it means and what to do.
//!
//! Not here: why exactly (that is the sentence after the code), and the controls of a verdict (`CS-AP-1` and its like),
//! which judge what was done. INVARIANT (one list): no other file spells a code; the guide holds this table.

use std::fmt;

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Who logged in is not shown.
    Id,
    /// What was typed names no target.
    Name,
    /// No permission covers it.
    Grant,
    /// The gateway does not let it begin.
    Gate,
    /// It cannot be recorded.
    Recorder,
    /// It cannot be put on record.
    Ledger,
    /// The target is not reached, or not as it must be.
    Target,
}

impl Code {
    /// All of them, in the order in which a session meets them.
    pub const ALL: [Self; 7] = [
        Self::Id,
        Self::Name,
        Self::Grant,
        Self::Gate,
        Self::Recorder,
        Self::Ledger,
        Self::Target,
    ];

    /// As it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "CS-ID",
            Self::Name => "CS-NAME",
            Self::Grant => "CS-GRANT",
            Self::Gate => "CS-GATE",
            Self::Recorder => "CS-RECORDER",
            Self::Ledger => "CS-LEDGER",
            Self::Target => "CS-TARGET",
        }
    }

    /// The line that a person reads: the code and a sentence.
    #[must_use]
    pub fn says(self, because: impl fmt::Display) -> String {
        format!("{self} {because}")
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Id => "the connection carries no proof of whose key logged in",
            Self::Name => "what was typed is not the name of an account on a resource that you may reach",
            Self::Grant => "no grant of yours covers it now, or the grant that you have does not cover this action",
            Self::Gate => {
                "it may not begin yet: the opening is not cosigned as the owner's gate asks, or nobody decided in time"
            }
            Self::Recorder => "it cannot be recorded, and nothing runs here unrecorded",
            Self::Ledger => "it cannot be put on record, and nothing runs here off the record",
            Self::Target => {
                "the target cannot be reached, shows another host key than its owner pinned, or refuses the log-in"
            }
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Id => "connect again with an SSH key that your organisation enrolled",
            Self::Name => "`ssh GATEWAY ls` lists what you may ask for; write ACCOUNT@RESOURCE.ENVIRONMENT",
            Self::Grant => {
                "paste the `request` command that the line ends with; on a terminal, wait there for the approval"
            }
            Self::Gate => "try again; if it stays, the owner's witness or the operator's clock needs a look",
            Self::Recorder => "tell the operator: the server's disk is full or failing",
            Self::Ledger => "try again; if it stays, tell the operator: the server's log names the reason",
            Self::Target => "tell the resource's owner; its sshd log names the reason",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The table as it stands in the guide.
#[must_use]
pub fn markdown() -> String {
    let rows = Code::ALL.map(|code| format!("| `{code}` | {} | {} |\n", code.meaning(), code.remedy()));
    format!(
        "| code | what it means | what to do |\n|---|---|---|\n{}",
        rows.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_guide_holds_this_table() {
        let guide = include_str!("../../../../docs/guides/refusals.md");
        assert!(
            guide.contains(&markdown()),
            "docs/guides/refusals.md lacks:\n{}",
            markdown()
        );
    }

    /// Files of a folder that spell a code between quotes.
    fn spelling(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                spelling(&path, found);
            } else if !path.ends_with("ssh/refusal.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let spelt = Code::ALL.iter().any(|code| {
                    let (alone, first) = (format!("\"{code}\""), format!("\"{code} "));
                    text.contains(&alone) || text.contains(&first)
                });
                found.extend(spelt.then(|| path.display().to_string()));
            }
        }
    }

    #[test]
    fn no_other_file_spells_a_code() {
        let gateway = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = vec![];
        spelling(&gateway, &mut found);
        spelling(&gateway.join("../../countersign/src/serve"), &mut found);
        assert!(found.is_empty(), "{found:?}");
        let own = std::fs::read_to_string(gateway.join("ssh/refusal.rs")).unwrap();
        assert!(own.contains("\"CS-GRANT\""), "the search finds what there is");
    }
}
