//! Sizes as a ratchet: how many files and functions are long is written down in sizes.txt, and only falls.
//! A count that fell must be written down too, so that it cannot rise again unseen.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::tree::{Finding, Source, Tree};

const COUNTS: &str = "crates/countersign/tests/tidy/sizes.txt";
const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut files = Vec::new();
    let (mut functions, mut tests) = (Vec::new(), Vec::new());
    for source in tree.rust() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            files.push(Finding::new(&source.path, 0, format!("{lines} lines")));
        }
        for (line, name, lines) in long_functions(source) {
            let list = if source.is_test(line) {
                &mut tests
            } else {
                &mut functions
            };
            list.push(Finding::new(&source.path, line, format!("`{name}` has {lines} lines")));
        }
    }
    let counts = tree.text(COUNTS);
    let mut found = ratchet(counts, "files_over_700_lines", files);
    found.extend(ratchet(counts, "functions_over_70_lines", functions));
    found.extend(ratchet(counts, "test_functions_over_70_lines", tests));
    found
}

fn ratchet(counts: &str, name: &str, long: Vec<Finding>) -> Vec<Finding> {
    let line = counts
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let Some(recorded) = line.and_then(|count| count.trim().parse::<usize>().ok()) else {
        return vec![Finding::new(COUNTS, 0, format!("no count `{name}`"))];
    };
    if long.len() < recorded {
        return vec![Finding::new(
            COUNTS,
            0,
            format!("`{name}` fell from {recorded} to {}: write it down", long.len()),
        )];
    }
    if long.len() == recorded { Vec::new() } else { long }
}

fn long_functions(source: &Source) -> Vec<(usize, String, usize)> {
    let mut functions = Functions::default();
    if let Some(file) = &source.syntax {
        functions.visit_file(file);
    }
    functions
        .found
        .into_iter()
        .filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX)
        .collect()
}

#[derive(Default)]
struct Functions {
    found: Vec<(usize, String, usize)>,
}

impl Functions {
    fn note(&mut self, sig: &syn::Signature, body: &syn::Block) {
        let (start, end) = (sig.span().start().line, body.span().end().line);
        self.found.push((start, sig.ident.to_string(), end - start + 1));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.note(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
fn counts(files: usize, functions: usize, tests: usize) -> String {
    format!("files_over_700_lines {files}\nfunctions_over_70_lines {functions}\ntest_functions_over_70_lines {tests}\n")
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let function = format!("//! x\nfn long() {{\n{}}}\n", "    f();\n".repeat(69));
    let test = format!("//! x\n#[test]\nfn long() {{\n{}}}\n", "    f();\n".repeat(69));
    let file = format!("//! x\n{}", "const A: u8 = 1;\n".repeat(700));
    let files = [
        (COUNTS, counts(0, 0, 0)),
        ("crates/a/src/a.rs", function),
        ("crates/a/src/b.rs", test),
        ("crates/a/src/c.rs", file),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert_eq!(
        super::planted(check, &files),
        [
            "crates/a/src/c.rs:0: 701 lines",
            "crates/a/src/a.rs:2: `long` has 71 lines",
            "crates/a/src/b.rs:3: `long` has 71 lines",
        ]
    );
}

#[test]
fn a_count_that_fell_is_written_down() {
    let found = super::planted(check, &[(COUNTS, &counts(0, 2, 0)), ("crates/a/src/a.rs", "//! x\n")]);
    assert_eq!(
        found,
        [format!(
            "{COUNTS}:0: `functions_over_70_lines` fell from 2 to 0: write it down"
        )]
    );
}
