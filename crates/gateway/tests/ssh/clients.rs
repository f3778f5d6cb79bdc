//! Stock clients: what they do every day passes unchanged, in both forms.

use super::world::{JUMPED, TARGET, World, text};

#[test]
fn a_command_passes_in_both_forms() {
    let world = World::new();
    for to in [TARGET, JUMPED] {
        let output = world.run(&[to, "echo out; echo err >&2; exit 7"]);
        assert_eq!(
            (text(&output.stdout), text(&output.stderr)),
            ("out\n".into(), "err\n".into()),
            "{to}"
        );
        assert_eq!(output.status.code(), Some(7), "{to}");
    }
    assert_eq!(world.state.told().certificates, 2, "one certificate a session");
}
